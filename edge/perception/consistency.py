"""What is inferred of one camera held against itself: answers that contradict each other need no label to be doubted.

Depth must lie on the room's shell, the floor as far below the camera as it hangs, a room must stay the same while its
picture does, and its mirror image be its mirror image; ceilings are of a usual height, light comes from where it is
bright, and vertical edges stand upright. Each rule has one number and one limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge.derive.calibrate.verticals import level, up_in_camera
from edge.errors import CalibrationError, GeometryError
from edge.geometry.panorama import rays
from edge.geometry.polygon import iou
from edge.geometry.view import depth_directions
from edge.perception.alignment import shell_range, speaks_in_metres
from edge.perception.preprocess import resize
from edge.scene import CameraModel, DepthMap, Frame, ImageArray, Lighting, RoomLayout, Task

Array = npt.NDArray[np.float64]

OFF_SHELL = 0.15
"""Median share of the shell's distance that depth is off it."""
OFF_FLOOR = 0.10
"""Share of the camera's height that the floor, by depth, is off it."""
SAME_PICTURE = 0.98
"""Correlation of two pictures from which they show the same."""
LEAST_IOU = 0.8
"""Of the floors of two layouts of one room."""
CEILING_M = (2.0, 4.5)
OFF_LIGHT_DEG = 60.0
OFF_UPRIGHT_DEG = 3.0
_UPRIGHT_IS_KNOWN_DEG = 1.0
"""Standard deviation of where the edges say up is, from which on they say nothing."""
_LEAST_STRENGTH = 0.2
"""Of light, from which its direction means something."""
_BRIGHTEST = 0.01
"""Share of the sphere that counts as where the light is."""
_SIDE_PX = (128, 64)
_FLOOR_BELOW = -0.7
"""Sine of the elevation below which one looks at the floor and not at the foot of a wall."""
_LEAST_PIXELS = 64


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A rule that does not hold."""

    rule: str
    value: float
    limit: float
    text: str


@dataclass(frozen=True, slots=True)
class Seen:
    """One frame with what was inferred from it."""

    frame: Frame
    values: Mapping[Task, object]

    @property
    def layout(self) -> RoomLayout | None:
        """The room, if it is known."""
        found = self.values.get("layout")
        return found if isinstance(found, RoomLayout) else None


def contradictions(seen: Seen, before: Seen | None = None, mirrored: RoomLayout | None = None) -> list[Contradiction]:
    """The rules that do not hold.

    Args:
        seen: now.
        before: ten minutes ago or more, by the same networks.
        mirrored: the layout of the mirrored picture.
    """
    found = [_ceiling(seen.layout), _beside_mirrored(seen.layout, mirrored), _light(seen), _gravity(seen.frame)]
    found += _depth(seen)
    found += [] if before is None else [_unsteady(seen, before)]
    return [c for c in found if c is not None]


def mirror_camera(camera: CameraModel) -> CameraModel:
    """The camera of a level panorama, whose mirror image is one too."""
    return CameraModel("equirectangular", camera_height_m=camera.camera_height_m)


def _ceiling(layout: RoomLayout | None) -> Contradiction | None:
    if layout is None or layout.scale != "metric" or layout.extent != "room":
        return None
    height, (low, high) = layout.ceiling_height_m, CEILING_M
    if low <= height <= high:
        return None
    limit = low if height < low else high
    return Contradiction("ceiling_height", height, limit, f"the ceiling would be {height:.2f} m high")


def _beside_mirrored(layout: RoomLayout | None, mirrored: RoomLayout | None) -> Contradiction | None:
    if layout is None or mirrored is None:
        return None
    overlap = iou(layout.polygon_m, mirrored.polygon_m * (-1.0, 1.0))
    if overlap >= LEAST_IOU:
        return None
    return Contradiction(
        "mirrored", overlap, LEAST_IOU, f"the room of the mirrored picture overlaps this by {overlap:.0%} alone"
    )


def _unsteady(seen: Seen, before: Seen) -> Contradiction | None:
    now, then = seen.layout, before.layout
    if now is None or then is None or _likeness(seen.frame.image, before.frame.image) < SAME_PICTURE:
        return None
    overlap = iou(now.polygon_m, then.polygon_m)
    if overlap >= LEAST_IOU:
        return None
    return Contradiction(
        "unsteady", overlap, LEAST_IOU, f"the picture stayed, the room overlaps by {overlap:.0%} alone"
    )


def _likeness(one: ImageArray, other: ImageArray) -> float:
    """Correlation of two pictures' brightness; 1: the same."""
    grey = [cv2.cvtColor(resize(p, *_SIDE_PX), cv2.COLOR_RGB2GRAY).astype(np.float64) for p in (one, other)]
    a, b = ((g - g.mean()).ravel() for g in grey)
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norm if norm > 0 else 0.0


