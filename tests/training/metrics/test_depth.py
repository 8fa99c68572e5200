"""Depth metrics against independent formulas and cases with a known answer."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torchmetrics

from training.metrics.depth import ALIGNMENTS, LIMITS_M, Alignment, DepthScores, both_ways, steps_recovered


def _errors(
    predicted: npt.ArrayLike,
    truth: npt.ArrayLike,
    alignment: Alignment = "metric",
    limits_m: tuple[float, float] = LIMITS_M,
) -> dict[str, float]:
    return DepthScores(alignment, limits_m).add(predicted, truth)


def _maps(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.5, 9, (6, 7))
    predicted = truth * np.exp(rng.normal(0, 0.3, truth.shape))
    truth[rng.random(truth.shape) < 0.2] = 0
    return predicted, truth


def test_depth_errors_by_hand() -> None:
    """Three pixels, one of them unknown."""
    errors = _errors([[2.0, 1.0, 9.0]], [[1.0, 1.1, 0.0]])
    assert errors["absrel"] == pytest.approx((1.0 + 0.1 / 1.1) / 2)
    assert errors["sqrel_m"] == pytest.approx((1.0 + 0.01 / 1.1) / 2)
    assert errors["rmse_m"] == pytest.approx(np.sqrt((1.0 + 0.01) / 2))
    assert errors["rmse_log"] == pytest.approx(np.sqrt((np.log(2) ** 2 + np.log(1.1) ** 2) / 2))
    assert errors["log10"] == pytest.approx((np.log10(2) + np.log10(1.1)) / 2)
    assert (errors["delta1"], errors["delta2"], errors["delta3"]) == (0.5, 0.5, 0.5)


def test_depth_errors_are_the_papers_formulas() -> None:
    """Eigen's formulas, pixel by pixel in a loop; torchmetrics where it has them."""
    predicted, truth = _maps(0)
    pairs = [(p, t) for p, t in zip(predicted.ravel().tolist(), truth.ravel().tolist(), strict=True) if t > 0]
    n = len(pairs)
    expected = {
        "absrel": sum(abs(p - t) / t for p, t in pairs) / n,
        "sqrel_m": sum((p - t) ** 2 / t for p, t in pairs) / n,
        "rmse_m": math.sqrt(sum((p - t) ** 2 for p, t in pairs) / n),
        "rmse_log": math.sqrt(sum((math.log(p) - math.log(t)) ** 2 for p, t in pairs) / n),
        "log10": sum(abs(math.log10(p) - math.log10(t)) for p, t in pairs) / n,
        "delta1": sum(max(p / t, t / p) < 1.25 for p, t in pairs) / n,
        "delta2": sum(max(p / t, t / p) < 1.25**2 for p, t in pairs) / n,
        "delta3": sum(max(p / t, t / p) < 1.25**3 for p, t in pairs) / n,
    }
    found = _errors(predicted, truth)
    assert found == pytest.approx(expected)
    p, t = (torch.tensor(v, dtype=torch.float64) for v in zip(*pairs, strict=True))
    assert found["rmse_m"] == pytest.approx(float(torchmetrics.MeanSquaredError(squared=False)(p, t)))
    assert found["absrel"] == pytest.approx(float(torchmetrics.MeanAbsolutePercentageError()(p, t)))


def test_alignments_remove_what_they_say() -> None:
    """Median scaling removes a factor, affine a factor and a shift of depth, affine_inverse those of inverse depth."""
    truth = np.random.default_rng(0).uniform(1, 5, (6, 7))
    inverse = 1 / (0.3 / truth + 0.2)
    assert _errors(truth * 7, truth, "median")["absrel"] == pytest.approx(0, abs=1e-9)
    assert _errors(truth * 7 + 2, truth, "affine")["rmse_m"] == pytest.approx(0, abs=1e-9)
    assert _errors(inverse, truth, "affine_inverse")["rmse_m"] == pytest.approx(0, abs=1e-9)
    assert _errors(truth * 7 + 2, truth, "median")["absrel"] > 0.01
    assert _errors(inverse, truth, "affine")["absrel"] > 0.01
    assert _errors(truth * 7 + 2, truth, "affine_inverse")["absrel"] > 0.01


@pytest.mark.parametrize("alignment", ["affine", "affine_inverse"])
def test_scale_and_shift_are_the_least_squares_ones(alignment: Alignment) -> None:
    """No other factor and shift, tried on a grid round them, has a smaller squared error in what is aligned."""
    predicted, truth = _maps(1)
    limits = (1e-6, 1e6)
    p, t = predicted[truth > 0], truth[truth > 0]
    given, wanted = (1 / p, 1 / t) if alignment == "affine_inverse" else (p, t)
    slope, shift = np.polyfit(given, wanted, 1)
    best = given * slope + shift
    expected = 1 / best if alignment == "affine_inverse" else best
    rmse = np.sqrt(((np.clip(expected, *limits) - t) ** 2).mean())
    assert _errors(predicted, truth, alignment, limits)["rmse_m"] == pytest.approx(rmse)
    for a in (0.9, 1.0, 1.1):
        for b in (-0.05, 0.0, 0.05):
            assert ((given * slope * a + shift + b - wanted) ** 2).sum() >= ((best - wanted) ** 2).sum() - 1e-12


