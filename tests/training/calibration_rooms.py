"""Rendered rooms with cameras that are known exactly, and how far `edge calibrate` is from them.

    python -m tests.training.calibration_rooms render build/calibration --rooms 30 --assets ../shared/assets
    python -m tests.training.calibration_rooms measure build/calibration

A room gives one perspective picture, from a corner as installers mount cameras, with a checkerboard, a ChArUco board
and a blank sheet on the floor; one tilted panorama; and a board that is shown to a distorting perspective lens and to a
fisheye, seven pictures each. `--kinds` chooses among them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import shapely

from edge.derive.calibrate.board_sheet import black_rectangles
from edge.derive.calibrate.boards import PAPERS, Board, Paper
from edge.errors import DataError
from edge.geometry import fisheye, pinhole
from edge.geometry.rigid import LEVEL_FORWARD, apply, inverse, rotation_room_camera, transform
from edge.scene import Fisheye, Intrinsics
from tests.edge.derive.calibrate.drawn import poses_around
from training.data.synthetic.assets import Catalog, read_catalog
from training.data.synthetic.clips import corner_view
from training.data.synthetic.description import Room, View
from training.data.synthetic.rendered import exposure_scale, picture
from training.data.synthetic.rooms import describe
from training.data.synthetic.shapes import quad
from training.data.synthetic.stage import Stage, build
from training.data.synthetic.tracer import PanoramaCamera, Shot, Tracer

Array = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
VIEW_WH, PANORAMA_W = (960, 540), 1024
KINDS = ("room", "perspective", "fisheye")
NOISE = 2.0
"""Standard deviation of the sensor's noise, of 255."""
LENS = Intrinsics(640, 480, 470.0, 468.0, 326.0, 236.0, k1=-0.18, k2=0.05)
FISHEYE = Fisheye(480, 480, 147.0, 146.6, 242.5, 237.7, k1=0.03, k2=-0.012, k3=0.002, fov_rad=float(np.deg2rad(186)))
FARTHEST_M = 2.6
"""Of a sheet from the lens."""
FLAT_M = 0.0003
"""Of paper, and of what is printed on it: no thinner, or the renderer mixes them up."""
HELD = 7
"""Pictures of a board that is held before a lens."""
SIGHTS = 4
"""Pictures that are traced at once."""


class LensCamera:
    """A camera anywhere, with any lens."""

    def __init__(self, lens: Intrinsics | Fisheye, T_room_camera: Array) -> None:
        self.shape = (lens.height_px, lens.width_px)
        self.count = self.shape[0] * self.shape[1]
        self.origin = T_room_camera[:3, 3].astype(np.float32)
        self._lens, self._turn = lens, T_room_camera[:3, :3]

    def directions(self, x: Floats, y: Floats) -> Floats:
        """Unit directions (3, n); outside a fisheye's circle they are those of its edge."""
        pixels = np.stack([x, y], axis=-1)
        if isinstance(self._lens, Fisheye):
            rays = fisheye.rays_at(pixels, self._lens)[0]
        else:
            rays = pinhole.rays_at(pixels, self._lens)
            rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
        return np.asarray((rays @ self._turn.T).T, dtype=np.float32)

    def depth(self, distance_m: Floats) -> Floats:
        """Euclidean range."""
        return distance_m.reshape(self.shape)


class TiltedPanorama(PanoramaCamera):
    """A panorama camera that does not hang level."""

    def __init__(self, height_m: float, width_px: int, pitch_rad: float, roll_rad: float) -> None:
        super().__init__(height_m, width_px)
        self._turn = (rotation_room_camera(0.0, pitch_rad, roll_rad) @ LEVEL_FORWARD.T).astype(np.float32)

    def directions(self, x: Floats, y: Floats) -> Floats:
        """As the level one's, turned."""
        return np.asarray(self._turn @ super().directions(x, y), dtype=np.float32)


# --- what lies on the floor -----------------------------------------------------------------------------------------


def lay_sheet(stage: Stage, T_room_sheet: Array, paper: Paper, board: Board | None) -> None:
    """Put a sheet, blank or printed, into the room: x to its right, y down, z behind, from its middle."""
    half = np.array([paper.width_m, paper.height_m]) / 2

    def rectangle(x: float, y: float, w: float, h: float, above_m: float) -> Array:
        flat = np.array([[x, y + h], [x + w, y + h], [x + w, y], [x, y]])  # counter-clockwise from the printed side
        return apply(T_room_sheet, np.column_stack([flat, np.full(4, -above_m)]))

    stage.add(quad(rectangle(*-half, *(2 * half), FLAT_M), "matt"), (0.8, 0.8, 0.8))
    for x, y, w, h in black_rectangles(paper, board) if board else ():
        at = np.array([x, y]) / 1000 - half
        stage.add(quad(rectangle(*at, w / 1000, h / 1000, 2 * FLAT_M), "matt"), (0.03, 0.03, 0.03))