@dataclass(frozen=True, slots=True)
class BesideShell:
    """What is seen and where the room's shell is, on a grid of the depth map; metres from the camera, 0: unknown."""

    range_m: Array
    shell_m: Array
    directions: Array
    """Unit vectors (H, W, 3) in the room's axes."""
    ceiling: npt.NDArray[np.bool_]
    """Where the shell is the ceiling."""

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Where there is both."""
        return np.isfinite(self.shell_m) & (self.range_m > 0)

    @property
    def off_walls_and_floor(self) -> float | None:
        """Median share of the shell's distance that depth is off it; None: too little of them is seen."""
        counted = self.known & ~self.ceiling
        if counted.sum() < _LEAST_PIXELS:
            return None
        return float(np.median(np.abs(self.range_m - self.shell_m)[counted] / self.shell_m[counted]))


def beside_shell(seen: Seen, most_columns: int | None = None) -> BesideShell | None:
    """Depth beside the room's shell; None unless both are known in metres. `most_columns`: of a coarser grid."""
    layout, depth = seen.layout, seen.values.get("depth")
    if not isinstance(depth, DepthMap) or depth.scale != "metric" or not speaks_in_metres(layout):
        return None
    tall, wide = depth.depth.shape
    step = max(1, wide // (most_columns or wide))
    image_wh = (seen.frame.image.shape[1], seen.frame.image.shape[0])
    directions, per_depth = depth_directions(seen.frame.model, image_wh, (wide, tall))
    some = (slice(step // 2, None, step), slice(step // 2, None, step))
    directions = directions[some]
    metres = depth.depth[some] * (per_depth[some] if isinstance(per_depth, np.ndarray) else per_depth)
    shell = shell_range(layout, directions)
    ceiling = directions[..., 2] * shell > (layout.ceiling_height_m - layout.camera_height_m) * 0.999
    return BesideShell(np.asarray(metres, np.float64), shell, directions, ceiling)


def _depth(seen: Seen) -> list[Contradiction | None]:
    layout, beside = seen.layout, beside_shell(seen, _SIDE_PX[0])
    if layout is None or beside is None:
        return []
    found: list[Contradiction | None] = []
    off = beside.off_walls_and_floor
    if off is not None and off > OFF_SHELL:
        text = f"half of the depth is off walls and floor by {off:.0%} or more"
        found.append(Contradiction("depth_off_room", off, OFF_SHELL, text))
    down = beside.known & (beside.directions[..., 2] < _FLOOR_BELOW) & ~beside.ceiling
    if down.sum() >= _LEAST_PIXELS:
        height = float(np.median(-beside.directions[..., 2][down] * beside.range_m[down]))
        off = abs(height / layout.camera_height_m - 1)
        text = f"by depth the floor is {height:.2f} m below the camera, which hangs {layout.camera_height_m:.2f} m high"
        found.append(Contradiction("depth_off_floor", off, OFF_FLOOR, text) if off > OFF_FLOOR else None)
    return found


def _gravity(frame: Frame) -> Contradiction | None:
    """Whether edges that are vertical in the room agree with how the camera is said to hang; silent where few do."""
    model = frame.model
    if frame.seen is not None:  # composed of several pictures, whose seams are edges too
        return None
    try:
        found = level([frame.image], model)
    except (CalibrationError, GeometryError):
        return None
    if np.degrees(max(found.pitch_error_rad, found.roll_error_rad)) > _UPRIGHT_IS_KNOWN_DEG:
        return None
    up, said = up_in_camera(found.pitch_rad, found.roll_rad), up_in_camera(model.pitch_rad, model.roll_rad)
    angle_deg = float(np.degrees(np.arccos(np.clip(up @ said, -1, 1))))
    if angle_deg <= OFF_UPRIGHT_DEG:
        return None
    return Contradiction(
        "gravity",
        angle_deg,
        OFF_UPRIGHT_DEG,
        f"vertical edges stand {angle_deg:.1f}° off the configured pitch and roll; they say pitch_deg "
        f"{np.degrees(found.pitch_rad):.1f}, roll_deg {np.degrees(found.roll_rad):.1f}",
    )


def _light(seen: Seen) -> Contradiction | None:
    """Only on a panorama: a camera that sees a part does not see where the light is."""
    light, model = seen.values.get("lighting"), seen.frame.model
    if not isinstance(light, Lighting) or model.projection != "equirectangular" or seen.frame.seen is not None:
        return None
    if light.dominant_strength < _LEAST_STRENGTH:
        return None
    small = resize(seen.frame.image, *_SIDE_PX).astype(np.float64).mean(axis=2)
    directions, _ = depth_directions(model, (seen.frame.image.shape[1], seen.frame.image.shape[0]), _SIDE_PX)
    area = np.sqrt(np.clip(1 - rays(*_SIDE_PX)[..., 2] ** 2, 0, 1))
    bright = small >= np.quantile(small, 1 - _BRIGHTEST)
    towards = (directions * (small * area * bright)[..., None]).sum(axis=(0, 1))
    length = float(np.linalg.norm(towards))
    if length == 0:
        return None
    cosine = float(np.clip(towards @ np.array(light.dominant_direction) / length, -1, 1))
    angle_deg = float(np.degrees(np.arccos(cosine)))
    if angle_deg <= OFF_LIGHT_DEG:
        return None
    return Contradiction(
        "light_off_picture",
        angle_deg,
        OFF_LIGHT_DEG,
        f"the light would come from {angle_deg:.0f}° off what is brightest",
    )
