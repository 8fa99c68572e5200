"""The lens of a camera in the configuration file."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from edge.cameras.base import ComposedSpec, ReplaySpec
from edge.config.lenses import FisheyeConfig, IntrinsicsConfig
from edge.config.values import Section
from edge.errors import ConfigError, ConfigErrors
from edge.scene import CameraModel, Fisheye, FisheyeCircle, Intrinsics, PanoramaPart
from tests.edge.config.test_config import CAMERA, load

CALIBRATION = "width_px: 1920, height_px: 1080, fx_px: 402, fy_px: 403, cx_px: 958, cy_px: 541"


def complaint(folder: Path, text: str) -> ConfigError:
    """The first thing that is wrong with a configuration."""
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    return caught.value.problems[0] if isinstance(caught.value, ConfigErrors) else caught.value


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
    problem = complaint(folder, CAMERA.replace("hfov_deg: 75", lens))
    assert problem.key == f"cameras[0].{key}".rstrip(".")
    assert says in str(problem)


PANORAMA = "cameras:\n  - name: hall\n    projection: equirectangular\n    source: "
LEFT = "{source: {type: replay, path: clips}, hfov_deg: 100, yaw_deg: -45}"

NO_LENS = LEFT.replace("hfov_deg: 100", "projection: fisheye")
NAMED = LEFT.replace("{source", "{name: a, source", 1)


def composed_of(folder: Path, source: str) -> ComposedSpec:
    """What the capture process is told of a camera of that source."""
    spec = load(folder, PANORAMA + source + "\n").cameras[0].spec
    assert isinstance(spec, ComposedSpec)
    return spec


def test_a_rig_is_its_cameras(folder: Path) -> None:
    """Each with its source, its lens and its direction; a panorama among them follows what its stills say."""
    whole = "{name: top, source: {type: replay, path: clips}, projection: equirectangular, pitch_deg: 5}"
    spec = composed_of(folder, f"{{type: rig, cameras: [{LEFT}, {whole}], spread_ms: 20, nadir_mask_deg: 10}}")
    assert [member.label for member in spec.members] == ["1", "top"]
    assert (spec.spread_s, spec.width_px) == (0.02, 2048)
    assert spec.nadir_mask_rad == pytest.approx(np.deg2rad(10))
    (view,) = spec.members[0].views
    assert view.model == CameraModel("perspective", hfov_rad=np.deg2rad(100), yaw_rad=np.deg2rad(-45))
    follows = [m.spec.gpano for m in spec.members if isinstance(m.spec, ReplaySpec)]
    assert follows == [False, True]


def test_a_dual_fisheye_has_two_circles_to_start_with(folder: Path) -> None:
    """Side by side, the left one ahead and the right one behind; looked for unless something says where one is."""
    spec = composed_of(folder, "{type: dual_fisheye, source: {type: replay, path: clips}}")
    front, back = spec.members[0].views
    assert front.model.fisheye == FisheyeCircle(np.deg2rad(190), (0.25, 0.5)) and front.seek_circle
    assert back.model.yaw_rad == pytest.approx(np.pi) and back.seek_circle
    lenses = "[{fov_deg: 200}, {radius: 0.48, centre: [0.74, 0.5]}]"
    spec = composed_of(folder, f"{{type: dual_fisheye, source: {{type: replay, path: clips}}, lenses: {lenses}}}")
    front, back = spec.members[0].views
    assert front.seek_circle and front.model.fisheye == FisheyeCircle(np.deg2rad(200), (0.25, 0.5))
    assert not back.seek_circle and back.model.fisheye == FisheyeCircle(np.pi, (0.74, 0.5), 0.48)


def test_a_cube_is_six_faces_in_an_order(folder: Path) -> None:
    """Files or one picture; Matterport's are up, four around, down."""
    faces = ", ".join(["clips"] * 6)
    cube = composed_of(folder, f"{{type: cube, faces: [{faces}], order: matterport, front: 3, clockwise: false}}").cube
    assert cube is not None
    assert cube.faces == "UBRFLD"
    assert len(composed_of(folder, "{type: cube, picture: clips}").members) == 1


def test_a_part_of_the_sphere_is_composed_and_a_whole_one_is_not(folder: Path) -> None:
    """So that all else sees whole panoramas, and masks."""
    source = "{type: replay, path: clips}\n    panorama: {horizontal_deg: 180, vertical_deg: [-45, 45]}"
    part = composed_of(folder, source).members[0].views[0].model.part
    assert part == PanoramaPart(-np.pi / 2, np.pi / 2, -np.pi / 4, np.pi / 4)
    assert load(folder, PANORAMA + "{type: replay, path: clips}\n").cameras[0].model.part is None


@pytest.mark.parametrize(
    ("source", "key", "says"),
    [
        ("{type: cube, faces: [clips, clips]}", "source.faces", "List six files"),
        ("{type: cube}", "source", "Give either"),
        ("{type: cube, picture: clips, front: 2}", "source.front", "say order: matterport"),
        ("{type: cube, picture: clips, order: cross}", "source.order", "frblud"),
        ("{type: cube, picture: gone.jpg}", "source.picture", "nothing at"),
        ("{type: rig, cameras: []}", "source.cameras", ""),
        (f"{{type: rig, cameras: [{NO_LENS}]}}", "source.cameras[0]", "fisheye"),
        (f"{{type: rig, cameras: [{NAMED}, {NAMED}]}}", "source.cameras[1]", "own"),
        ("{type: rig, cameras: [{source: {type: cube, picture: clips}}]}", "source.cameras[0].source", ""),
    ],
)
def test_a_composed_source_that_cannot_be_is_said(folder: Path, source: str, key: str, says: str) -> None:
    """Each mistake: the key, and what to write instead."""
    problem = complaint(folder, PANORAMA + source + "\n")
    assert str(problem.key).startswith(f"cameras[0].{key}")
    assert says in str(problem)


@pytest.mark.parametrize(
    ("section", "value", "apart"),
    [(IntrinsicsConfig, Intrinsics, set[str]()), (FisheyeConfig, Fisheye, {"fov_rad"})],
    ids=["intrinsics", "fisheye"],
)
def test_every_number_of_a_lens_can_be_configured(section: type[Section], value: type, apart: set[str]) -> None:
    """Under its own name, and what may be left out has the same default; the field of view is in degrees there."""
    for field in dataclasses.fields(value):
        if field.name not in apart:
            key = section.model_fields[field.name]
            assert key.get_default() == field.default or field.default is dataclasses.MISSING
    assert apart <= {"fov_rad"} and math.degrees(Fisheye(1, 1, 1, 1, 0, 0).fov_rad) == FisheyeConfig().fov_deg


def test_a_composed_source_gives_a_panorama(folder: Path) -> None:
    """A rig whose projection is not said, or another, is told which it is."""
    text = "cameras:\n  - name: hall\n    hfov_deg: 90\n    source: " + f"{{type: rig, cameras: [{LEFT}]}}\n"
    with pytest.raises(ConfigErrors, match="Say projection: equirectangular"):
        load(folder, text)
