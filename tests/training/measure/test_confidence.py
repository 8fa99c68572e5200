"""Confidence: the lines are those that made the data, and what a model folder says is learnt through the readers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from edge.errors import DataError
from edge.inference.manifest import BoundaryCorners, DepthMetres, JointOutputs, LayoutSign
from edge.perception.layout import LayoutReader
from training.calibrate import calibrate
from training.config.recipe import Recipe
from training.data import evaluation
from training.export.proof.runners import TorchBackend, manifest_of
from training.measure.confidence import (
    Signs,
    depth_signs,
    exponential_line,
    layout_signs,
    learn_confidence,
    logistic_line,
    rank_correlation,
    with_confidence,
)
from training.tasks.build import build_task


def _signs(noise: float, logistic: bool) -> Signs:
    rng = np.random.default_rng(0)
    values = np.stack([rng.normal(2, 0.5, 4000), rng.normal(-1, 3, 4000), np.full(4000, 7.0)], axis=1)
    total = -0.5 + values[:, :2] @ [0.8, -0.3] + rng.normal(0, noise, 4000)
    return Signs(values, 1 / (1 + np.exp(-total)) if logistic else np.exp(total))


@pytest.mark.parametrize("logistic", [True, False])
def test_the_line_that_made_the_data_is_found(logistic: bool) -> None:
    """Bias and weights within what the ridge draws them to 0; a sign that is always the same gets no weight."""
    signs = _signs(0.2, logistic)
    line = logistic_line(signs) if logistic else exponential_line(signs)
    assert line[3] == 0
    np.testing.assert_allclose(line[1:3], [0.8, -0.3], rtol=0.2)
    total = line[0] + signs.values @ line[1:]
    expected = 1 / (1 + np.exp(-total)) if logistic else np.exp(total)
    assert expected.mean() == pytest.approx(signs.truth.mean(), rel=0.02)
    assert rank_correlation(list(expected), list(signs.truth)) > 0.95


def test_few_or_like_numbers_have_no_order() -> None:
    """Nothing is said of the order of nine pictures, or of ones with the same confidence."""
    assert np.isnan(rank_correlation([0.1 * i for i in range(9)], [0.1 * i for i in range(9)]))
    assert np.isnan(rank_correlation([0.5] * 20, [0.1 * i for i in range(20)]))
    assert rank_correlation([float(i) for i in range(20)], [float(i**3) for i in range(20)]) == pytest.approx(1)


def test_few_pictures_are_refused() -> None:
    """With the number that is needed."""
    with pytest.raises(DataError, match="give 20"):
        learn_confidence("layout", Signs(np.zeros((3, 11)), np.full(3, 0.5)), "rooms")


@pytest.mark.slow
def test_what_is_learnt_is_what_the_readers_say(box_rooms: Path, small_recipe: Callable[..., Recipe]) -> None:
    """Signs are read for rooms and views; the device's confidence with the learnt line is the line's own answer."""
    task = build_task(small_recipe("joint")).eval()
    manifest = manifest_of(task.recipe)
    backend = TorchBackend(task.net, manifest)
    rooms = evaluation.room_layout_cases(box_rooms, "train")[:12]
    layout = layout_signs(manifest.part("layout"), backend, rooms)
    depth = depth_signs(manifest.part("depth"), backend, evaluation.room_range_cases(box_rooms, "train")[:20])
    assert layout.values.shape == (24, 11)
    assert depth.values.shape == (20, 3)
    assert np.ptp(layout.values[:, 8]) > 0  # the spread of this network's edges
    learnt = {
        "layout": learn_confidence("layout", layout, "rooms"),
        "depth": learn_confidence("depth", depth, "rooms"),
    }
    told = with_confidence(manifest, learnt)  # type: ignore[arg-type]
    assert isinstance(told.output, JointOutputs)
    assert isinstance(told.output.layout, BoundaryCorners) and isinstance(told.output.depth, DepthMetres)
    assert told.output.layout.confidence == learnt["layout"]
    assert told.output.depth.confidence == learnt["depth"]
    assert told.output.depth.confidence is not None and told.output.depth.confidence.pictures == 20
    case, line = rooms[0].read(), told.output.layout.confidence
    assert line is not None
    reader = LayoutReader(told.part("layout"), case.camera)
    said = reader.read(backend.run(reader.prepare(case.image)), 0.0).confidence
    weights = [line.weights.get(name, 0.0) for name in get_args(LayoutSign)]
    assert said == pytest.approx(1 / (1 + np.exp(-line.bias - layout.values[0] @ weights)), abs=1e-6)


def test_only_model_folders_are_calibrated(tmp_path: Path) -> None:
    """A checkpoint is exported first."""
    with pytest.raises(DataError, match="model folder"):
        calibrate(tmp_path / "final.ckpt", tmp_path, "val")
