"""A lens in config.yaml: projection, field of view or calibration, and how the camera is turned."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field, model_validator

from edge.config.values import Positive, Section, SidePx, problem
from edge.errors import GeometryError
from edge.geometry.fisheye import check_fisheye
from edge.scene import CameraModel, Fisheye, FisheyeCircle, Intrinsics, PanoramaPart, Projection

_Share = Annotated[float, Field(ge=0, le=1)]
_CALIBRATED = ("width_px", "height_px", "fx_px", "fy_px", "cx_px", "cy_px")
_COEFFICIENTS = ("k1", "k2", "k3", "k4")
_CIRCLE = ("centre", "radius")
_KEYS = {"perspective": ("hfov_deg", "intrinsics"), "fisheye": ("fisheye",), "equirectangular": ("panorama",)}
"""Of each projection, what describes its lens."""
_A_LENS = {
    "perspective": (
        "the field of view of a perspective camera must be known",
        "Add for example `hfov_deg: 75`, or `intrinsics` of a calibration, or say projection: equirectangular",
    ),
    "fisheye": (
        "the lens of a fisheye camera must be known",
        "Add for example `fisheye: {fov_deg: 185}`, or with the numbers of a calibration",
    ),
}


class IntrinsicsConfig(Section):
    """A calibrated lens, in px of the picture size it was calibrated at; distortion as OpenCV's."""

    width_px: SidePx
    height_px: SidePx
    fx_px: Positive
    fy_px: Positive
    cx_px: Positive
    cy_px: Positive
    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0


class FisheyeConfig(Section):
    """A fisheye lens: calibrated (OpenCV's fisheye model), or by the circle that it draws (then equidistant)."""

    fov_deg: float = Field(
        default=180.0, gt=10, le=300, description="angle across the circle that the lens shows, degrees; over 180 too"
    )
    width_px: SidePx | None = Field(default=None, description="of a calibration: the picture's width, px")
    height_px: SidePx | None = Field(default=None, description="of a calibration: the picture's height, px")
    fx_px: Positive | None = Field(default=None, description="of a calibration, px for each rad at the centre")
    fy_px: Positive | None = Field(default=None, description="of a calibration, px for each rad at the centre")
    cx_px: Positive | None = Field(default=None, description="of a calibration: the circle's centre, px")
    cy_px: Positive | None = Field(default=None, description="of a calibration: the circle's centre, px")
    k1: float = Field(default=0.0, description="of a calibration, as OpenCV's fisheye; all 0: equidistant")
    k2: float = 0.0
    k3: float = 0.0
    k4: float = 0.0
    centre: Annotated[tuple[_Share, _Share], Field(strict=False)] = Field(
        default=(0.5, 0.5), description="without a calibration: the circle's centre, fractions of width and height"
    )
    radius: float = Field(
        default=0.5,
        gt=0.05,
        le=2,
        description="without a calibration: the circle's radius, as a fraction of the picture's shorter side",
    )

    @model_validator(mode="after")
    def _whole(self) -> FisheyeConfig:
        given = [key for key in _CALIBRATED if getattr(self, key) is not None]
        if given and len(given) < len(_CALIBRATED):
            missing = [key for key in _CALIBRATED if key not in given]
            raise problem("a calibration is whole or not there", f"Add {', '.join(missing)}", given[0])
        for key in _CIRCLE if given else _COEFFICIENTS:
            if key in self.model_fields_set:
                what = "a calibration says where the circle is" if given else "coefficients belong to a calibration"
                remedy = f"Remove {key}" if given else f"Add {', '.join(_CALIBRATED)}, or remove {key}"
                raise problem(what, remedy, key)
        if given:
            assert isinstance(self.lens, Fisheye)
            try:
                check_fisheye(self.lens)
            except GeometryError as error:
                what, _, remedy = str(error).partition("; ")
                raise problem(what, remedy[:1].upper() + remedy[1:]) from error
        return self

    @property
    def lens(self) -> Fisheye | FisheyeCircle:
        """As geometry takes it."""
        fov_rad = math.radians(self.fov_deg)
        if self.width_px is None:
            return FisheyeCircle(fov_rad, self.centre, self.radius)
        numbers = {key: getattr(self, key) for key in (*_CALIBRATED, *_COEFFICIENTS)}
        return Fisheye(**numbers, fov_rad=fov_rad)


