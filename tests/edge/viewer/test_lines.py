"""The lines of configuration that the page prints: the daemon takes them, and they mean what was clicked."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
import pytest

from edge.config.sections import Config, load_config
from edge.derive.heat_loss.walls import known_walls
from edge.derive.mesh import outline
from edge.derive.openings import placed
from tests.edge.derive.rooms import BOX, L_SHAPE, model
from tests.edge.viewer.node import NODE, in_page

pytestmark = pytest.mark.skipif(NODE is None, reason="needs node")


def loaded(path: Path, lines: str) -> Config:
    """A configuration with these lines pasted into its one camera."""
    camera = f"""
        inference: {{engines: {Path(__file__).parents[3] / "engines"}}}
        cameras:
          - name: hall
            source: {{type: replay, path: {Path(__file__).parents[3] / "edge" / "demo" / "panorama"}}}
            projection: equirectangular
            camera_height_m: 1.3
    """
    path.write_text(textwrap.dedent(camera) + textwrap.indent(lines, "    ") + "\n", encoding="utf-8")
    return load_config(path)


def turned(polygon: np.ndarray, degrees: float) -> list[list[float]]:
    """The room as a camera that was turned would see it."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    corners: list[list[float]] = (polygon @ np.array([[c, s], [-s, c]])).round(4).tolist()
    return corners


def test_an_opening_that_was_clicked_is_where_it_was_clicked(tmp_path: Path) -> None:
    """Two places on a wall, in either order, behind the camera too: the daemon places it there, 2 cm at most away."""
    ends = [([3, -0.5], [3, 0.5]), ([-2, 1.0], [-2, 0.2]), ([0.4, -1.5], [-0.5, -1.5])]
    heights = (0.9, 1.2)
    made = "{kind: 'window', bearing_deg: bearings(a, b), sill_m: low, height_m: high}"
    (text, *sides) = in_page(
        [
            f"openingsYaml(ends.map(([a, b]) => ({made})))",
            "...ends.map(([a, b]) => [sideAt(bearings(a, a)[0], box), sideAt(bearings(b, b)[0], box)])",
        ],
        ends=ends,
        box=BOX.tolist(),
        low=heights[0],
        high=heights[1],
    )
    (camera,) = loaded(tmp_path / "config.yaml", text).cameras
    assert sides == [[1, 1], [3, 3], [0, 0]]
    for opening, (a, b), side in zip(camera.openings, ends, (1, 3, 0), strict=True):
        found = placed(opening.opening, outline(BOX), 2.5)
        assert found is not None
        assert found.wall == side
        assert (found.sill, found.height) == heights
        for end in (a, b):
            assert min(np.hypot(*np.subtract(end, p)) for p in (found.start, found.end)) < 0.02


@pytest.mark.parametrize("polygon", [BOX, L_SHAPE])
def test_what_was_said_to_be_behind_a_wall_is_behind_that_wall(tmp_path: Path, polygon: np.ndarray) -> None:
    """Every wall its own, also those that stand before others, whichever way the camera looks."""
    rooms = [turned(polygon, degrees) for degrees in (0, 37, 90, 181)]
    kinds = ["outside", "heated", "unheated", "neighbour"]
    behind = {str(i): kinds[i % 4] for i in range(len(polygon))} | {"floor": "ground", "ceiling": "unheated"}
    known = {"outside_c": -5.5, "mean_outside_c": 9, "preset": "cibse2026", "room": "kitchen"}
    texts = in_page(
        ["...rooms.map((room) => heatLossYaml(room, behind, known))", "heatLossYaml(rooms[0], {0: 'outside'}, {})"],
        rooms=rooms,
        behind=behind,
        known=known,
    )
    for room, text in zip(rooms, texts, strict=False):
        section = loaded(tmp_path / "config.yaml", text).cameras[0].heat_loss
        assert section is not None
        settings = section.settings
        assert (settings.climate.outside_c, settings.preset, settings.room) == (-5.5, "cibse2026", "kitchen")
        assert settings.floor is not None
        assert settings.floor.to == "ground"
        walls = {w.edge: w.stretch for w in known_walls(np.array(room), settings.walls)}
        said = {edge: settings.walls[s].border.to for edge, s in walls.items() if s is not None}
        assert said == {int(i): to for i, to in behind.items() if i.isdigit()}
    assert loaded(tmp_path / "config.yaml", texts[-1]).cameras[0].heat_loss is not None


def test_the_page_and_the_daemon_place_openings_alike() -> None:
    """By the bearings of a message, an opening's ends on the page are those of the model."""
    openings = model().openings
    said = [
        {"left_deg": float(np.degrees(o.left_rad)), "right_deg": float(np.degrees(o.right_rad)), "wall": o.wall}
        for o in openings
    ]
    (found,) = in_page(["placed(said, box)"], said=said, box=BOX.tolist())
    for one, opening in zip(found, openings, strict=True):
        assert np.allclose(one["ends"], [opening.start, opening.end], atol=1e-6)
