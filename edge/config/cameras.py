"""The sections of config.yaml that describe a camera: its source, its lens, how it hangs, what is done with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from edge.cameras import largest
from edge.cameras.base import ComposedSpec, HttpSpec, Member, SourceSpec, View, recording_of
from edge.config.heat_loss import HeatLossConfig
from edge.config.lenses import LensConfig
from edge.config.objects import ObjectRegionConfig
from edge.config.rigs import CameraSource, ComposedSourceConfig
from edge.config.scene import SeenOpeningConfig
from edge.config.sources import spec_for
from edge.config.values import Name, Positive, Section, problem
from edge.geometry.polygon import is_simple
from edge.mqtt.topics import RESERVED_CAMERA_NAMES
from edge.scene import TASKS, CameraModel, Outline, Task

_FROZEN_S, _FROZEN_PICTURES = 300.0, 10
"""Encoders repeat a still picture until their next key frame; those that adapt to the scene wait up to two minutes."""
_Share = Annotated[float, Field(ge=0, le=1)]
_Corner = Annotated[tuple[_Share, _Share], Field(strict=False)]
_Corners = Annotated[tuple[_Corner, ...], Field(min_length=3, max_length=64, strict=False)]


def _is_outline(corners: Outline) -> Outline:
    if not is_simple(corners):
        raise problem("crosses or touches itself, or has no area", "Give the corners in order around what to hide")
    return corners


class PictureConfig(Section):
    """The camera's picture on <camera>/picture: who may read the topic sees what the camera sees."""

    width_px: int = Field(default=640, ge=64, le=4096, description="width at most, px; the shape stays")
    quality: int = Field(default=75, ge=1, le=100, description="of the JPEG")
    every_s: float = Field(default=10.0, ge=0.2, le=86400, description="time between two pictures, s")


class CameraConfig(LensConfig):
    """One camera: where its pictures come from, its lens, how it hangs, what is done with it."""

    name: Name = Field(description="name in its topics; unique on this device", examples=["hall"])
    source: CameraSource = Field(
        description="where the pictures come from: type replay, v4l2, rtsp, http or csi; or composed of several: rig, "
        "dual_fisheye, cube"
    )
    camera_height_m: float | None = Field(
        default=None, gt=0.05, le=20, description="height of the lens above the floor, m; null: nothing is metric"
    )
    tasks: Annotated[tuple[Task, ...], Field(min_length=1, strict=False)] = Field(
        default=TASKS, description="what is inferred from its pictures"
    )
    privacy_masks: Annotated[
        tuple[Annotated[_Corners, AfterValidator(_is_outline)], ...], Field(max_length=32, strict=False)
    ] = Field(
        default=(),
        description="polygons painted over before anything is inferred or sent: corners [x, y] in fractions of the "
        "picture's width and height, from its top left",
        examples=[[[[0.7, 0.2], [1.0, 0.2], [1.0, 0.8], [0.7, 0.8]]]],
    )
    picture: PictureConfig | None = Field(
        default=None, description="the camera's picture on <camera>/picture; null: not published; {}: as below"
    )
    stall_timeout_s: Positive = Field(default=10.0, description="no picture for so long: the capture is restarted, s")
    frozen_after_s: Positive | Literal["auto"] | None = Field(
        default="auto",
        description="the very same picture for so long is reported as frozen, s; auto: 300, or ten pictures where they "
        "are rarer, of live cameras; null: not checked",
    )
    most_megapixels: float = Field(
        default=largest.MOST_MEGAPIXELS,
        ge=0.1,
        le=1000,
        description="a picture that declares more is refused before it is decoded, which takes up to 25 bytes a pixel "
        "for a moment",
    )
    openings: Annotated[tuple[SeenOpeningConfig, ...], Field(max_length=64, strict=False)] = Field(
        default=(), description="doors and windows of its room, by where it sees them; in the layout, plan and model"
    )
    objects: Annotated[tuple[ObjectRegionConfig, ...], Field(max_length=8, strict=False)] = Field(
        default=(), description="objects that are reconstructed again every tasks.objects.every_s"
    )
    heat_loss: HeatLossConfig | None = Field(
        default=None, description="what is behind its room's walls: gives <camera>/heat_loss; null: none"
    )

    @model_validator(mode="after")
    def _openings_have_metres(self) -> CameraConfig:
        if self.openings and self.camera_height_m is None:
            raise problem("openings are placed in metres", "Measure and add camera_height_m", "openings")
        return self

    @model_validator(mode="after")
    def _objects_differ(self) -> CameraConfig:
        if len({region.name for region in self.objects}) < len(self.objects):
            raise problem("two objects have one name", "Give each a name of its own", "objects")
        return self

    @model_validator(mode="after")
    def _heat_loss_has_a_room(self) -> CameraConfig:
        if self.heat_loss is None:
            return self
        if "layout" not in self.tasks:
            raise problem("a heat loss needs the room's layout", "Add layout to tasks", "tasks")
        if self.camera_height_m is None:
            raise problem("a heat loss needs metres", "Measure and add camera_height_m", "heat_loss")
        if self.projection == "perspective":
            raise problem("a perspective camera sees only a part of its room", "Use a panorama camera", "heat_loss")
        return self

    @model_validator(mode="after")
    def _name_and_tasks(self) -> CameraConfig:
        if self.name in RESERVED_CAMERA_NAMES:
            raise problem(f"{self.name!r} is a topic of the bridge itself", "Choose another name", "name")
        if len(set(self.tasks)) < len(self.tasks):
            raise problem("a task is listed twice", "List each of depth, layout, lighting once", "tasks")
        return self

    @model_validator(mode="after")
    def _composed_is_a_panorama(self) -> CameraConfig:
        if not isinstance(self.source, ComposedSourceConfig):
            return self
        if self.projection != "equirectangular":
            what, remedy = f"a {self.source.type} gives a panorama", "Say projection: equirectangular"
            raise problem(what, remedy, "projection" if "projection" in self.model_fields_set else "source")
        if self.panorama is not None:
            what = f"a {self.source.type} says itself which part of the sphere it shows"
            raise problem(what, "Remove panorama", "panorama")
        return self

    @property
    def spec(self) -> SourceSpec:
        """Where its pictures come from, as the capture process takes it."""
        if isinstance(self.source, ComposedSourceConfig):
            return self.source.spec
        spec = spec_for(self.source, self.projection)
        if self.panorama is None:
            return spec
        view = View(CameraModel("equirectangular", part=self.panorama.part))
        return ComposedSpec((Member(self.name, spec, (view,)),))

    @property
    def frozen_s(self) -> float | None:
        """After how long the very same picture is reported; None: never, as of recordings, which may show anything."""
        if self.frozen_after_s != "auto":
            return self.frozen_after_s
        spec = self.spec
        if recording_of(spec) is not None:
            return None
        single = [member.spec for member in spec.members] if isinstance(spec, ComposedSpec) else [spec]
        rarest_s = max((one.every_s for one in single if isinstance(one, HttpSpec)), default=0.0)
        return max(_FROZEN_S, _FROZEN_PICTURES * rarest_s)

    @property
    def model(self) -> CameraModel:
        """What the perception parts need to know of the lens and its place."""
        return replace(
            self.lens,
            part=None,
            camera_height_m=self.camera_height_m,
            masks=self.privacy_masks,
            openings=tuple(opening.opening for opening in self.openings),
        )
