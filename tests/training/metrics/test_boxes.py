"""Box baselines: no worse than boxes tried by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edge.geometry.polygon import area_m2
from training.metrics.boxes import best_box, best_floor, best_wedge, box_polygon, wedge
from training.metrics.layout import iou_3d


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
