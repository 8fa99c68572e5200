"""Metrics against independent formulas and cases with a known answer."""

from __future__ import annotations

import numpy as np
import pytest

from edge.geometry.harmonics import project_panorama, rotate_yaw
from edge.geometry.panorama import longitudes, rays
from edge.geometry.polygon import area_m2, boundary_latitudes
from training.metrics.boxes import best_box, best_floor, best_wedge, box_polygon, wedge
from training.metrics.depth import depth_errors, per_image
from training.metrics.layout import (
    corner_error,
    corners_px,
    iou_2d,
    iou_3d,
    pixel_error,
    room_from_boundary,
)
from training.metrics.lighting import ambient_log_error, direction_error_deg, lighting_metrics
from training.metrics.lighting import scale_invariant_irradiance_rmse as si_rmse


def test_depth_errors_by_hand() -> None:
    """Three pixels, one of them unknown."""
    errors = depth_errors([[2.0, 1.0, 9.0]], [[1.0, 1.1, 0.0]])
    assert errors["absrel"] == pytest.approx((1.0 + 0.1 / 1.1) / 2)
    assert errors["rmse_m"] == pytest.approx(np.sqrt((1.0 + 0.01) / 2))
    assert errors["log10"] == pytest.approx((np.log10(2) + np.log10(1.1)) / 2)
    assert (errors["delta1"], errors["delta2"], errors["delta3"]) == (0.5, 0.5, 0.5)


def test_alignments_remove_what_they_say() -> None:
    """Median scaling removes any factor; affine alignment a factor and a shift."""
    truth = np.random.default_rng(0).uniform(1, 5, (6, 7))
    assert depth_errors(truth * 7, truth, "median")["absrel"] == pytest.approx(0, abs=1e-9)
    assert depth_errors(truth * 7 + 2, truth, "affine")["rmse_m"] == pytest.approx(0, abs=1e-9)
    assert depth_errors(truth * 7 + 2, truth, "median")["absrel"] > 0.01


def test_pictures_count_the_same_whatever_their_size() -> None:
    """A large good picture and a small bad one: the mean is over pictures, not pixels."""
    good, bad = (np.ones((10, 10)), np.ones((10, 10))), (np.full((2, 2), 2.0), np.ones((2, 2)))
    assert per_image([good, bad])["absrel"] == pytest.approx(0.5)


def test_iou_3d_by_hand() -> None:
    """A 2x2x2 room inside a 4x4x3 one: 8 of 48."""
    inner, outer = box_polygon(2, 2), box_polygon(4, 4)
    assert iou_2d(inner, outer) == pytest.approx(4 / 16)
    assert iou_3d(inner, 2.0, outer, 3.0) == pytest.approx(8 / 48)
    assert iou_3d(outer, 3.0, outer, 3.0) == pytest.approx(1.0)


def test_room_from_an_exact_boundary_is_the_room() -> None:
    """The boundary of an analytic box gives back the box and its height."""
    box = box_polygon(4.0, 6.0) + [0.5, -0.7]
    ceiling, floor = boundary_latitudes(box, longitudes(1024), 1.5, 2.7)
    outline, height = room_from_boundary(-np.stack([ceiling, floor]), 1.5)
    assert height == pytest.approx(2.7, abs=1e-6)
    assert iou_2d(outline, box) > 0.998
    assert pixel_error(-np.stack([ceiling, floor]), -np.stack([ceiling, floor])) == 0.0


def test_pixel_error_is_the_share_of_relabelled_pixels() -> None:
    """Moving the floor edge by a tenth of the picture's height relabels a tenth of its pixels."""
    a = np.zeros((2, 32))
    b = a.copy()
    b[1] += np.pi / 10
    assert pixel_error(a, b) == pytest.approx(0.1)
    counted = np.ones((2, 32), bool)
    counted[1, :16] = False
    b[1, 16:] = a[1, 16:]
    assert pixel_error(a, b, counted) == 0.0


def test_corner_error_is_measured_round_the_panorama() -> None:
    """Corners a pixel either side of the seam are two pixels apart; another number of corners has no answer."""
    a, b = [[0.5, 10.0], [50.0, 10.0]], [[50.0, 10.0], [98.5, 10.0]]
    assert corner_error(a, b, 100, 50) == pytest.approx((2 + 0) / 2 / np.hypot(100, 50))
    assert np.isnan(corner_error(a, [*b, [3.0, 3.0]], 100, 50))


def test_corners_are_where_the_panorama_shows_them() -> None:
    """A corner straight ahead at 2 m: mid-picture, its floor end 45 degrees down for a camera 2 m high."""
    up, down = corners_px([[0.0, 2.0], [-2.0, -2.0], [2.0, -2.0]], 2.0, 4.0, 400, 200)
    np.testing.assert_allclose(down[0], [200.0, 150.0])
    np.testing.assert_allclose(up[0], [200.0, 50.0])


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


def test_lighting_metrics_of_a_turned_environment() -> None:
    """Truth costs 0; a factor is seen by the level alone; a yaw of 40 degrees of a horizontal light is 40 degrees."""
    d = rays(64, 32)
    radiance = np.where((d @ [0.0, 1.0, 0.0] > 0.9)[..., None], 20.0, 0.1) * np.ones(3)
    truth = project_panorama(radiance)
    assert max(lighting_metrics(truth, truth).values()) == pytest.approx(0, abs=2e-5)
    assert si_rmse(truth * 3, truth) == pytest.approx(0, abs=1e-6)
    assert ambient_log_error(truth * 3, truth) == pytest.approx(np.log(3))
    assert direction_error_deg(rotate_yaw(truth, np.radians(40)), truth) == pytest.approx(40, abs=0.1)