def on_the_floor(x_m: float, y_m: float, turn_rad: float) -> Array:
    """T_room_sheet of a sheet there with its printed side up."""
    c, s = np.cos(turn_rad), np.sin(turn_rad)
    return transform(np.array([[c, s, 0], [s, -c, 0], [0, 0, -1]]), (x_m, y_m, 0.0))


def _outline(T_room_sheet: Array, paper: Paper) -> shapely.Polygon:
    half = np.array([paper.width_m, paper.height_m, 0]) / 2
    return shapely.Polygon(apply(T_room_sheet, half * [[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])[:, :2])


def _places(room: Room, view: View, rng: np.random.Generator) -> list[Array] | None:
    """Of three sheets side by side on the floor that a view shows, at most 2.6 m away; None: there is no such floor."""
    k, camera = _lens_of(view), _pose(view)
    for _ in range(2000):
        rows = rng.uniform(0.5, 0.85, 3) * VIEW_WH[1]
        columns = rng.permutation([0.27, 0.5, 0.73]) * VIEW_WH[0]
        rays = pinhole.rays_at(np.stack([columns, rows], axis=1), k) @ camera[:3, :3].T
        if (rays[:, 2] > -0.1).any():
            continue
        ends = camera[:3, 3] - rays * (camera[2, 3] / rays[:, 2:])
        there = [on_the_floor(x, y, rng.uniform(-np.pi, np.pi)) for x, y in ends[:, :2]]
        outlines = [_outline(place, PAPERS["a4"]) for place in there]
        apart = min(outlines[i].distance(outlines[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
        inside = shapely.Polygon(room.polygon).buffer(-0.05).contains(shapely.union_all(outlines))
        if inside and apart > 0.1 and np.linalg.norm(ends - camera[:3, 3], axis=1).max() < FARTHEST_M:
            return there
    return None


def _cleared(room: Room, view: View, places: Sequence[Array]) -> Room:
    """Without what stands on the sheets or before them, as people clear the floor for it."""
    sheets = [_outline(place, PAPERS["a4"]) for place in places]
    space = shapely.convex_hull(shapely.union_all([*sheets, shapely.Point(view.position_m[:2])])).buffer(0.1)
    stands = [
        shapely.Point(p.position_m[:2]).buffer(float(np.hypot(*p.size_m[:2])) / 2).intersects(space)
        and p.position_m[2] < view.position_m[2]
        for p in room.pieces
    ]
    return replace(room, pieces=tuple(p for p, there in zip(room.pieces, stands, strict=True) if not there))


def _lens_of(view: View) -> Intrinsics:
    return pinhole.intrinsics_from_fov(*VIEW_WH, view.hfov_rad)


def _pose(view: View) -> Array:
    return transform(rotation_room_camera(view.yaw_rad, view.pitch_rad, view.roll_rad), view.position_m)


# --- a board that is held before a lens -----------------------------------------------------------------------------


def _before_a_lens(
    tracer: Tracer, room: Room, catalog: Catalog, lens: Intrinsics | Fisheye, samples: int, count: int
) -> list[Shot]:
    """Pictures of an A3 ChArUco board that stands in the middle of a room, by a lens that moves about it."""
    rng = np.random.default_rng(room.seed)
    middle = np.array([*shapely.Polygon(room.polygon).representative_point().coords[0], 1.2])
    clear = [p for p in room.pieces if np.hypot(*(np.array(p.position_m[:2]) - middle[:2])) > 1.0 + max(p.size_m) / 2]
    room = replace(room, pieces=tuple(clear))
    stage = build(room, catalog)
    board = transform(rotation_room_camera(float(rng.uniform(-3, 3))), middle)
    lay_sheet(stage, board, PAPERS["a3"], PAPERS["a3"].charuco)
    scene = tracer.scene(room, stage)
    widest = np.deg2rad(68.0) if isinstance(lens, Fisheye) else 0.32
    cameras = [LensCamera(lens, board @ inverse(pose)) for pose in poses_around(count, float(widest), room.seed)]
    shots: list[Shot] = []
    for first in range(0, count, SIGHTS):
        part = cameras[first : first + SIGHTS]
        shots += tracer.shoot(scene, part, [samples] * len(part), room.seed + first)
    return shots


# --- files ----------------------------------------------------------------------------------------------------------


def _written(out: Path, name: str, shot: Shot, rng: np.random.Generator, about: dict[str, Any]) -> None:
    image = picture(shot.radiance, exposure_scale(shot.radiance, 0.25))
    noisy = np.clip(image + rng.normal(0, NOISE, image.shape), 0, 255).astype(np.uint8)
    cv2.imwrite(str(out / f"{name}.jpg"), noisy[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    (out / f"{name}.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def render_room(out: Path, index: int, catalog: Catalog, tracer: Tracer, samples: int, seed: int = 1) -> bool:
    """Write two pictures of a room with three sheets on its floor, by a camera in a corner and by a panorama camera.

    Returns:
        Whether there was place for them.
    """
    rng = np.random.default_rng((seed, index))
    room: Room = describe(seed, index, catalog, views=0)
    hfov, pitch, roll = np.radians([rng.uniform(55, 90), rng.uniform(-35, -14), rng.normal(0, 2.5)])
    height_m = min(float(rng.uniform(1.1, 1.9)), room.height_m - 0.15)
    try:
        view = corner_view(room, hfov_deg=float(np.degrees(hfov)), height_m=height_m)
    except DataError:  # furniture stands in every corner
        return False
    view = replace(view, pitch_rad=float(pitch), roll_rad=float(roll))
    places = _places(room, view, rng)
    if places is None:
        return False
    room = _cleared(room, view, places)
    stage = build(room, catalog)
    a4 = PAPERS["a4"]
    for place, board in zip(places, (a4.plain, a4.charuco, None), strict=True):
        lay_sheet(stage, place, a4, board)
    tilt = np.radians(rng.normal(0, 4, 2))
    cameras = [
        LensCamera(_lens_of(view), _pose(view)),
        TiltedPanorama(room.camera_height_m, PANORAMA_W, *tilt),
    ]
    flat, around = tracer.shoot(tracer.scene(room, stage), cameras, [samples] * 2, room.seed)
    lens = {"projection": "perspective", "hfov_deg": float(np.degrees(hfov)), "camera_height_m": height_m}
    angles = {"pitch_deg": float(np.degrees(pitch)), "roll_deg": float(np.degrees(roll))}
    _written(out, f"view-{index:03d}", flat, rng, {**lens, **angles, "style": room.style})
    lens = {"projection": "equirectangular", "camera_height_m": room.camera_height_m}
    angles = dict(zip(("pitch_deg", "roll_deg"), np.degrees(tilt).tolist(), strict=True))
    _written(out, f"panorama-{index:03d}", around, rng, {**lens, **angles, "style": room.style})
    return True


def render_lens(
    out: Path, index: int, catalog: Catalog, tracer: Tracer, samples: int, *, projection: str, count: int = HELD,
    seed: int = 1,
) -> None:  # fmt: skip
    """Write pictures of a board before a lens: of the perspective one, or of the fisheye."""
    rng = np.random.default_rng((seed, index, 2))
    lens = FISHEYE if projection == "fisheye" else LENS
    room: Room = describe(seed, index, catalog, views=0)
    for i, shot in enumerate(_before_a_lens(tracer, room, catalog, lens, samples, count)):
        if isinstance(lens, Fisheye):
            shot.radiance[~fisheye.rays_from_pixels(lens)[1]] = 0
        about = {"projection": projection, "lens": asdict(lens)}
        _written(out, f"{projection}-{index:03d}-{i:02d}", shot, rng, about)


def render(
    out: Path, rooms: int, assets: Path | None, samples: int = 4, kinds: Sequence[str] = KINDS, first: int = 0
) -> None:
    """Write pictures and cameras of rooms from `first` on, below `rooms`; what is there is not rendered again."""
    out.mkdir(parents=True, exist_ok=True)
    catalog = read_catalog(assets)
    tracer = Tracer(catalog, 1, samples)
    for index in range(first, rooms):
        if "room" in kinds and not (out / f"view-{index:03d}.json").is_file():
            render_room(out, index, catalog, tracer, samples)
        for projection in ("perspective", "fisheye"):
            if projection in kinds and not (out / f"{projection}-{index:03d}-{HELD - 1:02d}.json").is_file():
                render_lens(out, index, catalog, tracer, samples, projection=projection)
        print(f"room {index}", flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["render", "measure"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rooms", type=int, default=30)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--assets", type=Path, default=None)
    parser.add_argument("--samples", type=int, default=4, help="paths a pixel")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    asked = parser.parse_args()
    if asked.step == "render":
        render(asked.folder, asked.rooms, asked.assets, asked.samples, asked.kinds, asked.first)
    else:
        from tests.training.calibration_errors import measure

        measure(asked.folder)


if __name__ == "__main__":
    main()
