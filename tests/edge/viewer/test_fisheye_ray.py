"""The page puts a fisheye's depth where the device does."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edge.geometry import fisheye
from edge.scene import Fisheye

GEOMETRY = Path(__file__).parents[3] / "edge" / "viewer" / "page" / "src" / "geometry.js"


@pytest.mark.skipif(shutil.which("node") is None, reason="node runs the page's code")
def test_the_pages_rays_are_the_devices() -> None:
    """Of every pixel of a 210 degree lens, also past 90 degrees."""
    lens = Fisheye(64, 48, 11.0, 11.2, 31.0, 25.0, k1=0.02, k2=-0.003, k3=0.0005, k4=-0.00002, fov_rad=np.deg2rad(210))
    numbers = {key: getattr(lens, key) for key in ("fx_px", "fy_px", "cx_px", "cy_px", "k1", "k2", "k3", "k4")}
    script = (
        f"import {{ fisheyeRay }} from {json.dumps(GEOMETRY.as_uri())};\n"
        f"const lens = {json.dumps(numbers)};\n"
        "const rays = [];\n"
        "for (let y = 0; y < 48; y++) for (let x = 0; x < 64; x++) rays.push(fisheyeRay(x, y, lens));\n"
        "console.log(JSON.stringify(rays));\n"
    )
    said = subprocess.run(
        ["node", "--input-type=module", "--no-warnings", "-e", script], capture_output=True, text=True, check=True
    )
    own, shown = fisheye.rays_from_pixels(lens)
    rays = np.array(json.loads(said.stdout)).reshape(48, 64, 3)
    assert rays[shown] == pytest.approx(own[shown], abs=1e-9)
    assert (own[shown][:, 2] < 0).any()
