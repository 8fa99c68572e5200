"""Losses: a recipe's `loss` section, which has the weights that its own task reads and no others."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from training.config.values import Count, Positive, Section, Weight


class DepthLossConfig(Section):
    """Of `task: depth`; see `training/losses/depth.py`."""

    kind: Literal["berhu", "silog"] = Field(
        default="berhu", description="silog looks at log depth alone; where a linear network is below min_m it is blind"
    )
    berhu_on: Literal["log", "metres"] = "log"
    gradient: Weight = Field(default=0.0, description="of the steps of log depth from pixel to pixel")
    gradient_scales: Count = Field(default=3, description="the steps at so many halved sizes")
    edges: Weight = Field(default=0.0, description="of the steps where the true depth jumps, by themselves")
    normals: Weight = Field(default=0.0, description="1 - cosine between true and found surfaces")
    near: Weight = Field(default=0.0, description="how much more a pixel nearer than 1 m counts: 1 = twice")
    spread: Weight = Field(default=0.0, description="likelihood of the errors of log depth, which it does not change")


class SelfDepthLossConfig(Section):
    """Of `task: self_depth`: what a moved camera's pictures say; see `training/losses/photometric.py`."""

    photometric: Weight = Field(default=1.0, description="how unlike a picture its moved sources are")
    geometric: Weight = Field(default=0.1, description="how much the depths of two pictures contradict each other")
    smoothness: Weight = Field(default=1e-3, description="steps of log depth where the picture has no edge")
    smooth_on: Literal["log_depth", "disparity"] = Field(
        default="log_depth", description="disparity: over its mean, as Monodepth2 and SC-Depth have it"
    )
    scale: Weight = Field(default=1.0, description="squared median of ln(depth / that of the network it started from)")
    scale_over: Literal["picture", "batch"] = Field(
        default="picture",
        description="picture: each picture's scale is tied to the start; batch: their mean alone, for a start that "
        "knows no depth",
    )
    height: Weight = Field(
        default=1.0,
        description="squared ln of the camera's height above the floor that depth shows, of the true one, where a "
        "segmenter finds the floor and the footage says camera_height_m; with it set scale: 0",
    )
    shape: Weight = Field(default=0.05, description="L1 of the rest of that where the picture has no texture")
    rooms: Weight = Field(default=1.0, description="the supervised loss of rendered rooms beside, where they are given")
    supervised: DepthLossConfig = Field(default=DepthLossConfig(), description="that loss")
    motion: Literal["matches", "network", "network_alone"] = Field(
        default="matches",
        description="matches: as found from points, corrected for each pair; network: from the pictures, "
        "once the turn that points show is undone; network_alone: turn and way from the pictures, as published. "
        "Poses and baselines that are known are taken as they are",
    )
    motion_encoder: Literal["mobilenet_v2", "resnet18"] = Field(
        default="mobilenet_v2", description="of the network that sees motion; resnet18 is Monodepth2's"
    )
    motion_lr_factor: Positive = Field(default=1.0, description="learning rate of motions, of the network's")
    settle_steps: Annotated[int, Field(ge=0)] = Field(
        default=200, description="first steps, in which motions alone learn from footage"
    )


class BoundaryLossConfig(Section):
    """Of `task: layout` with `net.head: boundary`; see `LayoutLoss`."""

    boundary: Weight = Field(default=1.0, description="L1 of the wall's edges, rad")
    corners: Weight = Field(default=1.0, description="cross entropy of the corners")
    distance: Weight = Field(default=0.0, description="L1 of the log distance that the floor's edge gives")
    openings: Weight = Field(default=0.0, description="cross entropy of doors, windows and openings")
    extended: Weight = Field(default=0.0, description="L1 of the edges as seen through openings, rad")
    beyond: Weight = Field(default=0.0, description="how much nearer the edges seen through openings are than the wall")
    spread: Weight = Field(default=0.0, description="likelihood of the boundary's errors, which it does not change")


class HorizonDepthLossConfig(Section):
    """Of `task: layout` with `net.head: horizon_depth`; see `HorizonDepthLoss`. Defaults are LGT-Net's."""

    distance: Weight = Field(default=0.9, description="L1 of the walls' distances, in camera heights")
    ratio: Weight = Field(default=0.1, description="L1 of the ceiling's height above the camera, in camera heights")
    normals: Weight = Field(default=0.1, description="the walls' directions and their steps")


class LightingLossConfig(Section):
    """Of `task: lighting`; see `LightingLoss`."""

    coefficients: Weight = Field(default=1.0, description="relative L1 of the coefficients")
    irradiance: Weight = Field(default=1.0, description="scale-invariant RMS of the irradiance they give")
    radiance: Weight = Field(default=0.0, description="L1 of the log of the coarse radiance map")
    hidden: Weight = Field(
        default=0.0, description="share of the light that is added, where the truth hides less than a twentieth"
    )


class JointLossConfig(Section):
    """Of `task: joint`: each noun's own section, and how much it counts beside the others."""

    depth: DepthLossConfig = DepthLossConfig()
    layout: BoundaryLossConfig = BoundaryLossConfig()
    lighting: LightingLossConfig = LightingLossConfig()
    depth_share: Weight = 1.0
    layout_share: Weight = 1.0
    lighting_share: Weight = 1.0

    @model_validator(mode="after")
    def _normals_of_a_pinhole(self) -> JointLossConfig:
        if self.depth.normals > 0:
            raise ValueError("depth.normals is of a perspective picture, and a joint network sees a panorama: drop it")
        return self


class ObjectsLossConfig(Section):
    """Of `task: objects`; see `training/losses/objects.py`."""

    occupancy: Weight = Field(default=4.0, description="cross entropy with the share of each cell that is filled")
    dice: Weight = Field(default=0.5, description="1 - Dice overlap")
    colour: Weight = Field(default=0.5, description="squared error of colours where the thing is")
    rendering: Weight = Field(default=0.1, description="squared errors of mask and colours seen from other sides")
    views: Count = Field(default=2, description="other views that are rendered")
    rays: Count = Field(default=256, description="of each of them")
    samples: Count = Field(default=48, description="of each ray")
    distilled_looks: Weight = Field(
        default=0.1,
        description="`distill objects`: squared errors of how it looks beside its teacher, from one random side",
    )


LossConfig = (
    DepthLossConfig
    | SelfDepthLossConfig
    | BoundaryLossConfig
    | HorizonDepthLossConfig
    | LightingLossConfig
    | JointLossConfig
    | ObjectsLossConfig
)
