"""Layout metrics on rooms with a known answer."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edge.geometry.panorama import longitudes
from edge.geometry.polygon import boundary_latitudes, wall_distances
from training.metrics.boxes import box_polygon
from training.metrics.layout import (
    corner_error,
    corner_group,
    corners_px,
    depth_agreement,
    iou_2d,
    iou_3d,
    junction_f1,
    pixel_error,
    room_from_boundary,
    shell_depth,
)

L_ROOM = np.array([[-1.5, -2.0], [2.5, -2.0], [2.5, 1.0], [0.8, 1.0], [0.8, 3.0], [-1.5, 3.0]])


def _turned(polygon: np.ndarray, angle_rad: float) -> np.ndarray:
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return np.asarray(polygon @ [[c, s], [-s, c]])


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


def test_overlap_of_an_l_by_hand() -> None:
    """The L is 4 x 5 less 1.7 x 2: 16.6 of the 20 square metres of the rectangle round it."""
    around = np.array([[-1.5, -2.0], [2.5, -2.0], [2.5, 3.0], [-1.5, 3.0]])
    assert iou_2d(L_ROOM, around) == pytest.approx(16.6 / 20)
    assert iou_3d(L_ROOM, 2.5, around, 2.5) == pytest.approx(16.6 / 20)
    assert iou_3d(L_ROOM, 2.0, around, 2.5) == pytest.approx(16.6 * 2 / 50)


@pytest.mark.parametrize("angle_rad", [0.3, 1.2, np.pi, -2.0])
def test_no_metric_depends_on_where_the_camera_looks(angle_rad: float) -> None:
    """Both rooms turned about the camera: overlaps, corner error, junctions and depths stay."""
    other = L_ROOM * [1.1, 0.95]

    def numbers(a: np.ndarray, b: np.ndarray) -> list[float]:
        ends = [corners_px(p, 1.6, h, 1024, 512) for p, h in ((a, 2.6), (b, 2.5))]
        horizon = [wall_distances(p, longitudes(4096)) for p in (a, b)]
        return [
            iou_2d(a, b),
            iou_3d(a, 2.6, b, 2.5),
            corner_error(ends[0][1], ends[1][1], 1024, 512),
            junction_f1(ends[0], ends[1], 1024),
            *depth_agreement(*horizon),
        ]

    turned = numbers(_turned(other, angle_rad), _turned(L_ROOM, angle_rad))
    np.testing.assert_allclose(turned, numbers(other, L_ROOM), rtol=3e-3)


def test_a_shifted_corner_gives_its_shift() -> None:
    """One of four corners moved by (30, 40) px: a mean of 12.5 px over the diagonal, whatever corner comes first."""
    truth = np.array([[100.0, 300.0], [350.0, 320.0], [600.0, 310.0], [900.0, 330.0]])
    moved = truth.copy()
    moved[2] += [30.0, 40.0]
    for shift in range(4):
        assert corner_error(np.roll(moved, shift, axis=0), truth, 1024, 512) == pytest.approx(
            12.5 / np.hypot(1024, 512)
        )


def test_junctions_by_hand() -> None:
    """Four true corners, two of three found ones near enough at both ends: 2 x 4 of 6 + 8 ends."""
    truth = np.array([[100.0, 200.0], [350.0, 200.0], [600.0, 200.0], [1022.0, 200.0]])
    found = np.array([[106.0, 208.0], [350.0, 211.0], [3.0, 200.0]])  # 10 px, 11 px, and 5 px round the seam
    down = [0.0, 150.0]
    assert junction_f1((found, found + down), (truth, truth + down), 1024) == pytest.approx(8 / 14)
    assert junction_f1((truth, truth + down), (truth, truth + down), 1024) == 1.0
    assert junction_f1((truth, truth), (truth + [0, 11.0], truth - [0, 11.0]), 1024) == 0.0


def test_junctions_are_matched_one_to_one_as_well_as_can_be() -> None:
    """The greatest number of pairs within reach, found here by trying every assignment."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        a, b = rng.uniform(0, 40, (4, 2)), rng.uniform(0, 40, (4, 2))
        near = np.hypot(*(a[:, None] - b[None]).transpose(2, 0, 1)) <= 10
        best = max(sum(near[i, j] for i, j in enumerate(order)) for order in itertools.permutations(range(4)))
        assert junction_f1((a, a), (b, b), 1024) == pytest.approx(best / 4)


def test_two_corners_cannot_share_one() -> None:
    """Two guesses at one corner find it once."""
    one, two = np.array([[50.0, 50.0]]), np.array([[51.0, 50.0], [49.0, 50.0]])
    assert junction_f1((two, two), (one, one), 1024) == pytest.approx(2 / 3)


def test_rooms_are_grouped_as_horizonnet_does() -> None:
    """4, 6 and 8 by themselves, 10 and more together, odd numbers apart."""
    assert [corner_group(n) for n in (4, 6, 8, 10, 24, 5, 11)] == ["4", "6", "8", "10+", "10+", "odd", "odd"]


