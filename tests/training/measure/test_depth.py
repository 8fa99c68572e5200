"""Depth measured with networks whose answers are known."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edge.inference.base import Arrays
from edge.inference.manifest import InverseDepthRelative, Manifest
from edge.scene import CameraModel, Intrinsics
from training.config.recipe import Recipe
from training.data.evaluation import DepthCase
from training.data.mix.entries import Entry
from training.export.proof.runners import TorchBackend, manifest_of
from training.measure.depth import measure_depth

PLANE_M = np.linspace(1.0, 4.0, 64, dtype=np.float32)[:, None] * np.ones((1, 64), np.float32)


class Saying(TorchBackend):
    """Answers every picture with the next of the given maps (h, w), under the manifest's output name."""

    def __init__(self, name: str, maps: list[npt.NDArray[np.float32]]) -> None:
        self._name, self._maps = name, maps

    def run(self, batch: npt.NDArray[np.float32]) -> Arrays:
        """See `Backend.run`."""
        said = self._maps.pop(0) if len(self._maps) > 1 else self._maps[0]
        return {self._name: said[None, None]}


def _entry(name: str, depth_m: npt.NDArray[np.float32], focal_px: float = 50.0) -> Entry[DepthCase]:
    h, w = depth_m.shape
    camera = CameraModel("perspective", intrinsics=Intrinsics(w, h, focal_px, focal_px, w / 2, h / 2))
    case = DepthCase(np.full((h, w, 3), 80, np.uint8), camera, depth_m)
    return Entry(name, name, lambda: case)


@pytest.fixture
def manifest(small_recipe: Callable[..., Recipe]) -> Manifest:
    """Depth in metres whatever the lens, 64x64."""
    return manifest_of(small_recipe("depth", net={"canonical_focal_px": None}))


def test_the_truth_scores_full_marks_and_the_constant_does_not(manifest: Manifest) -> None:
    """The true map gives no error under any alignment; the baseline is the mean depth, 2.5 m."""
    measured = measure_depth(manifest, Saying("depth", [PLANE_M]), [_entry("a", PLANE_M)], "one")
    assert measured is not None
    rows = {r.name: r for r in measured.rows}
    assert rows["metric absrel"].value == pytest.approx(0, abs=1e-6)
    assert rows["median delta1"].value == 1.0
    expected = np.mean(np.abs(PLANE_M - 2.5) / PLANE_M)
    assert rows["metric absrel"].baseline == pytest.approx(expected, rel=1e-5)
    for numbers in measured.details["model"].values():
        assert numbers["pooled"]["rmse_m"] == pytest.approx(0, abs=1e-5)
    assert measured.details["baseline"]["depth_m"] == pytest.approx(2.5)


def test_the_worst_picture_comes_first(manifest: Manifest) -> None:
    """Ranked by the error of metres; a picture of which no depth is known takes no part."""
    entries = [_entry("good", PLANE_M), _entry("unknown", PLANE_M * 0), _entry("bad", PLANE_M)]
    answers = [PLANE_M, PLANE_M * np.float32(1.5), PLANE_M]
    measured = measure_depth(manifest, Saying("depth", answers), entries, "two")
    assert measured is not None
    assert "2 pictures" in measured.data
    assert [measured.pictures[i].name for i in measured.worst_first] == ["bad", "good"]
    assert measured.pictures[measured.worst_first[0]].error == pytest.approx(0.5, rel=1e-4)
    assert measured.pictures[measured.worst_first[0]].numbers["median absrel"] == pytest.approx(0, abs=1e-6)


def test_an_error_picture_shows_picture_truth_prediction_and_error(manifest: Manifest) -> None:
    """Four panels in a row; where the prediction is right the error panel is black, where it is twice, white."""
    answer = PLANE_M.copy()
    answer[:, 32:] *= 2
    measured = measure_depth(manifest, Saying("depth", [answer]), [_entry("half", PLANE_M)], "one")
    assert measured is not None
    drawn = measured.draw(0)
    height = drawn.shape[0] - 22
    error = drawn[22:, -height:].astype(float).mean(axis=-1)
    assert drawn.shape[1] == 4 * height + 3 * 4
    assert error[:, : height // 2 - 8].max() < 12
    assert error[:, height // 2 + 8 :].min() > 240


def test_relative_depth_is_never_called_metric(manifest: Manifest) -> None:
    """Exact inverse depth but for scale and shift has no error; no row and no detail compares it in metres."""
    output = InverseDepthRelative(kind="inverse_depth_relative", inverse_depth="inverse")
    relative = manifest.model_copy(update={"output": output})
    measured = measure_depth(relative, Saying("inverse", [3.0 / PLANE_M + 1.0]), [_entry("a", PLANE_M)], "one")
    assert measured is not None
    rows = {r.name: r.value for r in measured.rows}
    assert rows["affine-inverse absrel"] == pytest.approx(0, abs=1e-4)
    assert rows["median absrel"] > 0.05
    assert "metric" not in measured.details["model"]
    assert not any(name.startswith("metric") for name in rows)


def test_another_lens_means_other_metres(small_recipe: Callable[..., Recipe]) -> None:
    """A canonical answer is multiplied by the picture's own focal length at the network's size, over the canonical."""
    canonical = manifest_of(small_recipe("depth", net={"canonical_focal_px": 25.0}))
    measured = measure_depth(canonical, Saying("depth", [PLANE_M]), [_entry("a", PLANE_M * 2, 50.0)], "one")
    assert measured is not None
    assert measured.rows[0].value == pytest.approx(0, abs=1e-6)


def test_a_map_is_brought_to_the_size_of_the_truth(manifest: Manifest) -> None:
    """The truth is not resized: every known pixel of it counts."""
    truth = cv2.resize(PLANE_M, (128, 96), interpolation=cv2.INTER_LINEAR)
    measured = measure_depth(manifest, Saying("depth", [PLANE_M]), [_entry("a", truth)], "one")
    assert measured is not None
    assert measured.details["pixels"] == 128 * 96
    assert measured.rows[0].value < 0.01


def test_nothing_known_is_not_measured(manifest: Manifest) -> None:
    """No depth at all gives no rows rather than numbers that are none."""
    assert measure_depth(manifest, Saying("depth", [PLANE_M]), [_entry("a", PLANE_M * 0)], "none") is None
