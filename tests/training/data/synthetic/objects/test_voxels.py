from __future__ import annotations

import numpy as np
import pytest

from training.data.synthetic.objects.makers import MAKERS, Pieces, make
from training.data.synthetic.objects.models import Body, Thing, things_in
from training.data.synthetic.objects.voxels import fitted, grids_of
from training.metrics.objects import TRUE_LEVEL


def box(size: tuple[float, float, float], middle: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Body:
    """A closed box."""
    p = Pieces(np.random.default_rng(0))
    p.box(0, middle, size)
    return Body(p.vertices[0], p.faces[0], p.part[0], np.array([[0.5, 0.2, 0.1]]))


@pytest.mark.parametrize("size", [(0.7, 0.5, 0.3), (0.9, 0.31, 0.47)])
def test_a_boxs_cells_hold_its_volume(size: tuple[float, float, float]) -> None:
    """Flood fill less half of the shell gives a closed box's volume within 2 %, wherever its faces fall."""
    grids = grids_of(box(size, (0.013, -0.007, 0.021)), 0)
    assert grids.occupancy.mean() / 255 == pytest.approx(np.prod(size), rel=0.02)


def test_axes_are_x_y_z() -> None:
    """A box to the right, high and in front fills cells of large x, y and z, and its colour is there in sRGB."""
    grids = grids_of(box((0.1, 0.2, 0.15), (0.3, 0.25, 0.2)), 0)
    x, y, z = (np.argwhere(grids.occupancy > 127).mean(0) + 0.5) / 32 - 0.5
    assert (x, y, z) == pytest.approx((0.3, 0.25, 0.2), abs=0.01)
    assert grids.colour[25, 24, 22].tolist() == pytest.approx([188, 124, 89], abs=1)
    assert np.abs(grids.surface.mean(0) - (0.3, 0.25, 0.2)).max() < 0.01


def test_an_open_box_is_a_shell() -> None:
    """Without its lid a box's inside is outside: what can be reached is empty."""
    whole = box((0.7, 0.5, 0.5))
    centroid = whole.corners.mean(1)
    keep = centroid[:, 1] < 0.2
    opened = Body(whole.vertices, whole.faces[keep], whole.part[keep], whole.colours)
    closed, shell = (grids_of(b, 0).occupancy[16, 16, 16] for b in (whole, opened))
    assert (closed, shell) == (255, 0)


def test_fitting_centres_and_scales() -> None:
    """A thing of any size and place has its longest side at .95 of the cube, its middle at the origin."""
    vertices = fitted(box((4.0, 2.0, 1.0), (9.0, -3.0, 5.0)).vertices)
    assert np.ptp(vertices, axis=0) == pytest.approx([0.95, 0.475, 0.2375])
    assert vertices.min(0) + vertices.max(0) == pytest.approx([0, 0, 0])


def _edges(faces: np.ndarray) -> np.ndarray:
    return np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])


@pytest.mark.parametrize("kind", MAKERS)
def test_what_is_made_is_closed_and_faces_outwards(kind: str) -> None:
    """Every edge is walked once in each direction, and each piece's signed volume is positive."""
    for number in range(6):
        vertices, faces, part, colours = make(kind, number)
        edges = _edges(faces)
        assert len(np.unique(edges, axis=0)) == len(edges)
        assert {tuple(e) for e in edges} == {tuple(e[::-1]) for e in edges}
        a, b, c = (vertices[faces[:, k]] for k in range(3))
        assert (a * np.cross(b, c)).sum() / 6 > 0
        assert part.max() < len(colours) and (colours > 0).all() and (colours < 1).all()


@pytest.mark.slow
@pytest.mark.parametrize("kind", MAKERS)
def test_what_is_made_fills_part_of_its_box_and_no_two_are_alike(kind: str) -> None:
    """Of sixty numbers each is between .02 and .9 of its box, and no two overlap by more than .95."""
    filled = []
    for number in range(60):
        vertices, faces, part, colours = make(kind, number)
        body = Body(fitted(vertices), faces, part, colours)
        occupancy = grids_of(body, 0).occupancy
        assert 0.02 < occupancy.mean() / 255 / np.prod(np.ptp(body.vertices, axis=0)) < 0.9, number
        filled.append(occupancy.ravel() > 255 * TRUE_LEVEL)
    cells = np.array(filled, np.float32)
    both, size = cells @ cells.T, cells.sum(axis=1)
    overlap = both / (size[:, None] + size - both)
    assert np.triu(overlap, 1).max() < 0.95


@pytest.mark.parametrize("kind", ["chair", "sofa", "cabinet"])
def test_made_seats_and_cases_have_a_front(kind: str) -> None:
    """Turned by half, a thing is another in shape or paint: its back can be told from its front."""
    for number in range(2):
        vertices, faces, part, colours = make(kind, number)
        body = Body(fitted(vertices), faces, part, colours)
        a, b = (grids_of(x, 0) for x in (body, Body(body.vertices * (-1, 1, -1), faces, part, colours)))
        front, turned = a.occupancy > 76, b.occupancy > 76
        both = front & turned
        paint = np.abs(a.colour[both].astype(int) - b.colour[both]).mean()
        assert both.sum() / (front | turned).sum() < 0.97 or paint > 2


def test_numbers_make_different_things() -> None:
    """A number is one thing for ever, and another number another one."""
    first, again, other = make("chair", 3), make("chair", 3), make("chair", 4)
    assert np.array_equal(first[0], again[0])
    assert first[0].shape != other[0].shape or np.abs(first[0] - other[0]).max() > 0.01


def test_folders_of_models_and_shapenets_layout(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """A name that says its category has it, else its sub-folder's; ShapeNet's number is a category and fronts turn."""
    cube = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 2\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"
    for name in ("own/Chair_9.obj", "own/toys/duck.obj", "own/Door_1.obj"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(cube, encoding="utf-8")
    found = {t.name: t.category for t in things_in(tmp_path / "own")}
    assert found == {"own/Chair_9": "seat", "own/toys/duck": "toys"}
    path = tmp_path / "shapenet/03001627/abc/models/model_normalized.obj"
    path.parent.mkdir(parents=True)
    path.write_text(cube, encoding="utf-8")
    (thing,) = things_in(tmp_path / "shapenet")
    assert (thing.name, thing.category, thing.turned) == ("03001627/abc", "seat", True)
    straight, turned = Thing("a", "seat", path).read(), thing.read()
    assert turned.vertices[:, [0, 2]] == pytest.approx(-straight.vertices[:, [0, 2]])
