"""The values that travel through the daemon: what was seen, and what was inferred from it.

Frames and axes are defined once, here:

* room frame: right-handed, metres, x right, y forward, z up, origin on the floor under the camera;
* perspective and fisheye camera: OpenCV (x right, y down, z forward);
* panorama: equirectangular, width = 2 x height, pixel centres at +0.5, longitude 0 at the image centre (room +y) and
  positive to the right (room +x), latitude +pi/2 up.

All are frozen; arrays are shared, not copied, so nobody writes into them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

ImageArray = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]

Task = Literal["depth", "layout", "lighting"]
TASKS: tuple[Task, ...] = ("depth", "layout", "lighting")
Noun = Task | Literal["objects"]
"""What a model answers for: a task of every picture, or the things that are asked about in one."""
Projection = Literal["perspective", "fisheye", "equirectangular"]
Scale = Literal["metric", "relative"]
Fit = Literal["manhattan", "general", "raw"]
OpeningKind = Literal["door", "window", "opening"]
Outline = tuple[tuple[float, float], ...]
"""Corners on a picture, in fractions of its width (from the left) and height (from the top)."""
OpeningSource = Literal["configured", "found"]


@dataclass(frozen=True, slots=True)
class _Calibrated:
    """What every calibrated lens has: px of a picture `width_px` x `height_px`."""

    width_px: int
    height_px: int
    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float

    def resized(self: _Lens, width_px: int, height_px: int) -> _Lens:
        """The same lens for the picture stretched to another size."""
        sx, sy = width_px / self.width_px, height_px / self.height_px
        return replace(
            self,
            width_px=width_px,
            height_px=height_px,
            fx_px=self.fx_px * sx,
            fy_px=self.fy_px * sy,
            cx_px=self.cx_px * sx,
            cy_px=self.cy_px * sy,
        )


_Lens = TypeVar("_Lens", bound=_Calibrated)


@dataclass(frozen=True, slots=True)
class Intrinsics(_Calibrated):
    """Pinhole intrinsics in px of a picture `width_px` x `height_px`; distortion as OpenCV's k1 k2 p1 p2 k3."""

    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0

    @property
    def distorted(self) -> bool:
        """Whether any distortion coefficient is set."""
        return any((self.k1, self.k2, self.p1, self.p2, self.k3))


@dataclass(frozen=True, slots=True)
class Fisheye(_Calibrated):
    """A fisheye lens in px of a picture `width_px` x `height_px`: OpenCV's fisheye model (Kannala and Brandt, 2006).

    What lies at the angle t from the axis is t (1 + k1 t^2 + k2 t^4 + k3 t^6 + k4 t^8) focal lengths from the centre;
    all 0: equidistant. `fov_rad`: the angle across the circle that the lens shows.
    """

    k1: float = 0.0
    k2: float = 0.0
    k3: float = 0.0
    k4: float = 0.0
    fov_rad: float = math.pi


@dataclass(frozen=True, slots=True)
class FisheyeCircle:
    """An uncalibrated, equidistant fisheye: the circle that it draws in a picture of any size.

    `centre` in fractions of the picture's width and height, `radius` of its shorter side.
    """

    fov_rad: float = math.pi
    centre: tuple[float, float] = (0.5, 0.5)
    radius: float = 0.5


@dataclass(frozen=True, slots=True)
class PanoramaPart:
    """Which part of the sphere an equirectangular picture covers; angles as in a whole one."""

    left_rad: float
    """Longitude of its left edge, -pi..pi."""
    right_rad: float
    """Of its right edge; at most a whole turn further to the right."""
    bottom_rad: float
    """Latitude of its lower edge."""
    top_rad: float


@dataclass(frozen=True, slots=True)
class OpeningInView:
    """A door, a window or an open passage as the camera sees it: between two bearings, how high above the floor."""

    kind: OpeningKind
    from_rad: float
    """The left edge: 0 = room +y (forward), positive to the right."""
    to_rad: float
    """The right edge; less than half a turn further to the right."""
    sill_m: float
    height_m: float
    """Of the opening itself, above the sill."""


@dataclass(frozen=True, slots=True)
class CameraModel:
    """What the installer knows of a camera: its projection, its lens and how it is mounted.

    `camera_height_m` is the height of the lens above the floor; None means unknown, and then nothing is metric that
    needs it. `yaw_rad` is positive to the right, `pitch_rad` positive upwards, `roll_rad` positive when the
    camera is turned clockwise about its optical axis.
    """

    projection: Projection
    intrinsics: Intrinsics | None = None
    """Of a perspective camera; or `hfov_rad`."""
    hfov_rad: float | None = None
    fisheye: Fisheye | FisheyeCircle | None = None
    """Of a fisheye camera."""
    part: PanoramaPart | None = None
    """Of a panorama that is not the whole sphere."""
    camera_height_m: float | None = None
    yaw_rad: float = 0.0
    pitch_rad: float = 0.0
    roll_rad: float = 0.0
    masks: tuple[Outline, ...] = ()
    """What nobody may see: painted over in every picture; what lies there is unknown."""
    openings: tuple[OpeningInView, ...] = ()
    """What the installer knows of the room's doors and windows."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of one camera. `image` is (H, W, 3) uint8, sRGB, in the order R, G, B."""

    camera: str
    sequence: int
    captured_at: float
    """Seconds since the Unix epoch, UTC."""
    captured_monotonic_s: float
    """The same moment on this machine's monotonic clock; latencies are measured from it."""
    image: ImageArray
    model: CameraModel
    seen: BoolArray | None = None
    """(H, W) where the picture shows something, as one composed of several may not everywhere; None: everywhere. The
    same object for as long as it does not change."""
    degraded: tuple[str, ...] = ()
    """Why it shows less than it should."""


