"""Layout measured with a network that is always right, and with one that is always wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from edge.geometry.panorama import longitudes
from edge.geometry.polygon import boundary_latitudes
from edge.inference.base import Arrays
from edge.scene import CameraModel
from training.config.recipe import Recipe
from training.data.evaluation import LayoutCase
from training.data.mix.entries import Entry
from training.data.vary.panoramic import corner_target
from training.drawing import FOUND, TRUE
from training.export.proof.runners import TorchBackend, manifest_of
from training.measure.layout import measure_layout, measure_views
from training.metrics.boxes import box_polygon

ROOM, HEIGHT_M, CAMERA_M = box_polygon(4.0, 5.0) + [0.4, -0.3], 2.6, 1.5


class Knowing(TorchBackend):
    """Answers with a given room's true boundary and corners, turned a quarter further with every `turn` pictures."""

    def __init__(self, quarters: list[int]) -> None:
        self._quarters = quarters

    def run(self, batch: npt.NDArray[np.float32]) -> Arrays:
        """See `Backend.run`."""
        quarter = self._quarters.pop(0)
        lon = longitudes(512)
        ceiling, floor = boundary_latitudes(ROOM, lon, CAMERA_M, HEIGHT_M)
        logits = np.where(corner_target(ROOM, 512) > 0.9, 4.0, -4.0)
        shift = 128 * quarter
        out = {"boundary": -np.stack([ceiling, floor])[None], "corners": logits[None]}
        return {k: np.roll(v, shift, axis=-1).astype(np.float32) for k, v in out.items()}


def _entry(polygon: npt.NDArray[np.float64] = ROOM, name: str = "room") -> Entry[LayoutCase]:
    image = np.full((64, 128, 3), 90, np.uint8)
    case = LayoutCase(image, CameraModel("equirectangular", camera_height_m=CAMERA_M), polygon, HEIGHT_M)
    return Entry(name, name, lambda: case)


def test_the_truth_scores_full_marks(small_recipe: Callable[..., Recipe]) -> None:
    """The true boundary gives overlaps of 1 and errors of 0, and the box baseline is worse than it."""
    manifest = manifest_of(small_recipe("layout"))
    measured = measure_layout(manifest, Knowing([0]), [_entry()], "one")
    assert measured is not None
    assert "1 rooms" in measured.data
    rows = {r.name: r for r in measured.rows}
    for name in ("3D IoU", "2D IoU", "raw 3D IoU"):
        assert rows[name].value > 0.97
        assert rows[name].baseline is not None and 0.5 < rows[name].baseline < 0.95
    assert rows["pixel error"].value < 0.3
    assert rows["corner error"].value < 0.5
    assert rows["true number of corners"].value == 1
    assert rows["junction F1"].value == 1
    assert rows["horizon depth delta1"].value > 0.99
    assert rows["horizon depth RMSE"].value < 0.05
    assert measured.details["model"]["shell depth delta1"] > 0.99


def test_rooms_count_by_their_true_number_of_corners(small_recipe: Callable[..., Recipe]) -> None:
    """A box is among the rooms of 4 corners, a box with a bay (8) among those of 8, whatever was found."""
    bay = [[-2, -2], [2, -2], [2, -0.5], [2.6, -0.5], [2.6, 0.5], [2, 0.5], [2, 2], [-2, 2]]
    manifest = manifest_of(small_recipe("layout"))
    entries = [_entry(), _entry(np.array(bay, float), "bay")]
    measured = measure_layout(manifest, Knowing([0, 0]), entries, "two")
    assert measured is not None
    groups = measured.details["by_corners"]
    assert {name: g["rooms"] for name, g in groups.items()} == {"4": 1, "8": 1}
    overall = measured.details["model"]["3D IoU"]
    assert overall == pytest.approx(np.mean([groups[n]["model"]["3D IoU"] for n in ("4", "8")]))
    assert groups["4"]["model"]["true number of corners"] == 1
    assert groups["8"]["model"]["true number of corners"] == 0
    assert "corner error" not in groups["8"]["model"]
    assert [measured.pictures[i].name for i in measured.worst_first] == ["bay", "room"]


def test_an_error_picture_shows_both_boundaries(small_recipe: Callable[..., Recipe]) -> None:
    """Where the answer is wrong, both the true (green) and the found (orange) edges are in the picture."""
    manifest = manifest_of(small_recipe("layout"))
    measured = measure_layout(manifest, Knowing([1, 1]), [_entry()], "one")
    assert measured is not None
    drawn = measured.draw(0).astype(int)
    for colour in (TRUE, FOUND):
        assert (np.abs(drawn - colour).sum(axis=-1) < 60).sum() > 200


@pytest.mark.parametrize(("direction", "low", "high"), [(1, 0.95, 1.0), (-1, 0.0, 0.9)])
def test_views_look_where_they_say(
    direction: int, low: float, high: float, small_recipe: Callable[..., Recipe]
) -> None:
    """Pictures and rooms are turned the same way: answers turned with them overlap, against them not."""
    manifest = manifest_of(small_recipe("layout"))
    measured = measure_views(manifest, Knowing([direction * q for q in range(4)]), [_entry()], "one")
    assert measured is not None
    assert low < measured.rows[0].value <= high
    assert "4 pictures" in measured.data
