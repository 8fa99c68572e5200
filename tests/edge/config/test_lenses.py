"""The lens of a camera in the configuration file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.errors import ConfigError, ConfigErrors
from edge.scene import Fisheye, FisheyeCircle
from tests.edge.config.test_config import CAMERA, load

CALIBRATION = "width_px: 1920, height_px: 1080, fx_px: 402, fy_px: 403, cx_px: 958, cy_px: 541"


def complaint(folder: Path, lens: str) -> ConfigError:
    """What is wrong with a camera of that lens."""
    with pytest.raises(ConfigError) as caught:
        load(folder, CAMERA.replace("hfov_deg: 75", lens))
    (problem,) = caught.value.problems if isinstance(caught.value, ConfigErrors) else (caught.value,)
    return problem


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what the shortest configuration needs."""
    for name in ("clips", "engines"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_a_fisheye_is_a_circle_or_a_calibration(folder: Path) -> None:
    """A field of view is enough; the numbers of a calibration are OpenCV's."""
    text = CAMERA.replace("hfov_deg: 75", "projection: fisheye\n    fisheye: {fov_deg: 190, centre: [0.49, 0.5]}")
    assert load(folder, text).cameras[0].model.fisheye == FisheyeCircle(np.deg2rad(190), (0.49, 0.5), 0.5)
    calibrated = f"projection: fisheye\n    fisheye: {{{CALIBRATION}, k1: 0.02, k4: -0.001, fov_deg: 170}}"
    lens = load(folder, CAMERA.replace("hfov_deg: 75", calibrated)).cameras[0].model.fisheye
    assert lens == Fisheye(1920, 1080, 402, 403, 958, 541, k1=0.02, k4=-0.001, fov_rad=np.deg2rad(170))


@pytest.mark.parametrize(
    ("lens", "key", "says"),
    [
        ("projection: fisheye", "", "fisheye: {fov_deg: 185}"),
        ("projection: fisheye\n    hfov_deg: 75", "hfov_deg", "say projection: perspective"),
        ("fisheye: {fov_deg: 185}", "fisheye", "say projection: fisheye"),
        ("hfov_deg: 180", "hfov_deg", "170"),
        ("projection: fisheye\n    fisheye: {fov_deg: 301}", "fisheye.fov_deg", "300"),
        ("projection: fisheye\n    fisheye: {k1: 0.1}", "fisheye.k1", "remove k1"),
        ("projection: fisheye\n    fisheye: {fx_px: 100}", "fisheye.fx_px", "Add width_px, height_px, fy_px"),
        (f"projection: fisheye\n    fisheye: {{{CALIBRATION}, radius: 0.4}}", "fisheye.radius", "Remove radius"),
        (f"projection: fisheye\n    fisheye: {{{CALIBRATION}, k1: -0.2}}", "fisheye", "set fov_deg below 148"),
        ("projection: equirectangular\n    fisheye: {fov_deg: 185}", "fisheye", "a panorama has no lens"),
        ("projection: equirectangular\n    panorama: {horizontal_deg: 180}", "panorama.vertical_deg", "Add"),
        ("projection: equirectangular\n    panorama: {vertical_deg: [30, -30]}", "panorama.vertical_deg", "[lower, up"),
        ("panorama: {vertical_deg: [-30, 30]}", "panorama", "say projection: equirectangular"),
    ],
)
def test_a_lens_that_does_not_fit_is_said(folder: Path, lens: str, key: str, says: str) -> None:
    """Each mistake: the key, and what to write instead."""
    problem = complaint(folder, lens)
    assert problem.key == f"cameras[0].{key}".rstrip(".")
    assert says in str(problem)
