"""Data: a recipe's `data` and `augment` sections."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from training.config.values import Count, Positive, Section, Share


class SourceConfig(Section):
    """A data set in its publisher's format; `training/data/sets/readers.py` lists the kinds and their options."""

    kind: str
    path: Path | None = Field(default=None, description="its folder; None = given by `--source kind=path`")
    weight: Positive = Field(default=1.0, description="how often it is drawn, against the others and rendered rooms' 1")
    split: Literal["auto", "publisher", "scene"] = Field(
        default="auto", description="auto: the publisher's where it keeps scenes apart, else by scene"
    )
    options: dict[str, Any] = Field(default={}, description="keyword arguments of the kind's reader")


class DataConfig(Section):
    """What to train on. Folders come from the command line where they are not set here."""

    sources: tuple[SourceConfig, ...] = Field(default=(), description="data sets, mixed by weight")
    rooms: Path | None = Field(default=None, description="folder of rendered rooms (*.h5)")
    objects: Path | None = Field(default=None, description="folder of rendered things (objects-*.h5)")
    hdri: Path | None = Field(default=None, description="folder of .hdr environments")
    weights: Path | None = Field(
        default=None, description="to start from: an encoder's .npz, imagenet, or a .ckpt of the same network"
    )
    rooms_share: Share = Field(default=1.0, description="share of samples from rendered rooms where HDRIs are used too")
    hold_out_hdri: tuple[str, ...] = Field(
        default=(), description="HDRI names (kind and ending left out) to validate on"
    )
    split_seed: int = 0
    max_rooms: Count | None = None
    pseudo: Path | None = Field(default=None, description="folder of pseudo-labels, from `edge-train distill label`")
    style: Path | None = Field(default=None, description="folder of real pictures whose look rendered ones are given")
    segmenter: Path | None = Field(
        default=None,
        description="ADE20K segmenter (.npz) that finds people in footage, from whom nothing is learnt, and the floor",
    )
    pseudo_share: Share = Field(default=0.25, description="share of samples from pseudo-labelled pictures, if any")


class AugmentConfig(Section):
    """How samples are varied. Probabilities are 0..1; a strength of 0 switches a step off."""

    perspective_share: Share = Field(default=0.0, description="panoramas reduced to a random perspective camera's view")
    stretch: Annotated[float, Field(ge=1, le=3)] = Field(default=1.0, description="largest panorama stretch factor")
    zoom: Annotated[float, Field(ge=1, le=3)] = Field(default=1.0, description="largest crop-and-enlarge factor")
    flip: bool = True
    roll: bool = Field(default=True, description="turn panoramas about the vertical")
    photometric: Annotated[float, Field(ge=0, le=2)] = Field(default=1.0, description="strength of sensor variation")
    gamma: Annotated[float, Field(ge=1, le=4)] = Field(
        default=1.0, description="panoramas raised to a power up to this or its inverse (HorizonNet)"
    )
    tilt_deg: Annotated[float, Field(ge=0, le=30)] = Field(
        default=0.0, description="standard deviation of panoramas' tilt"
    )
    blend_share: Share = Field(default=0.0, description="HDRIs mixed from two")
    canvas_px: tuple[Count, Count] | None = Field(
        default=None, description="size that depth pictures are varied at; the input is its middle (FCRN)"
    )
    scale: Annotated[float, Field(ge=1, le=3)] = Field(
        default=1.0, description="depth pictures enlarged by s up to this, depth divided by s (FCRN)"
    )
    rotate_deg: Annotated[float, Field(ge=0, le=45)] = Field(
        default=0.0, description="depth pictures turned by up to this either way (FCRN)"
    )
    style_share: Share = Field(default=0.0, description="rendered pictures given the look of one of data.style")
    jitter: Share = Field(default=0.0, description="brightness, contrast and saturation of depth pictures, 1 +- this")
