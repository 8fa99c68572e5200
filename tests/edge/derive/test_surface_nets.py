"""Laws of meshes made of grids: closed, outwards, as large as the cells, in their colours."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from edge.derive.surface_nets import Grid, mesh_of, normals_of, volume_of
from edge.errors import GeometryError
from edge.scene import ObjectMesh
from tests.edge.things import chair

GREY = np.full((3, 32, 32, 32), 0.5, np.float32)
CELLS = np.stack(np.meshgrid(*[np.arange(32)] * 3, indexing="ij"), -1)


def ball(radius: float) -> Grid:
    """A soft ball in the grid's middle."""
    return np.clip(radius + 0.5 - np.linalg.norm(CELLS - 15.5, axis=-1), 0, 1).astype(np.float32)


def noise(seed: int) -> Grid:
    """Blobs of every shape, with sheets that touch in edges and corners."""
    return np.random.default_rng(seed).random((32, 32, 32)).astype(np.float32)


def as_trimesh(mesh: ObjectMesh) -> trimesh.Trimesh:
    """The same for trimesh, nothing merged."""
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)


@pytest.mark.parametrize("grid", [ball(9.0), chair()[0], np.ones((32, 32, 32), np.float32), noise(0), noise(1)])
def test_every_mesh_is_closed(grid: Grid) -> None:
    """Every edge has two faces, which look outwards, whatever is in the grid, up to its border."""
    made = as_trimesh(mesh_of(grid, GREY, level=0.6))
    assert made.is_watertight
    assert made.is_winding_consistent
    assert made.volume > 0


@pytest.mark.parametrize("grid", [ball(5.0), ball(12.0), chair()[0]])
def test_a_mesh_is_as_large_as_its_cells(grid: Grid) -> None:
    """Its volume is that of the filled cells, to 15 %, and its middle is theirs, to a fifth of a cell."""
    mesh, filled = mesh_of(grid, GREY), grid > 0.5
    assert volume_of(mesh) == pytest.approx(filled.mean(), rel=0.15)
    assert volume_of(mesh) == pytest.approx(as_trimesh(mesh).volume, rel=1e-4)
    middle = (np.argwhere(filled).mean(axis=0) + 0.5) / 32 - 0.5
    assert as_trimesh(mesh).center_mass == pytest.approx(middle, abs=0.2 / 32)


def test_a_ball_is_round() -> None:
    """Vertices of a soft ball lie on it, to a tenth of a cell, and their normals point away from its middle."""
    mesh = mesh_of(ball(10.0), GREY, smoothing_steps=0)
    away = np.linalg.norm(mesh.vertices, axis=1) * 32
    assert away == pytest.approx(10.0, abs=0.1)
    assert (normals_of(mesh) * mesh.vertices / (away / 32)[:, None]).sum(axis=1).min() > 0.95


def test_it_is_the_surface_that_marching_cubes_finds() -> None:
    """No vertex of scikit-image's marching cubes is further than a cell from ours; volumes agree to 5 %."""
    measure = pytest.importorskip(
        "skimage.measure", reason="scikit-image is no part of the project; only compared with"
    )
    padded = np.pad(chair()[0], 1)
    vertices, faces, _, _ = measure.marching_cubes(padded, 0.5)
    theirs = trimesh.Trimesh((vertices - 0.5) / 32 - 0.5, faces[:, ::-1], process=False)
    ours = mesh_of(chair()[0], GREY)
    far = np.linalg.norm(theirs.vertices[:, None] - ours.vertices[None], axis=-1).min(axis=1)
    assert far.max() < 1 / 32
    assert volume_of(ours) == pytest.approx(abs(theirs.volume), rel=0.05)


def test_colours_are_those_of_filled_cells() -> None:
    """A ball red on the left and blue on the right is so, whatever the empty cells around it are said to be."""
    grid, colour = ball(9.0), np.ones((3, 32, 32, 32), np.float32)
    colour[:, grid > 0] = 0
    colour[0][(grid > 0) & (CELLS[..., 0] < 16)] = 1
    colour[2][(grid > 0) & (CELLS[..., 0] >= 16)] = 1
    mesh = mesh_of(grid, colour)
    left, right = (mesh.colours[side] for side in (mesh.vertices[:, 0] < -0.1, mesh.vertices[:, 0] > 0.1))
    assert left[:, 0].min() > 250
    assert left[:, 1:].max() < 5
    assert right[:, 2].min() > 250


@pytest.mark.parametrize(
    ("occupancy", "colour"),
    [
        (np.zeros((32, 32, 32), np.float32), GREY),
        (np.ones((32, 32), np.float32), GREY),
        (np.ones((16, 16, 16), np.float32), GREY),
        (np.ones((96, 96, 96), np.float32), np.ones((3, 96, 96, 96), np.float32)),
    ],
)
def test_no_mesh_of_nothing(occupancy: Grid, colour: Grid) -> None:
    """An empty grid, or none, is refused."""
    with pytest.raises(GeometryError):
        mesh_of(occupancy, colour)
