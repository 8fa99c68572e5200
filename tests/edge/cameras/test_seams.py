"""What seams tell of a cube's order and of a rig's exposure; `edge rig check`."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from edge.__main__ import app
from edge.cameras.base import CubeFaces, View
from edge.cameras.composer import Composer
from edge.cameras.cube import FACES, CubeOrder, Layout, face_view
from edge.cameras.picture import decoded
from edge.cameras.seams import difference_as, inner_difference, meetings, orders
from edge.errors import GeometryError
from edge.geometry.view import picture_rays
from edge.scene import CameraModel, ImageArray
from tests.edge.cameras.test_composer import pictured

ROOM = Path(__file__).parents[3] / "edge" / "demo" / "panorama"


def real(model: CameraModel, wh: tuple[int, int]) -> ImageArray:
    """What a camera of that lens shows that stands where a real panorama was taken."""
    panorama = decoded(sorted(ROOM.glob("*.jpg"))[0].read_bytes())
    looks, shown = picture_rays(model, wh, wh)
    height, width = panorama.shape[:2]
    x = (np.arctan2(looks[..., 0], looks[..., 1]) / (2 * np.pi) + 0.5) * width - 0.5
    y = (0.5 - np.arcsin(looks[..., 2].clip(-1, 1)) / np.pi) * height - 0.5
    at = x.astype(np.float32), y.astype(np.float32)
    seen = cv2.remap(panorama, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.where(shown[..., None], seen, np.uint8(0))


@pytest.fixture(scope="module")
def room() -> dict[str, ImageArray]:
    """The faces of a cube round a real room."""
    return {face: real(face_view(face).model, (128, 128)) for face in FACES}


LAYOUTS = [Layout("frblud"), Layout("opengl"), Layout("matterport", 3), Layout("matterport", 2, clockwise=False)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_order_of_a_real_rooms_faces_is_found(room: dict[str, ImageArray], layout: Layout) -> None:
    """Whichever it is, it is the one whose seams differ least, by far, and no face has to be turned."""
    best, *others = orders([room[face] for face in layout.faces])
    assert best.layout.faces == layout.faces
    assert best.rotate_deg == (0,) * 6
    assert best.difference < 3 * inner_difference(list(room.values()))
    assert min(other.difference for other in others) > 2 * best.difference


def test_opengls_order_read_as_another_fails(room: dict[str, ImageArray]) -> None:
    """Faces in OpenGL's order do not meet when they are taken for front, right, back, left, up, down."""
    faces = [room[face] for face in Layout("opengl").faces]
    wrong, right = (difference_as(CubeFaces(Layout(o).faces), faces) for o in ("frblud", "opengl"))
    assert wrong > 3 * right


def test_turned_faces_are_found(room: dict[str, ImageArray]) -> None:
    """By how much each is turned, in the order in which they come; then the seams are those of the upright cube."""
    turns = (0, 90, 0, 180, 270, 90)
    faces = [np.rot90(room[face], turn // 90) for face, turn in zip(FACES, turns, strict=True)]
    best = orders(faces)[0]
    assert best.layout == Layout("frblud")
    assert best.rotate_deg == turns
    upright = difference_as(CubeFaces(FACES), list(room.values()))
    assert best.turned_difference == pytest.approx(upright, abs=0.2)
    assert difference_as(CubeFaces(FACES, turns), faces) == pytest.approx(best.turned_difference)


def test_what_is_no_cube_has_no_order() -> None:
    """Five faces, or faces of several sizes."""
    face = np.zeros((32, 32, 3), np.uint8)
    for faces in ([face] * 5, [face] * 5 + [face[:16, :16]]):
        with pytest.raises(GeometryError, match="six squares"):
            orders(faces)


def test_a_rigs_overlap_and_exposure_are_told() -> None:
    """Two views of 100 degrees, 60 apart, overlap by 40; one at half the light is told by its gain."""
    lens = CameraModel("perspective", hfov_rad=np.deg2rad(100))
    views = [View(lens), View(CameraModel("perspective", hfov_rad=np.deg2rad(100), yaw_rad=np.deg2rad(60)))]
    bright = np.full((64, 64, 3), 180, np.uint8)
    dark = np.full((64, 64, 3), 132, np.uint8)  # half of it in linear light
    (found,), gains = meetings(Composer([[view] for view in views]), [bright, dark])
    assert found.difference == pytest.approx(48)
    assert found.matched < 2
    assert gains[1] / gains[0] == pytest.approx([2.0] * 3, rel=0.03)
    assert 0.02 < found.share < 0.09


def write_cube(folder: Path, room: dict[str, ImageArray], order: str, written: CubeOrder = "opengl") -> Path:
    """A configuration whose camera is a cube; its files come in the order `written`."""
    (folder / "engines").mkdir()
    names = [f"{n}.png" for n in range(6)]
    for name, face in zip(names, Layout(written).faces, strict=True):
        cv2.imwrite(str(folder / name), room[face][..., ::-1])
    path = folder / "config.yaml"
    path.write_text(
        f"cameras:\n  - name: cube\n    source: {{type: cube, order: {order}, faces: [{', '.join(names)}]}}\n"
        "    projection: equirectangular\n",
        encoding="utf-8",
    )
    return path


def test_rig_check_names_the_order(tmp_path: Path, room: dict[str, ImageArray]) -> None:
    """Configured wrongly it exits 1 and prints the line to write; with that it exits 0."""
    path = write_cube(tmp_path, room, "frblud")
    said = CliRunner().invoke(app, ["rig", "check", "cube", "--config", str(path)])
    assert said.exit_code == 1
    assert "order: opengl" in said.output
    path.write_text(path.read_text().replace("frblud", "opengl"))
    said = CliRunner().invoke(app, ["rig", "check", "cube", "--config", str(path)])
    assert said.exit_code == 0, said.output
    assert "matterport" in said.output


def test_rig_check_tells_how_a_rig_meets(tmp_path: Path) -> None:
    """Pairs that overlap with their difference, cameras that meet no other, and each one's gain."""
    (tmp_path / "engines").mkdir()
    cameras = []
    for name, yaw in (("left", -40), ("right", 40), ("behind", 180)):
        view = View(CameraModel("perspective", hfov_rad=np.deg2rad(100), yaw_rad=np.deg2rad(yaw)))
        cv2.imwrite(str(tmp_path / f"{name}.png"), pictured(view, (128, 96))[..., ::-1])
        source = f"{{type: replay, path: {name}.png}}"
        cameras.append(f"        - {{name: {name}, source: {source}, hfov_deg: 100, yaw_deg: {yaw}}}\n")
    path = tmp_path / "config.yaml"
    rig = f"    source:\n      type: rig\n      cameras:\n{''.join(cameras)}"
    path.write_text(f"cameras:\n  - name: rig\n    projection: equirectangular\n{rig}", encoding="utf-8")
    said = CliRunner().invoke(app, ["rig", "check", "rig", "-c", str(path)])
    assert said.exit_code == 0, said.output
    assert "left - right" in said.output
    assert "overlaps with no other: behind" in said.output
