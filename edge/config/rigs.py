"""Sources that are composed into a panorama: several cameras, two fisheyes in one picture, the faces of a cube."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from edge.cameras.base import MOST_WIDTH_PX, ComposedSpec, CubeFaces, Member, ReplaySpec, View
from edge.cameras.cube import FACES, CubeOrder, Layout
from edge.config.lenses import FisheyeConfig, LensConfig
from edge.config.sources import SingleSourceConfig, SourceConfig, spec_for
from edge.config.values import ExistingPath, Name, Positive, Rate, Section, problem
from edge.scene import CameraModel, FisheyeCircle

_Quarter = Literal[0, 90, 180, 270]
_Face = Annotated[int, Field(ge=1, le=4)]


class _ComposedConfig(Section):
    """What every composed source has."""

    width_px: int | None = Field(
        default=2048,
        ge=256,
        le=MOST_WIDTH_PX,
        multiple_of=2,
        description="of the panorama, px; null: as fine as the pictures",
    )
    nadir_mask_deg: float = Field(
        default=0.0, ge=0, le=80, description="what lies so near to straight down is not shown (a tripod), degrees"
    )


class RigCameraConfig(LensConfig):
    """One camera of a rig: its pictures, its lens, and how it is turned in the rig."""

    name: Name | None = Field(default=None, description="what messages call it; default: its number", examples=["left"])
    source: SourceConfig = Field(description="where its pictures come from: type replay, v4l2, rtsp, http or csi")


class RigConfig(_ComposedConfig):
    """Several cameras close together, whose pictures become one panorama."""

    type: Literal["rig"]
    cameras: Annotated[tuple[RigCameraConfig, ...], Field(min_length=1, max_length=16, strict=False)] = Field(
        description="each with its source, its lens, and yaw_deg, pitch_deg, roll_deg in the rig"
    )
    spread_ms: Positive = Field(
        default=50.0, description="pictures taken within this time of each other are composed, ms"
    )
    stale_after_s: Positive = Field(
        default=2.0, description="a camera that sent nothing for so long is left out, and its part masked, s"
    )
    match_exposure: bool = Field(default=True, description="make pictures equally bright where they overlap")

    @model_validator(mode="after")
    def _names_differ(self) -> RigConfig:
        seen: set[str] = set()
        for n, label in enumerate(self._labels):
            if label in seen:
                raise problem(f"{label!r} is the name of another camera of this rig", "Give it its own", "cameras", n)
            seen.add(label)
        return self

    @property
    def _labels(self) -> list[str]:
        return [camera.name or str(n) for n, camera in enumerate(self.cameras, 1)]

    @property
    def spec(self) -> ComposedSpec:
        """As the capture process takes it."""
        return ComposedSpec(
            tuple(
                Member(label, spec_for(camera.source, camera.projection), (View(camera.lens),))
                for label, camera in zip(self._labels, self.cameras, strict=True)
            ),
            self.width_px,
            spread_s=self.spread_ms / 1000,
            stale_after_s=self.stale_after_s,
            match_exposure=self.match_exposure,
            nadir_mask_rad=math.radians(self.nadir_mask_deg),
        )


class TurnedFisheyeConfig(FisheyeConfig):
    """One lens of a dual fisheye."""

    yaw_deg: float = Field(
        default=0.0, ge=-360, le=360, description="direction of view, degrees, positive to the right"
    )
    pitch_deg: float = Field(default=0.0, ge=-90, le=90, description="tilt, degrees, positive upwards")
    roll_deg: float = Field(default=0.0, ge=-180, le=180, description="degrees, positive: turned clockwise from behind")

    @property
    def view(self) -> View:
        """As the capture process takes it."""
        turn = [math.radians(deg) for deg in (self.yaw_deg, self.pitch_deg, self.roll_deg)]
        model = CameraModel("fisheye", fisheye=self.lens, yaw_rad=turn[0], pitch_rad=turn[1], roll_rad=turn[2])
        return View(model, seek_circle=self.width_px is None and not {"centre", "radius"} & self.model_fields_set)


class DualFisheyeConfig(_ComposedConfig):
    """A 360 degree camera that sends both its fisheyes side by side in one picture."""

    type: Literal["dual_fisheye"]
    source: SourceConfig = Field(description="where the pictures come from: type replay, v4l2, rtsp, http or csi")
    lenses: Annotated[tuple[TurnedFisheyeConfig, ...], Field(min_length=2, max_length=2, strict=False)] = Field(
        default=(TurnedFisheyeConfig(fov_deg=190), TurnedFisheyeConfig(fov_deg=190, yaw_deg=180)),
        description="as `fisheye`, of the whole picture, the left one first, each with yaw_deg, pitch_deg, roll_deg; "
        "where neither a calibration nor centre or radius is given, the circle is found in the picture",
    )
    match_exposure: bool = Field(default=True, description="make both equally bright where they overlap")

    @property
    def spec(self) -> ComposedSpec:
        """As the capture process takes it."""
        return ComposedSpec(
            (Member("picture", spec_for(self.source, "fisheye"), self._views),),
            self.width_px,
            match_exposure=self.match_exposure,
            nadir_mask_rad=math.radians(self.nadir_mask_deg),
        )

    @property
    def _views(self) -> tuple[View, ...]:
        """A circle that is to be found is at first taken to fill its half."""
        views = [lens.view for lens in self.lenses]
        for n, (view, x) in enumerate(zip(views, (0.25, 0.75), strict=True)):
            if view.seek_circle and isinstance(view.model.fisheye, FisheyeCircle):
                circle = replace(view.model.fisheye, centre=(x, 0.5))
                views[n] = replace(view, model=replace(view.model, fisheye=circle))
        return tuple(views)


class CubeConfig(_ComposedConfig):
    """The six faces of a cube map, as files or in one picture."""

    type: Literal["cube"]
    order: CubeOrder = Field(
        default="frblud",
        description="front right back left up down; opengl: +x -x +y -y +z -z; matterport: up, four around, down",
    )
    front: _Face = Field(default=1, description="of matterport: which of the four around looks ahead")
    clockwise: bool = Field(default=True, description="of matterport: whether the four follow each other to the right")
    rotate_deg: Annotated[tuple[_Quarter, ...], Field(min_length=6, max_length=6, strict=False)] = Field(
        default=(0,) * 6, description="by how much each face is turned clockwise to be upright: 0, 90, 180, 270"
    )
    faces: Annotated[tuple[ExistingPath, ...], Field(strict=False)] | None = Field(
        default=None, description="six files (or folders, or videos) in that order", examples=[["front.jpg"]]
    )
    picture: ExistingPath | None = Field(
        default=None, description="or one that holds all: in a row, a column, 3 by 2, or a cross (which has no order)"
    )
    fps: Rate = Field(default=1.0, description="pictures a second")
    loop: bool = Field(default=True, description="start again at the end")

    @model_validator(mode="after")
    def _six_faces(self) -> CubeConfig:
        if (self.faces is None) == (self.picture is None):
            raise problem("a cube is six faces, or one picture of them", "Give either `faces` or `picture`")
        if self.faces is not None and len(self.faces) != len(FACES):
            raise problem(f"a cube has six faces, not {len(self.faces)}", "List six files", "faces")
        if self.order != "matterport" and {"front", "clockwise"} & self.model_fields_set:
            key = next(iter({"front", "clockwise"} & self.model_fields_set))
            raise problem(f"{key} says how a Matterport skybox is", f"Remove {key}, or say order: matterport", key)
        return self

    @property
    def spec(self) -> ComposedSpec:
        """As the capture process takes it."""
        paths: tuple[Path, ...] = self.faces or ((self.picture,) if self.picture else ())
        layout = Layout(self.order, self.front, self.clockwise)
        return ComposedSpec(
            tuple(Member(p.name, ReplaySpec(p, loop=self.loop, fps=self.fps)) for p in paths),
            self.width_px,
            nadir_mask_rad=math.radians(self.nadir_mask_deg),
            cube=CubeFaces(layout.faces, tuple(float(turn) for turn in self.rotate_deg)),
        )


ComposedSourceConfig = RigConfig | DualFisheyeConfig | CubeConfig
CameraSource = Annotated[SingleSourceConfig | ComposedSourceConfig, Field(discriminator="type")]
"""Any source of a camera."""