class PanoramaConfig(Section):
    """Which part of the sphere the pictures of a panorama camera cover, where it is not all of it."""

    horizontal_deg: float = Field(default=360.0, gt=5, le=360, description="from the left to the right edge, degrees")
    vertical_deg: Annotated[
        tuple[Annotated[float, Field(ge=-90, le=90)], Annotated[float, Field(ge=-90, le=90)]], Field(strict=False)
    ] = Field(description="the lower and the upper edge, degrees above the horizon", examples=[[-60.0, 30.0]])

    @model_validator(mode="after")
    def _has_a_height(self) -> PanoramaConfig:
        low, high = self.vertical_deg
        if high - low < 5:
            raise problem("the upper edge is not above the lower one", "Write [lower, upper]", "vertical_deg")
        return self

    @property
    def part(self) -> PanoramaPart:
        """As geometry takes it."""
        half = math.radians(self.horizontal_deg) / 2
        low, high = (math.radians(deg) for deg in self.vertical_deg)
        return PanoramaPart(-half, half, low, high)


class LensConfig(Section):
    """What a camera's pictures show, and how it is turned."""

    projection: Projection = Field(
        default="perspective",
        description="perspective: an ordinary lens; fisheye: a circle, up to all round; equirectangular: a 360 degree "
        "panorama",
    )
    hfov_deg: float | None = Field(
        default=None,
        gt=5,
        lt=170,
        description="horizontal field of view of a perspective camera, degrees; wider lenses: projection fisheye",
        examples=[75.0],
    )
    intrinsics: IntrinsicsConfig | None = Field(default=None, description="a calibrated lens, instead of hfov_deg")
    fisheye: FisheyeConfig | None = Field(default=None, description="the lens of a fisheye camera")
    panorama: PanoramaConfig | None = Field(
        default=None, description="of a panorama camera whose pictures are not the whole sphere: which part they are"
    )
    yaw_deg: float = Field(
        default=0.0, ge=-360, le=360, description="direction of view, degrees, positive to the right"
    )
    pitch_deg: float = Field(default=0.0, ge=-90, le=90, description="tilt, degrees, positive upwards")
    roll_deg: float = Field(
        default=0.0,
        ge=-180,
        le=180,
        description="degrees, positive: camera turned clockwise seen from behind, verticals lean left",
    )

    @model_validator(mode="after")
    def _lens_is_known(self) -> LensConfig:
        given = {kind: [key for key in keys if getattr(self, key) is not None] for kind, keys in _KEYS.items()}
        others = [key for kind, keys in given.items() if kind != self.projection for key in keys]
        own = given[self.projection]
        if others and self.projection == "equirectangular":
            kind = next(kind for kind, keys in given.items() if others[0] in keys)
            raise problem("a panorama has no lens", f"Remove {others[0]}, or say projection: {kind}", others[0])
        if others:
            kind = next(kind for kind, keys in given.items() if others[0] in keys)
            what = f"{others[0]} describes a camera of another projection"
            raise problem(what, f"Remove it, or say projection: {kind}", others[0])
        if not own and self.projection in _A_LENS:
            raise problem(*_A_LENS[self.projection])
        if len(own) > 1:
            raise problem("hfov_deg and intrinsics both describe the lens", "Remove hfov_deg", "hfov_deg")
        return self

    @property
    def lens(self) -> CameraModel:
        """The lens, and how the camera is turned."""
        own = self.intrinsics
        return CameraModel(
            projection=self.projection,
            intrinsics=Intrinsics(**own.model_dump()) if own else None,
            hfov_rad=None if self.hfov_deg is None else math.radians(self.hfov_deg),
            fisheye=self.fisheye.lens if self.fisheye else None,
            part=self.panorama.part if self.panorama else None,
            yaw_rad=math.radians(self.yaw_deg),
            pitch_rad=math.radians(self.pitch_deg),
            roll_rad=math.radians(self.roll_deg),
        )
