"""The picture of docs/calibration.md: a rendered view with the vertical edges, the sheets and the floor that are found.

python -m tests.training.calibration_picture build/calibration/view-001.json docs/calibration.jpg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge.cameras.picture import decoded
from edge.derive.calibrate.edges import line_segments
from edge.derive.calibrate.floor import in_camera
from edge.derive.calibrate.verticals import Level, level, up_in_camera
from edge.derive.calibrate.views import DOWN, FlatView, flat_views
from edge.geometry.pinhole import project
from tests.training.calibration_errors import WAYS, Array, lying_on, model_of, seen_on

Pixels = npt.NDArray[np.uint8]

COLORS = {"checkerboard": (40, 90, 230), "ChArUco board": (200, 60, 200), "blank sheet": (220, 60, 40)}
EDGES, FLOOR, INK = (20, 200, 60), (250, 210, 60), (255, 255, 255)
APART_RAD = np.deg2rad(0.6)


def _line(out: Pixels, a: Array, b: Array, color: tuple[int, int, int], wide: int) -> None:
    ends = [tuple(int(v) for v in np.rint(p * 16)) for p in (a, b)]
    cv2.line(out, *ends, color, wide, cv2.LINE_AA, 4)


def _floor(out: Pixels, view: FlatView, upright: Level, height_m: float) -> None:
    """Lines on the floor, half a metre apart."""
    steps = np.arange(-6, 6.01, 0.5)
    for a, b in [((x, 0.8), (x, 6)) for x in steps] + [((-6, y), (6, y)) for y in steps if y > 0.8]:
        t = np.linspace(0, 1, 60)[:, None]
        points = np.column_stack([np.array(a) + t * (np.array(b) - a), np.zeros(60)])
        pixels, ahead = project(in_camera(points, upright.pitch_rad, upright.roll_rad, height_m), view.k)
        for p, q, there in zip(pixels, pixels[1:], ahead, strict=False):
            if there and (np.abs(np.array([p, q])) < 4000).all():
                _line(out, p, q, FLOOR, 1)


def drawn(about_path: Path) -> Pixels:
    """The view with lines on it, and what each thing on the floor says."""
    about = json.loads(about_path.read_text(encoding="utf-8"))
    image = decoded(about_path.with_suffix(".jpg").read_bytes())
    model = model_of(about)
    view, upright, out = flat_views(image, model, DOWN)[0], level([image], model), image.copy()
    lying = {way: lying_on([view], board, upright) for way, board in WAYS.items()}
    _floor(out, view, upright, next(got[0][0] for got in lying.values() if got))
    up = up_in_camera(upright.pitch_rad, upright.roll_rad)
    for ends in line_segments(view):
        across = np.cross(*view.rays(ends))
        if abs(across @ up) < APART_RAD * np.linalg.norm(across):
            _line(out, *ends, EDGES, 2)
    said = [f"truth: {about['camera_height_m']:.3f} m, pitch {about['pitch_deg']:.2f}"]
    for way, got in lying.items():
        if got is None:
            continue
        (height_m, error_m, pitch_rad, _), _ = got
        seen = seen_on([view], WAYS[way], upright)
        for pixel in seen.pixels if seen else ():
            cv2.circle(out, tuple(int(v) for v in np.rint(pixel * 16)), 4 * 16, COLORS[way], 2, cv2.LINE_AA, 4)
        said.append(f"{way}: {height_m:.3f} m +- {error_m:.3f}, pitch {np.degrees(pitch_rad):.2f}")
    out[: 12 + 24 * len(said), :520] //= 4
    for i, text in enumerate(said):
        cv2.putText(out, text, (12, 22 + 24 * i), cv2.FONT_HERSHEY_SIMPLEX, 0.55, INK, 1, cv2.LINE_AA)
    return out


if __name__ == "__main__":
    cv2.imwrite(sys.argv[2], drawn(Path(sys.argv[1]))[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
