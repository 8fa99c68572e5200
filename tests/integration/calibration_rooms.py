"""Rendered rooms with cameras that are known exactly, and how far `edge calibrate` is from them.

    python -m tests.integration.calibration_rooms render build/calibration --rooms 30 --assets ../shared/assets
    python -m tests.integration.calibration_rooms measure build/calibration

A room gives one perspective picture, from a corner as installers mount cameras, and one tilted panorama.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.cameras.picture import decoded
from edge.derive.calibrate.verticals import level
from edge.errors import CalibrationError, DataError
from edge.geometry.rigid import LEVEL_FORWARD, rotation_room_camera
from edge.scene import CameraModel
from training.data.synthetic.assets import read_catalog
from training.data.synthetic.clips import corner_view
from training.data.synthetic.description import Room
from training.data.synthetic.rendered import exposure_scale, picture
from training.data.synthetic.rooms import describe
from training.data.synthetic.stage import build
from training.data.synthetic.tracer import PanoramaCamera, PerspectiveCamera, Shot, Tracer

Floats = npt.NDArray[np.float32]
VIEW_WH, PANORAMA_W = (800, 600), 1024
NOISE = 2.0
"""Standard deviation of the sensor's noise, of 255."""


class TiltedPanorama(PanoramaCamera):
    """A panorama camera that does not hang level."""

    def __init__(self, height_m: float, width_px: int, pitch_rad: float, roll_rad: float) -> None:
        super().__init__(height_m, width_px)
        self._turn = (rotation_room_camera(0.0, pitch_rad, roll_rad) @ LEVEL_FORWARD.T).astype(np.float32)

    def directions(self, x: Floats, y: Floats) -> Floats:
        """As the level one's, turned."""
        return np.asarray(self._turn @ super().directions(x, y), dtype=np.float32)


def _written(
    out: Path, name: str, shot: Shot, exposure: float, rng: np.random.Generator, about: dict[str, Any]
) -> None:
    image = picture(shot.radiance, exposure_scale(shot.radiance, exposure))
    noisy = np.clip(image + rng.normal(0, NOISE, image.shape), 0, 255).astype(np.uint8)
    cv2.imwrite(str(out / f"{name}.jpg"), noisy[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    (out / f"{name}.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def render(out: Path, rooms: int, assets: Path | None, seed: int = 1, samples: int = 6) -> None:
    """Write pictures, depths and cameras of `rooms` rooms; those that are there already are not rendered again."""
    out.mkdir(parents=True, exist_ok=True)
    catalog = read_catalog(assets)
    tracer = Tracer(catalog, 1, samples)
    for index in range(rooms):
        if (out / f"panorama-{index:03d}.json").is_file():
            continue
        rng = np.random.default_rng((seed, index))
        room: Room = describe(seed, index, catalog, views=0)
        hfov, pitch, roll = np.radians([rng.uniform(55, 100), rng.uniform(-35, 5), rng.normal(0, 2.5)])
        height_m = min(float(rng.uniform(1.2, 2.4)), room.height_m - 0.15)
        try:
            view = corner_view(room, hfov_deg=float(np.degrees(hfov)), height_m=height_m)
        except DataError:  # furniture stands in every corner
            continue
        view = replace(view, pitch_rad=float(pitch), roll_rad=float(roll))
        tilt = np.radians(rng.normal(0, 4, 2))
        cameras = [PerspectiveCamera(view, *VIEW_WH), TiltedPanorama(room.camera_height_m, PANORAMA_W, *tilt)]
        flat, round_ = tracer.shoot(tracer.scene(room, build(room, catalog)), cameras, [samples, samples], room.seed)
        angles = {"pitch_deg": float(np.degrees(pitch)), "roll_deg": float(np.degrees(roll))}
        lens = {"projection": "perspective", "hfov_deg": float(np.degrees(hfov)), "camera_height_m": height_m}
        _written(out, f"view-{index:03d}", flat, 0.25, rng, {**lens, **angles, "style": room.style})
        angles = dict(zip(("pitch_deg", "roll_deg"), np.degrees(tilt).tolist(), strict=True))
        lens = {"projection": "equirectangular", "camera_height_m": room.camera_height_m}
        _written(out, f"panorama-{index:03d}", round_, 0.25, rng, {**lens, **angles, "style": room.style})
        print(f"room {index}", flush=True)


def errors(folder: Path, kind: str) -> tuple[npt.NDArray[np.float64], list[str]]:
    """(N, 2) errors of pitch and roll, degrees, of the pictures of a kind, and why the others were refused."""
    found, refused = [], []
    for path in sorted(folder.glob(f"{kind}-*.json")):
        about = json.loads(path.read_text(encoding="utf-8"))
        hfov = np.deg2rad(about["hfov_deg"]) if kind == "view" else None
        image = decoded(path.with_suffix(".jpg").read_bytes())
        try:
            tilt = level([image], CameraModel(about["projection"], hfov_rad=hfov))
        except CalibrationError as error:
            refused.append(f"{path.stem}: {error}")
            continue
        there = np.degrees([tilt.pitch_rad, tilt.roll_rad])
        found.append(np.abs(there - (about["pitch_deg"], about["roll_deg"])))
    return np.array(found).reshape(-1, 2), refused


def measure(folder: Path) -> None:
    """Print the table of docs/calibration.md."""
    print("| pictures | | median | 90th percentile | worst | refused |")
    print("|---|---|---|---|---|---|")
    for kind in ("view", "panorama"):
        off, refused = errors(folder, kind)
        for i, name in enumerate(("pitch", "roll")):
            values = " | ".join(f"{v:.2f}°" for v in (*np.quantile(off[:, i], [0.5, 0.9]), off[:, i].max()))
            print(f"| {kind}, {len(off)} of {len(off) + len(refused)} | {name} | {values} | {len(refused)} |")
        print("\n".join(refused), file=sys.stderr)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["render", "measure"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rooms", type=int, default=30)
    parser.add_argument("--assets", type=Path, default=None)
    asked = parser.parse_args()
    if asked.step == "render":
        render(asked.folder, asked.rooms, asked.assets)
    else:
        measure(asked.folder)


if __name__ == "__main__":
    main()
