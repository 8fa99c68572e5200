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
from training.config import Recipe
from training.data.evaluation import LayoutCase
from training.data.panoramic import corner_target
from training.export.runners import TorchBackend, manifest_of
from training.measure.layout import layout_rows, view_rows
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


def _case() -> LayoutCase:
    image = np.full((64, 128, 3), 90, np.uint8)
    return LayoutCase(image, CameraModel("equirectangular", camera_height_m=CAMERA_M), ROOM, HEIGHT_M)


def test_the_truth_scores_full_marks(small_recipe: Callable[..., Recipe]) -> None:
    """The true boundary gives overlaps of 1 and errors of 0, and the box baseline is worse than it."""
    manifest = manifest_of(small_recipe("layout"))
    rows = {r.name: r for r in layout_rows(manifest, Knowing([0]), [_case()], "one")}
    for name in ("3D IoU", "2D IoU", "raw 3D IoU"):
        assert rows[name].value > 0.97
        assert rows[name].baseline is not None and 0.5 < rows[name].baseline < 0.95
    assert rows["pixel error"].value < 0.003
    assert rows["corner error"].value < 0.5
    assert "1 of 1 rooms" in rows["corner error"].data


@pytest.mark.parametrize(("direction", "low", "high"), [(1, 0.95, 1.0), (-1, 0.0, 0.9)])
def test_views_look_where_they_say(
    direction: int, low: float, high: float, small_recipe: Callable[..., Recipe]
) -> None:
    """Pictures and rooms are turned the same way: answers turned with them overlap, against them not."""
    manifest = manifest_of(small_recipe("layout"))
    rows = view_rows(manifest, Knowing([direction * q for q in range(4)]), [_case()], "one")
    assert low < rows[0].value <= high
    assert "4 pictures" in rows[0].data