def test_shell_depth_is_the_nearest_plane() -> None:
    """In a box every pixel's distance is the least over its six planes; straight down it is the camera's height."""
    depth = shell_depth(box_polygon(4.0, 6.0), 1.5, 2.7, 64, 32)
    for row, column in ((0, 0), (5, 40), (16, 32), (20, 7), (31, 3)):
        lon, lat = ((column + 0.5) / 64 - 0.5) * 2 * np.pi, (0.5 - (row + 0.5) / 32) * np.pi
        d = np.array([np.cos(lat) * np.sin(lon), np.cos(lat) * np.cos(lon), np.sin(lat)])
        planes = [2 / abs(d[0]), 3 / abs(d[1]), 1.2 / d[2] if d[2] > 0 else 1.5 / -d[2]]
        assert depth[row, column] == pytest.approx(min(planes))
    assert depth[-1].min() == pytest.approx(1.5, rel=2e-3)


def test_depth_agreement_by_hand() -> None:
    """Errors of 0, 0.3, 0 and 0.4 m: their root mean square; 1.3 is not within 1.25 of 1, 2.4 is of 2."""
    rmse_m, delta1 = depth_agreement([[1.0, 1.3], [3.0, 2.4]], [[1.0, 1.0], [3.0, 2.0]])
    assert rmse_m == pytest.approx(np.sqrt((0.09 + 0.16) / 4))
    assert delta1 == 0.75


def test_a_room_twice_as_large_is_off_by_its_own_horizon() -> None:
    """Horizon depth scales with the floor, so the error of a doubled room is the room's own distance."""
    lon = longitudes(256)
    one, two = wall_distances(L_ROOM, lon), wall_distances(L_ROOM * 2, lon)
    assert depth_agreement(two, one) == (pytest.approx(np.sqrt((one**2).mean())), 0.0)


def test_a_raw_boundary_is_kept_from_the_horizon_and_the_poles() -> None:
    """Floor edges above 1 degree are taken to be there, edges straight down or up to be 0.01 rad before it."""
    boundary = np.stack([np.full(8, -np.pi / 4), np.full(8, np.pi / 4)])
    outline, height = room_from_boundary(boundary, 2.0)
    assert np.hypot(*outline.T) == pytest.approx(2.0)
    assert height == pytest.approx(4.0)
    for floor_rad, distance_m in ((-0.5, 2 / np.tan(np.radians(1))), (2.0, 2 / np.tan(np.pi / 2 - 0.01))):
        odd = boundary.copy()
        odd[1, 3] = floor_rad
        assert np.hypot(*room_from_boundary(odd, 2.0)[0][3]) == pytest.approx(distance_m)
    for ceiling_rad, above_m in ((0.5, 2 * np.tan(np.radians(1))), (-2.0, 2 * np.tan(np.pi / 2 - 0.01))):
        odd = boundary.copy()
        odd[0] = ceiling_rad
        assert room_from_boundary(odd, 2.0)[1] == pytest.approx(2 + above_m)


def test_ends_come_in_pairs() -> None:
    """Ceiling and floor ends on both sides: ends of one side alone are a mistake and not left out in silence."""
    ends = np.array([[50.0, 50.0]])
    with pytest.raises(ValueError, match="zip"):
        junction_f1((ends, ends), (ends,), 1024)  # type: ignore[arg-type]


def test_reach_of_a_junction_is_ten_pixels() -> None:
    """An end exactly within reach is found, one a little beyond is not, and the reach can be given."""
    one = np.array([[50.0, 50.0]])
    for off_px, reach_px, f1 in ((10.0, 10.0, 1.0), (10.1, 10.0, 0.0), (3.0, 2.0, 0.0), (2.0, 2.0, 1.0)):
        other = one + [off_px, 0]
        assert junction_f1((one, one), (other, other), 1024, within_px=reach_px) == f1
    assert junction_f1((one, one), (one + [10, 0], one - [0, 10]), 1024) == 1.0
    assert junction_f1((one, one), (one + [11, 0], one - [0, 10]), 1024) == 0.5


def test_only_counted_columns_take_part() -> None:
    """The mean of the difference over the counted columns of each boundary; a boundary without any adds nothing."""
    a, b = np.zeros((2, 4)), np.zeros((2, 4))
    b[0] = np.pi * np.array([0.1, 0.2, 0.3, 0.4])
    b[1] = np.pi * np.array([-0.2, 0.0, 0.0, 0.0])
    counted = np.array([[True, False, False, True], [True, True, False, False]])
    assert pixel_error(a, b, counted) == pytest.approx(0.25 + 0.1)
    counted[1] = False
    assert pixel_error(a, b, counted) == pytest.approx(0.25)
    assert pixel_error(a, b) == pytest.approx(0.25 + 0.05)


def test_prisms_of_other_height_by_hand() -> None:
    """Two rooms of 4 x 4 m half over each other, 2 and 3 m high: 16 of 32 + 48 - 16 cubic metres."""
    room = box_polygon(4, 4)
    assert iou_3d(room, 2.0, room + [2, 0], 3.0) == pytest.approx(16 / 64)
    assert iou_3d(room, 2.0, room + [9, 0], 3.0) == 0