@dataclass(frozen=True, slots=True)
class DepthMap:
    """Depth in metres if `scale` is metric, else in an unknown unit; 0 = unknown."""

    depth: npt.NDArray[np.float32]
    """(H, W). Along the optical axis if `kind` is "z" (perspective), Euclidean if "range" (panorama, fisheye)."""
    kind: Literal["z", "range"]
    scale: Scale
    aligned_to_layout: float | None = None
    """The factor by which the room's known size corrected the network's scale; None if it did not.

    For a network of relative depth, the metres of its unit: the depth of its median answer.
    """
    expected_error: float | None = None
    """Mean relative error that maps like this one had on held-out pictures; None if the model does not say."""


@dataclass(frozen=True, slots=True)
class WallOpening:
    """A door, a window, or an opening without a leaf, in a wall of a room."""

    kind: OpeningKind
    start_rad: float
    """Longitude of its left end; it goes to the right from here, at times across the panorama's seam."""
    end_rad: float
    start_m: tuple[float, float]
    """The left end on the floor plan, room frame; in camera heights where the room's scale is relative."""
    end_m: tuple[float, float]
    wall: int
    """Which wall of the room's polygon it is in: from corner `wall` to the next."""
    confidence: float
    """0..1."""


@dataclass(frozen=True, slots=True)
class RoomLayout:
    """A room's shell as seen from the camera: the raw boundary and the polygon fitted to it."""

    ceiling_rad: npt.NDArray[np.float32]
    """(W,) latitude of the wall-ceiling edge in each panorama column, positive up; NaN where not seen."""
    floor_rad: npt.NDArray[np.float32]
    """(W,) latitude of the wall-floor edge, negative below the horizon; NaN where the camera does not see."""
    corner_probability: npt.NDArray[np.float32]
    """(W,) 0..1."""
    column_confidence: npt.NDArray[np.float32]
    """(W,) 0..1; 0 where the camera does not see."""
    polygon_m: npt.NDArray[np.float64]
    """(N, 2) floor corners, room frame, counter-clockwise from above; in camera heights if `scale` is relative."""
    camera_height_m: float
    ceiling_height_m: float
    area_m2: float
    volume_m3: float
    confidence: float
    fit: Fit
    fit_reason: str
    scale: Scale
    extent: Literal["room", "visible"]
    """"room": the whole room; "visible": only what a camera sees that does not see all round, closed at the camera."""
    openings: tuple[WallOpening, ...] | None = None
    """From left to right; None = the model does not look for them."""


@dataclass(frozen=True, slots=True)
class Lighting:
    """Ambient light as order-2 spherical harmonics in the room frame."""

    coefficients: npt.NDArray[np.float32]
    """(9, 3) pre-scaled irradiance (see `edge.geometry.harmonics`), rows L00..L22, columns R, G, B."""
    convention: str
    ambient: tuple[float, float, float]
    """Mean radiance over the sphere, R, G, B, in units of the picture's white."""
    dominant_direction: tuple[float, float, float]
    """Unit vector towards the strongest light, room frame."""
    dominant_strength: float
    """0 = light from everywhere alike; 1 = the most directional that order-1 harmonics can say."""


@dataclass(frozen=True, slots=True)
class ObjectMesh:
    """A closed, coloured surface in an object's own axes: y up, its front towards +z, its cube around the origin."""

    vertices: npt.NDArray[np.float32]
    """(V, 3)."""
    faces: npt.NDArray[np.int32]
    """(F, 3) triangles, counter-clockwise seen from outside."""
    colours: npt.NDArray[np.uint8]
    """(V, 3) sRGB."""


@dataclass(frozen=True, slots=True)
class ObjectPlace:
    """Where an object stands in the room, in metres."""

    at_m: tuple[float, float, float]
    """Of its own axes' origin, the middle of its cube, in the room frame."""
    yaw_rad: float
    """The bearing its front faces: 0 = room +y (forward), positive to the right."""


@dataclass(frozen=True, slots=True)
class FoundObject:
    """One thing that was asked about: its place in the picture, and its shape if that can be told."""

    name: str
    """Unique among those of a camera."""
    label: str | None
    """What the asker calls it."""
    box: tuple[float, float, float, float]
    """Left, top, right and bottom of its mask, in fractions of the picture's width and height."""
    confidence: float
    """IoU of the mask and that of the mesh, drawn as the camera would see it; 0 where there is no mesh."""
    note: str
    """Why it has no mesh or no place; empty if it has both."""
    seen_at: float
    """When the picture was taken, s since the Unix epoch, UTC."""
    mesh: ObjectMesh | None = None
    size_m: tuple[float, float, float] | None = None
    """Width, depth and height; None where the picture has no metres."""
    place: ObjectPlace | None = None
    other_yaw_rad: float | None = None
    """A quarter turn or more away, and as likely: seen from here, both sides look alike."""

    @property
    def metres(self) -> float | None:
        """Of a length of 1 of the mesh; None where it has no size or no mesh."""
        if self.mesh is None or self.size_m is None:
            return None
        return self.size_m[0] / float(np.ptp(self.mesh.vertices[:, 0]))
