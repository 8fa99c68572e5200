"""`edge calibrate` as people call it: lines that config.yaml takes, a board to print, what it says of mistakes."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from edge.__main__ import app
from edge.config.sections import load_config
from edge.derive.calibrate.board_sheet import board_pdf, board_svg
from edge.derive.calibrate.boards import PAPERS
from tests.edge.derive.calibrate.drawn import floor_picture

CAMERA = {"name": "hall", "source": {"type": "replay", "path": "."}, "projection": "perspective", "hfov_deg": 75.0}


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
    path.write_text(yaml.safe_dump({"cameras": [CAMERA]}), encoding="utf-8")
    return path


def test_its_lines_are_configuration(picture: Path, config: Path) -> None:
    """Pasted below the camera they are loaded, and are what drew the picture."""
    code, lines, told = run("hall", "-c", config, "--picture", picture)
    assert code == 0, told
    config.write_text(yaml.safe_dump({"cameras": [{**CAMERA, **yaml.safe_load(lines)}]}), encoding="utf-8")
    camera = load_config(config).cameras[0]
    assert camera.camera_height_m == pytest.approx(1.45, rel=0.01)
    assert camera.pitch_deg == pytest.approx(-24.0, abs=0.3)
    assert camera.roll_deg == pytest.approx(1.5, abs=0.3)
    assert "A4 board" in told


def test_a_length_and_mistakes(picture: Path, config: Path) -> None:
    """A length as shown scales the height; what cannot be used is told with what to do."""
    config.write_text(yaml.safe_dump({"cameras": [{**CAMERA, "camera_height_m": 1.3}]}), encoding="utf-8")
    at = ("hall", "-c", config, "--picture", picture)
    code, lines, told = run(*at, "--length", "3.42=3.60")
    assert (code, yaml.safe_load(lines)) == (0, {"camera_height_m": 1.368}), told
    for arguments, said in (
        ((*at, "--length", "wall"), "is no length"),
        ((*at, "--length", "10,10:400,500=2"), "below the horizon"),
        ((*at, "--lens"), "a lens needs 4"),
        ((*at, "--checkerboard", "9by6"), "--checkerboard 9x6 --square-mm 25"),
        (("attic", "-c", config), "no camera"),
        (("hall", "-c", config, "--picture", config), "is not a whole picture"),
        (("board", config.with_suffix(".gif")), "end the name"),
    ):
        code, _, told = run(*arguments)
        assert (code, said in told) == (1, True), told


def test_the_board_has_its_sizes(tmp_path: Path) -> None:
    """Squares of 38 mm on an A4 page, in SVG's millimetres and in PDF's points."""
    code, told, _ = run("board", tmp_path / "board.pdf")
    assert (code, "100 %" in told) == (0, True)
    paper = PAPERS["a4"]
    assert b'width="38.00" height="38.00"' in board_svg(paper)
    pdf = board_pdf(paper)
    assert (tmp_path / "board.pdf").read_bytes() == pdf
    points = [float(v) for v in re.search(rb"([\d.]+) ([\d.]+) ([\d.]+) ([\d.]+) re", pdf).groups()]  # type: ignore[union-attr]
    assert points[2:] == pytest.approx([38 * 72 / 25.4] * 2, abs=0.01)
    start = int(re.search(rb"startxref\n(\d+)", pdf)[1])  # type: ignore[index]
    assert pdf[start:].startswith(b"xref")
