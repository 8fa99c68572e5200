"""How a camera hangs, from its pictures: lines for its configuration, how well they are known, what is doubted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import degrees
from typing import Any

import numpy.typing as npt
import yaml

from edge.derive.calibrate.boards import Board, Sighting, find_board
from edge.derive.calibrate.floor import OnFloor, doubts, hang
from edge.derive.calibrate.sheet import find_sheet, told_sheet
from edge.derive.calibrate.verticals import Level, level, yaw_kept_rad
from edge.derive.calibrate.views import DOWN, flat_views, pixel_rays
from edge.errors import CalibrationError
from edge.scene import CameraModel, ImageArray

_STEEP_DEG = 60.0
"""Beyond it pitch and roll say where a camera's picture points too: yaw is written with them."""
Lines = dict[str, Any]


@dataclass(frozen=True)
class Found:
    """Lines for the configuration, how well they are known, and why they are not to be believed."""

    lines: Lines
    known: str
    doubts: list[str]


def mounting(
    images: Sequence[ImageArray],
    model: CameraModel,
    tell: Callable[[str], None],
    *,
    boards: Sequence[Board] = (),
    paper: str | None = None,
    corners: npt.ArrayLike | None = None,
) -> Found:
    """Pitch and roll from vertical edges, and with the height from what lies on the floor; either may be missing.

    Args:
        images: of the camera where it hangs, all of one size.
        model: its lens, and how it hangs, to about 10 degrees.
        tell: called with what is found, a sentence each time.
        boards: that may lie on the floor, one a picture.
        paper: a blank sheet lies there instead, a key of `PAPERS`.
        corners: (4, 2) px of that sheet in the only picture, in any order; None: it is looked for.

    Raises:
        CalibrationError: the pictures do not say it.
        GeometryError: the lens does not fit them.
    """
    upright: Level | None = None
    unlevel: CalibrationError | None = None
    try:
        upright = level(images, model)
        tell(
            f"vertical edges: {_tilt(upright.pitch_rad, upright.pitch_error_rad, 'pitch')}, "
            f"{_tilt(upright.roll_rad, upright.roll_error_rad, 'roll')}; {upright.edges} edges, "
            f"{degrees(upright.left_rad):.2f}° left"
        )
    except CalibrationError as error:
        unlevel = error
    lying = _lying(images, model, boards, paper, corners, upright)
    if unlevel is not None:
        if not lying:
            raise unlevel
        tell(f"vertical edges: not used; {unlevel}")
    if not lying:
        assert upright is not None
        tell(
            f"no {'sheet' if paper else 'board'} is seen, so the height stays open: lay one on the floor "
            "(edge calibrate board, or a blank --sheet), or give --length"
        )
        return Found(_angles(model, upright), _known(upright), [])
    found = hang(lying, (model.pitch_rad, model.roll_rad), upright)
    tell(
        f"{lying[0].board}: height {found.height_m:.3f} ± {found.height_error_m:.3f} m, "
        f"{_tilt(found.pitch_rad, found.pitch_error_rad, 'pitch')}, "
        f"{_tilt(found.roll_rad, found.roll_error_rad, 'roll')}; "
        f"in {found.places} of {len(images)} pictures, {found.left_px:.2f} px left"
    )
    lines = {"camera_height_m": round(found.height_m, 3), **_angles(model, found)}
    return Found(lines, f"height ± {found.height_error_m:.3f} m, {_known(found)}", doubts(found))


def _lying(
    images: Sequence[ImageArray],
    model: CameraModel,
    boards: Sequence[Board],
    paper: str | None,
    corners: npt.ArrayLike | None,
    upright: Level | None,
) -> list[Sighting]:
    """What lies on the floor: one board or sheet a picture, where there is one."""
    expected = (upright.pitch_rad, upright.roll_rad) if upright else (model.pitch_rad, model.roll_rad)
    found = []
    for image in images:
        views = flat_views(image, model, DOWN)
        if paper is None:
            found.append(find_board(views, boards))
        elif corners is None:
            found.append(find_sheet(views, paper, expected, upright))
        else:
            height, width = image.shape[:2]
            found.append(told_sheet(views, pixel_rays(model, corners, width, height), paper, expected, upright))
    return [sighting for sighting in found if sighting is not None]


def _tilt(angle_rad: float, error_rad: float, name: str) -> str:
    return f"{name} {degrees(angle_rad):.2f} ± {degrees(error_rad):.2f}°"


def _angles(model: CameraModel, found: Level | OnFloor) -> Lines:
    lines = {"pitch_deg": round(degrees(found.pitch_rad), 2), "roll_deg": round(degrees(found.roll_rad), 2)}
    if abs(lines["pitch_deg"]) > _STEEP_DEG:
        lines["yaw_deg"] = round(degrees(yaw_kept_rad(model, found.pitch_rad, found.roll_rad)), 2)
    return lines


def _known(tilt: Level | OnFloor) -> str:
    return f"pitch ± {degrees(tilt.pitch_error_rad):.2f}°, roll ± {degrees(tilt.roll_error_rad):.2f}°"


def as_yaml(camera: str, found: Found, replaced: Sequence[str] = ()) -> list[str]:
    """The lines as they belong under a camera in config.yaml; doubts, and keys that they take the place of, above."""
    said = [f"# not to be believed: {doubt}" for doubt in found.doubts]
    said.append(f"# camera {camera}: {found.known}")
    if replaced:
        said.append(f"# in place of {', '.join(replaced)}")
    for key, value in found.lines.items():
        if value is not None:
            text = yaml.safe_dump([value], default_flow_style=True, sort_keys=False, width=1000).strip()[1:-1]
            said.append(f"{key}: {text}")
    return [f"    {line}" for line in said]
