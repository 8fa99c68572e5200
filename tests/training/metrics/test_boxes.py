"""Box baselines: no worse than boxes tried by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edge.geometry.polygon import area_m2
from training.metrics.boxes import Box, best_box, best_floor, best_wedge, box_polygon, wedge
from training.metrics.layout import iou_2d, iou_3d


def test_best_box_finds_a_box() -> None:
    """Rooms that are all the same centred box are found to within the search's steps, floor and height apart."""
    rooms = [box_polygon(4.0, 5.0)] * 3
    box, floor = best_box(rooms, [2.4, 2.5, 2.6]), best_floor(rooms)
    assert box.overlap > 0.85
    assert floor.overlap > 0.93
    assert (box.width_m, box.depth_m, box.height_m) == pytest.approx((4.0, 5.0, 2.5), rel=0.05)
    assert np.isnan(floor.height_m)


def test_best_box_is_no_worse_than_any_box_tried_by_hand() -> None:
    """On mixed rooms the search's mean overlap is at least that of a few sensible boxes, less a grid step."""
    rooms = [box_polygon(3, 4) + [0.5, 0], box_polygon(6, 5), box_polygon(4, 8) + [-1, 1]]
    heights = [2.4, 2.8, 3.6]
    box = best_box(rooms, heights)
    for width, depth, height in ((4, 4, 2.8), (4, 5, 2.6), (5, 5, 3.0), (6, 5, 2.8)):
        mean = np.mean([iou_3d(box_polygon(width, depth), height, r, h) for r, h in zip(rooms, heights, strict=True)])
        assert box.overlap >= mean - 0.01
    assert box.overlap == pytest.approx(
        np.mean([iou_3d(box.polygon, box.height_m, r, h) for r, h in zip(rooms, heights, strict=True)])
    )


def test_wedges_of_boxes_by_hand() -> None:
    """Between -45 and 45 degrees a centred square of side 4 shows the triangle to its front wall: 4 square metres."""
    lon = np.radians(np.linspace(-45, 45, 91))
    seen = wedge(2 / np.cos(lon), lon)
    assert area_m2(seen) == pytest.approx(4.0)
    assert best_wedge([seen, seen], lon).overlap > 0.9


def test_a_box_is_centred_and_says_its_size() -> None:
    """Width to both sides, depth before and behind, counter-clockwise; the table's name says what it is."""
    assert box_polygon(4.0, 6.0).tolist() == [[-2, -3], [2, -3], [2, 3], [-2, 3]]
    assert Box(4.0, 6.04, 2.5, 0.9).name == "best box round the camera (4.0 x 6.0 x 2.5 m)"
    assert Box(4.0, 6.0, float("nan"), 0.9).name == "best box round the camera (4.0 x 6.0 m)"
    assert Box(4.0, 6.0, 2.5, 0.9).polygon.tolist() == box_polygon(4.0, 6.0).tolist()


@pytest.mark.parametrize("away", [0.0, 0.8])
def test_no_rectangle_on_a_fine_grid_covers_the_floors_better(away: float) -> None:
    """The best of many sizes by their mean 2D IoU, and the stated overlap is that of the stated size."""
    rooms = [box_polygon(3, 4) + [away, 0], box_polygon(5, 3.5) + [0, away]]
    found = best_floor(rooms)
    assert found.overlap == pytest.approx(np.mean([iou_2d(found.polygon, room) for room in rooms]))
    grid = np.linspace(1.5, 5.0, 15)
    tried = max(np.mean([iou_2d(box_polygon(w, d), room) for room in rooms]) for w in grid for d in grid)
    assert found.overlap >= tried - 0.02


def test_a_room_is_found_to_a_grid_step() -> None:
    """Sizes rise in equal ratios from half the least extent to the greatest: 48 of them, a few percent apart."""
    for width, depth in ((2.0, 8.0), (8.0, 2.0), (3.0, 3.0)):
        found = best_floor([box_polygon(width, depth)])
        step = (max(width, depth) / (min(width, depth) / 2)) ** (1 / 47)
        assert found.width_m / width == pytest.approx(1, abs=step - 1)
        assert found.depth_m / depth == pytest.approx(1, abs=step - 1)


def test_the_height_is_chosen_with_the_floor() -> None:
    """On one floor with ceilings of 2, 3 and 3 m the box is 3 m high; each overlap is the lower over the higher."""
    box = best_box([box_polygon(4, 4)] * 3, [2.0, 3.0, 3.0])
    assert box.height_m == pytest.approx(3.0, rel=0.01)
    floor = best_floor([box_polygon(4, 4)]).overlap
    assert box.overlap == pytest.approx(floor * (2 / 3 + 1 + 1) / 3, rel=0.03)


def test_a_wedge_is_what_lies_between_the_camera_and_its_walls() -> None:
    """Points at their distances in their directions, 0 ahead and positive to the right, and the camera last."""
    found = wedge([1.0, 2.0, 3.0], [-np.pi / 2, 0.0, np.pi / 2])
    assert found == pytest.approx(np.array([[-1, 0], [0, 2], [3, 0], [0, 0]]), abs=1e-12)


@pytest.mark.parametrize(("width", "depth"), [(3.0, 5.0), (2.0, 4.0)])
def test_the_wedge_of_a_room_is_found(width: float, depth: float) -> None:
    """What a camera of 80 degrees sees of a centred room is covered nearly all by the best rectangle's part of it."""
    lon = np.radians(np.linspace(-40, 40, 81))
    distance = np.minimum(width / 2 / np.maximum(np.abs(np.sin(lon)), 1e-9), depth / 2 / np.cos(lon))
    seen = wedge(distance, lon)
    box = best_wedge([seen], lon)
    own = np.minimum(box.width_m / 2 / np.maximum(np.abs(np.sin(lon)), 1e-9), box.depth_m / 2 / np.cos(lon))
    assert box.overlap == pytest.approx(iou_2d(wedge(own, lon), seen))
    assert box.overlap > 0.93
    assert (box.width_m, box.depth_m) == pytest.approx((width, depth), rel=0.15)
    assert np.isnan(box.height_m)