def test_limits_leave_out_truth_and_clip_predictions() -> None:
    """Truth below 1 m and above 10 m counts nowhere; a prediction of 50 m is taken as 10 m."""
    errors = _errors([50.0, 3.0, 7.0], [8.0, 0.5, 12.0], limits_m=(1.0, 10.0))
    assert errors["rmse_m"] == pytest.approx(2.0)
    assert errors["absrel"] == pytest.approx(0.25)


def test_pictures_count_the_same_per_image_and_pixels_when_pooled() -> None:
    """A perfect picture of 96 pixels and one of 4 off by 1 m at 1 m: 1/2 of the error per image, 4/100 pooled."""
    scores = DepthScores()
    scores.add(np.ones((12, 8)), np.ones((12, 8)))
    scores.add(np.full((2, 2), 2.0), np.ones((2, 2)))
    assert scores.per_image["absrel"] == pytest.approx(0.5)
    assert scores.pooled["absrel"] == pytest.approx(0.04)
    assert scores.per_image["rmse_m"] == pytest.approx(0.5)
    assert scores.pooled["rmse_m"] == pytest.approx(np.sqrt(0.04))
    assert scores.per_image["delta1"] == pytest.approx(0.5)
    assert scores.pooled["delta1"] == pytest.approx(0.96)
    assert sum(scores.pixels) == 100


def test_pooled_is_one_large_picture() -> None:
    """Pictures laid side by side as one give the pooled numbers; several of one size give both the same means."""
    maps = [_maps(seed) for seed in range(4)]
    scores = DepthScores("metric")
    for predicted, truth in maps:
        scores.add(predicted, truth)
    whole = _errors(np.concatenate([p for p, _ in maps]), np.concatenate([t for _, t in maps]))
    assert scores.pooled == pytest.approx(whole)
    assert scores.per_image["absrel"] == pytest.approx(np.mean([_errors(p, t)["absrel"] for p, t in maps]))


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_a_constant_can_be_aligned(alignment: Alignment) -> None:
    """The baseline has no spread: every alignment gives it finite errors, and median scaling the truth's median."""
    _, truth = _maps(2)
    errors = _errors(np.full_like(truth, 3.0), truth, alignment)
    assert all(np.isfinite(v) for v in errors.values())
    if alignment == "median":
        known = truth[truth > 0]
        assert errors["rmse_m"] == pytest.approx(np.sqrt(((known - np.median(known)) ** 2).mean()))


def test_what_lies_on_the_limits_is_not_known() -> None:
    """Truth counts between the limits, not at them; by default between a millimetre and 100 m."""
    scores = DepthScores(limits_m=(1.0, 10.0))
    scores.add([2.0, 2.0, 2.0], [1.0, 10.0, 4.0])
    assert scores.pixels == [1]
    assert scores.per_image["rmse_m"] == pytest.approx(2.0)
    assert LIMITS_M == (1e-3, 100.0)


def test_inverse_depth_that_is_aligned_below_nought_is_as_far_as_can_be() -> None:
    """An aligned inverse depth of 0 or less is behind infinity: it is taken to be at the greatest depth."""
    truth = np.array([1.0, 1.0, 2.0, 50.0, 60.0])
    inverse = np.array([1.0, 1.0, 0.5, -0.5, 0.0])
    scores = DepthScores("affine_inverse", (0.1, 80.0))
    predicted = 1 / np.maximum(inverse, 1e-3)
    scores.add(predicted, truth)
    slope, shift = np.polyfit(1 / predicted, 1 / truth, 1)
    fitted = slope / predicted + shift
    expected = np.clip(1 / np.maximum(fitted, 1 / 80.0), 0.1, 80.0)
    assert scores.per_image["rmse_m"] == pytest.approx(np.sqrt(((expected - truth) ** 2).mean()))


def test_steps_are_recovered_by_their_share() -> None:
    """All of the truth's at any scale, half where the steps are halved, none by a constant; nan without steps."""
    truth = np.full((60, 100), 2.0)
    truth[10:40, 20:70] = 1.0
    truth[50:, :] = 0.0  # unknown
    assert steps_recovered(truth * 3, truth) == pytest.approx(1)
    assert steps_recovered(np.sqrt(np.maximum(truth, 0.1)), truth) == pytest.approx(0.5)
    assert steps_recovered(np.full_like(truth, 1.5), truth) == 0
    assert np.isnan(steps_recovered(truth, np.full_like(truth, 2.0)))


def test_both_ways_takes_each_edge_from_who_sees_it() -> None:
    """Godard et al. 2017: the left twentieth is the mirror image's, the right one the picture's, the middle the mean.

    The mean is of disparities; two equal maps give themselves.
    """
    plain, mirrored = np.full((4, 200), 2.0, np.float32), np.full((4, 200), 4.0, np.float32)
    out = both_ways(plain, mirrored)
    assert np.allclose(out[:, :10], 4.0) and np.allclose(out[:, -10:], 2.0)
    assert np.allclose(out[:, 40:160], 1 / ((1 / 2 + 1 / 4) / 2))
    assert (np.diff(1 / out[0]) > -1e-6).all()
    ramp = np.linspace(1, 5, 200, dtype=np.float32)[None].repeat(3, axis=0)
    assert np.allclose(both_ways(ramp, ramp), ramp, rtol=1e-5)
