"""`edge calibrate` as people call it: lines that config.yaml takes, a board to print, what it says of mistakes."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from edge.__main__ import app
from edge.commands.calibrate import lens_lines
from edge.config.cameras import CameraConfig
from edge.config.sections import load_config
from edge.scene import Fisheye, Intrinsics
from tests.edge.derive.calibrate.drawn import (
    A4,
    FISHEYE,
    K,
    Lens,
    blank,
    finished,
    floor_picture,
    held,
    near_poses,
    poses_around,
    sheet_on,
)

CAMERA = {"name": "hall", "source": {"type": "replay", "path": "."}, "projection": "perspective", "hfov_deg": 75.0}
ENGINES = {"inference": {"engines": str(Path(__file__).parents[3] / "engines")}}


def run(*arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `edge calibrate`."""
    done = CliRunner().invoke(app, ["calibrate", *map(str, arguments)])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board on the floor of a camera at 1.45 m that looks 24 degrees down."""
    path = tmp_path_factory.mktemp("pictures") / "floor.png"
    image = floor_picture(np.deg2rad(-24.0), np.deg2rad(1.5), 1.45, (0.1, 1.9, 0.4))
    cv2.imwrite(str(path), image[..., ::-1])
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration of one camera."""
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"cameras": [CAMERA], **ENGINES}), encoding="utf-8")
    return path


def pasted(config: Path, camera: dict[str, object], lines: str) -> CameraConfig:
    """The camera that a configuration has once the lines printed for it are pasted below it, as text."""
    name, *rest = yaml.safe_dump([camera], sort_keys=False).splitlines()
    found = re.search(r"# in place of (.*)", lines)
    gone = found[1].split(", ") if found else []
    kept = [f"  {line}" for line in rest if line.split(":")[0].strip() not in gone]
    head = [yaml.safe_dump(ENGINES).rstrip(), "cameras:", f"  {name}", *kept]
    config.write_text("\n".join([*head, lines]), encoding="utf-8")
    return load_config(config).cameras[0]


def test_its_lines_are_configuration(picture: Path, config: Path) -> None:
    """Pasted below the camera they load, and are what drew the picture; how well they are known stays with them."""
    code, lines, told = run("hall", "-c", config, "--picture", picture)
    assert code == 0, told
    camera = pasted(config, CAMERA, lines)
    assert camera.camera_height_m == pytest.approx(1.45, rel=0.01)
    assert camera.pitch_deg == pytest.approx(-24.0, abs=0.3)
    assert camera.roll_deg == pytest.approx(1.5, abs=0.3)
    assert "A4 board" in told
    assert "# camera hall: height ± 0.0" in lines


def test_a_blank_sheet(tmp_path: Path, config: Path) -> None:
    """Found, or told by its corners, it gives the height; what has not four corners, or is elsewhere, is told."""
    path = tmp_path / "sheet.png"
    cv2.imwrite(str(path), floor_picture(np.deg2rad(-24.0), np.deg2rad(1.5), 1.45, (0.1, 1.7, 0.4), board=None))
    at = ("hall", "-c", config, "--picture", path, "--sheet", "a4")
    code, lines, told = run(*at)
    assert (code, yaml.safe_load(lines)["camera_height_m"]) == (0, pytest.approx(1.45, rel=0.01)), told
    assert "A4 sheet" in told
    for corners, said in (("1,2:3,4", "are no corners"), ("10,400:90,400:90,480:10,480", "lies no A4 sheet")):
        code, _, told = run(*at, "--corners", corners)
        assert (code, said in told) == (1, True), told


def test_a_lens_as_it_is_written() -> None:
    """Loaded from its lines, either kind of lens is the one they were written from, to a hundredth of a pixel."""
    bent = Intrinsics(960, 540, 625.512, 624.987, 481.231, 268.004, k1=-0.123456, k2=0.01, p1=1e-4, p2=-2e-4, k3=0.001)
    for lens, projection in ((bent, "perspective"), (FISHEYE, "fisheye")):
        lines = {key: value for key, value in lens_lines(lens).items() if value is not None}
        own = {k: v for k, v in CAMERA.items() if k != "hfov_deg"} | {"projection": projection}
        model = CameraConfig.model_validate({**own, **lines}).model
        loaded = model.intrinsics if projection == "perspective" else model.fisheye
        assert isinstance(loaded, Intrinsics | Fisheye)
        for name in ("width_px", "height_px", "fx_px", "fy_px", "cx_px", "cy_px"):
            assert getattr(loaded, name) == pytest.approx(getattr(lens, name), abs=0.006)
        for name in ("k1", "k2", "p1", "p2", "k3", "k4"):
            assert getattr(loaded, name, 0.0) == pytest.approx(getattr(lens, name, 0.0), abs=1e-6)
    assert isinstance(loaded, Fisheye)
    assert FISHEYE.fov_rad - np.deg2rad(0.1) <= loaded.fov_rad <= FISHEYE.fov_rad


