"""How far `edge calibrate` is from the cameras of rendered rooms: see `calibration_rooms`."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.cameras.picture import decoded
from edge.derive.calibrate.boards import PAPERS, Board, Sighting, find_board
from edge.derive.calibrate.floor import doubts, hang
from edge.derive.calibrate.lens import lens_of
from edge.derive.calibrate.lens_found import LensFound
from edge.derive.calibrate.sheet import find_sheet
from edge.derive.calibrate.verticals import Level, level
from edge.derive.calibrate.views import ALL_OVER, DOWN, FlatView, flat_views
from edge.errors import CalibrationError
from edge.geometry import fisheye, pinhole
from edge.scene import CameraModel, Fisheye, FisheyeCircle, ImageArray, Intrinsics

Array = npt.NDArray[np.float64]
A4 = PAPERS["a4"]
WAYS: dict[str, Board | None] = {"checkerboard": A4.plain, "ChArUco board": A4.charuco, "blank sheet": None}


@dataclass
class Errors:
    """Of one quantity, picture by picture: by how much it is off, and one standard deviation as it is told."""

    off: list[float]
    said: list[float]
    doubted: int = 0

    def row(self, name: str, unit: str, digits: int) -> str:
        """A row of the table: median, 90th percentile, worst, and how often within twice what was said."""
        off, said = np.abs(self.off), np.array(self.said)
        values = " | ".join(f"{v:.{digits}f}{unit}" for v in (*np.quantile(off, [0.5, 0.9]), off.max()))
        return f"| {name} | {len(off)} | {values} | {np.mean(off <= 2 * said):.0%} | {self.doubted} |"


def pictures(folder: Path, kind: str) -> Iterator[tuple[str, ImageArray, dict[str, Any]]]:
    """Name, picture and camera of each of a kind."""
    for path in sorted(folder.glob(f"{kind}-*.json")):
        about = json.loads(path.read_text(encoding="utf-8"))
        yield path.stem, decoded(path.with_suffix(".jpg").read_bytes()), about


def model_of(about: dict[str, Any]) -> CameraModel:
    """The camera, of whose tilt nothing is told."""
    return CameraModel(about["projection"], hfov_rad=np.deg2rad(about["hfov_deg"]) if "hfov_deg" in about else None)


def tilt(image: ImageArray, about: dict[str, Any], name: str, refused: list[str]) -> Level | None:
    """From vertical edges, where they are enough."""
    try:
        return level([image], model_of(about))
    except CalibrationError as error:
        refused.append(f"{name}: {error}")
        return None


def seen_on(views: list[FlatView], board: Board | None, upright: Level | None) -> Sighting | None:
    """A board, or a blank sheet, on the floor; None where it is not found."""
    expected = (upright.pitch_rad, upright.roll_rad) if upright else (0.0, 0.0)
    try:
        return find_board(views, [board]) if board else find_sheet(views, "a4", expected, upright)
    except CalibrationError:
        return None


def lying_on(
    views: list[FlatView], board: Board | None, upright: Level | None
) -> tuple[tuple[float, float, float, float], list[str]] | None:
    """Height, pitch and their errors by what lies on the floor, and the doubts; None where it is not found."""
    seen = seen_on(views, board, upright)
    if seen is None:
        return None
    found = hang([seen], (upright.pitch_rad, upright.roll_rad) if upright else (0.0, 0.0), upright)
    return (found.height_m, found.height_error_m, found.pitch_rad, found.pitch_error_rad), doubts(found)


def tilt_errors(folder: Path, kind: str) -> tuple[dict[str, Errors], list[str]]:
    """Of pitch and roll, degrees, from vertical edges; and why pictures were refused."""
    found: dict[str, Errors] = defaultdict(lambda: Errors([], []))
    refused: list[str] = []
    for name, image, about in pictures(folder, kind):
        upright = tilt(image, about, name, refused)
        if upright is not None:
            for key in ("pitch", "roll"):
                found[key].off.append(np.degrees(getattr(upright, f"{key}_rad")) - about[f"{key}_deg"])
                found[key].said.append(np.degrees(getattr(upright, f"{key}_error_rad")))
    return found, refused


def height_errors(folder: Path) -> dict[str, Errors]:
    """Of heights (%) and pitches (degrees) by each thing on the floor with the vertical edges."""
    found: dict[str, Errors] = defaultdict(lambda: Errors([], []))
    for name, image, about in pictures(folder, "view"):
        upright = tilt(image, about, name, [])
        views = flat_views(image, model_of(about), DOWN)
        for way, board in WAYS.items():
            got = lying_on(views, board, upright)
            if got is None:
                continue
            (height, height_error, pitch, pitch_error), why = got
            for key, off, said in (
                ("height", 100 * (height / about["camera_height_m"] - 1), 100 * height_error / height),
                ("pitch", np.degrees(pitch) - about["pitch_deg"], np.degrees(pitch_error)),
            ):
                errors = found[f"{way}, {key}"]
                errors.off.append(off)
                errors.said.append(said)
                errors.doubted += bool(why)
    return found


def found_lens(folder: Path, projection: str, index: int | None = 0) -> tuple[LensFound, Intrinsics | Fisheye] | None:
    """The lens by the pictures of a room, None: of all rooms, told nothing but the kind of lens; and the true one."""
    model = CameraModel("perspective", hfov_rad=1.0)
    if projection == "fisheye":
        model = CameraModel("fisheye", fisheye=FisheyeCircle(np.pi))
    corners, wh, true = [], (0, 0), None
    for _, image, about in pictures(folder, projection if index is None else f"{projection}-{index:03d}"):
        true = (Fisheye if projection == "fisheye" else Intrinsics)(**about["lens"])
        wh = (true.width_px, true.height_px)
        cut = ALL_OVER if projection == "fisheye" else DOWN
        seen = find_board(flat_views(image, model, cut), [PAPERS["a3"].charuco])
        corners += [seen.corners(image, model)] if seen else []
    return (lens_of(corners, model, *wh), true) if true else None


def picture_errors_px(found: Intrinsics | Fisheye, true: Intrinsics | Fisheye, within_rad: float) -> Array:
    """How far directions up to an angle from the axis are drawn from their places, over the picture."""
    if isinstance(true, Fisheye) and isinstance(found, Fisheye):
        rays, seen = fisheye.rays_from_pixels(true)
        rays = rays[seen & (rays[..., 2] > np.cos(within_rad))]
        return np.asarray(np.linalg.norm(fisheye.project(rays, found)[0] - fisheye.project(rays, true)[0], axis=1))
    assert isinstance(true, Intrinsics) and isinstance(found, Intrinsics)
    rays = pinhole.rays_from_pixels(true).reshape(-1, 3)
    return np.asarray(np.linalg.norm(pinhole.project(rays, found)[0] - pinhole.project(rays, true)[0], axis=1))


def lens_line(folder: Path, projection: str, index: int | None) -> str:
    """What is off of the lens found by the pictures of a room, or of all."""
    got = found_lens(folder, projection, index)
    assert got is not None
    lens, true = got
    within = lens.covered * lens.lens.fov_rad / 2 if isinstance(lens.lens, Fisheye) else np.pi
    off = picture_errors_px(lens.lens, true, within)
    said = "" if lens.picture_error_px is None else f" (said: {lens.picture_error_px:.2f})"
    return (
        f"focal length off by {lens.lens.fx_px / true.fx_px - 1:+.2%} (said: {lens.focal_error:.2%}); directions by "
        f"{np.sqrt(np.mean(off**2)):.2f} px rms{said}, {off.max():.2f} at most; covered {lens.covered:.0%}; "
        f"{lens.left_px:.2f} px left; dropped {lens.dropped}"
    )


def measure(folder: Path) -> None:
    """Print the tables of docs/calibration.md."""
    head = "pictures | median | 90th percentile | worst | within twice what is said | doubted |"
    head += "\n|---|---|---|---|---|---|---|"
    print(f"| from edges | {head}")
    for kind in ("view", "panorama"):
        found, refused = tilt_errors(folder, kind)
        for key, errors in found.items():
            print(errors.row(f"{kind}, {key}", "°", 2))
        print("\n".join(refused), file=sys.stderr)
    print(f"\n| with edges and | {head}")
    for key, errors in height_errors(folder).items():
        print(errors.row(key, *((" %", 2) if key.endswith("height") else ("°", 2))))
    for projection in ("perspective", "fisheye"):
        rooms = sorted({int(path.stem.split("-")[1]) for path in folder.glob(f"{projection}-*.json")})
        for index in (*rooms, *([None] if len(rooms) > 1 else [])):
            where = "all rooms" if index is None else f"room {index}"
            print(f"\n{projection}, {where}: {lens_line(folder, projection, index)}")