@pytest.mark.slow
@pytest.mark.parametrize("projection", ["perspective", "fisheye"])
def test_a_lens_from_pictures(projection: str, tmp_path: Path, config: Path) -> None:
    """Its lines, pasted, are the lens that drew the board, of either kind; a picture without one is named."""
    lens: Lens = FISHEYE if projection == "fisheye" else K
    camera = {**CAMERA, "projection": projection}
    if projection == "fisheye":
        del camera["hfov_deg"]
        camera["fisheye"] = {"fov_deg": 180}
    config.write_text(yaml.safe_dump({"cameras": [camera], **ENGINES}), encoding="utf-8")
    poses = poses_around(7, 0.9) if projection == "fisheye" else near_poses()
    arguments: list[object] = []
    for i, pose in enumerate([*poses, None]):
        image = blank(lens)
        if pose is not None:
            sheet_on(image, lambda points, pose=pose: held(pose, points, A4.charuco), A4.charuco, lens=lens)  # type: ignore[misc]
        path = tmp_path / f"held-{i}.png"
        cv2.imwrite(str(path), finished(image))
        arguments += ["--picture", path]
    code, lines, told = run("hall", "-c", config, "--lens", *arguments)
    assert f"picture held-{len(poses)}.png: not used; without a board" in told
    assert code in (0, 1), told  # A4 is small for a fisheye: it may say that it saw too little
    model = pasted(config, camera, lines).model
    loaded = model.fisheye if projection == "fisheye" else model.intrinsics
    assert isinstance(loaded, Intrinsics | Fisheye)
    assert loaded.fx_px == pytest.approx(lens.fx_px, rel=0.005)


def test_a_length_and_mistakes(picture: Path, config: Path) -> None:
    """A length as shown scales the height; what cannot be used is told with what to do."""
    config.write_text(yaml.safe_dump({"cameras": [{**CAMERA, "camera_height_m": 1.3}], **ENGINES}), encoding="utf-8")
    at = ("hall", "-c", config, "--picture", picture)
    code, lines, told = run(*at, "--length", "3.42=3.60")
    assert (code, yaml.safe_load(lines)) == (0, {"camera_height_m": 1.368}), told
    for arguments, said in (
        ((*at, "--length", "wall"), "is no length"),
        ((*at, "--length", "10,10:400,500=2"), "below the horizon"),
        ((*at, "--lens"), "a lens needs 4"),
        ((*at, "--checkerboard", "9by6"), "--checkerboard 9x6 --square-mm 25"),
        ((*at, "--charuco", "5x7", "--square-mm", "40"), "--marker-mm 30"),
        ((*at, "--charuco", "5x7", "--square-mm", "40", "--marker-mm", "30", "--dictionary", "3x3"), "4x4_50"),
        ((*at, "--corners", "1,2:3,4:5,6:7,8"), "--sheet a4"),
        (("attic", "-c", config), "no camera"),
        (("hall", "-c", config, "--picture", config), "is not a whole picture"),
        (("board", config.with_suffix(".gif")), "end the name"),
    ):
        code, _, told = run(*arguments)
        assert (code, said in told) == (1, True), told


def test_the_board_to_print(tmp_path: Path) -> None:
    """Either kind, as PDF or SVG; the size that a square then has is told."""
    for name, arguments, square in (("board.pdf", (), 38), ("charuco.svg", ("--charuco", "--paper", "a3"), 46)):
        code, told, _ = run("board", tmp_path / name, *arguments)
        assert (code, f"a square is {square} mm" in " ".join(told.split())) == (0, True)
    pdf = (tmp_path / "board.pdf").read_bytes()
    start = int(re.search(rb"startxref\n(\d+)", pdf)[1])  # type: ignore[index]
    assert pdf[start:].startswith(b"xref")
    assert ElementTree.fromstring((tmp_path / "charuco.svg").read_bytes()).get("width") == "297mm"
