"""Rooms unlike those of the training."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edge.monitor.drift_statistics import chi_square_quantile, new_room_p
from edge.monitor.novelty import JOINT_ALPHA, Known, NoveltyJudge, Together, Training, novelty

Array = npt.NDArray[np.float64]
NORMAL = np.sort(np.random.default_rng(0).standard_normal(20_000))


def as_it_is(name: str, values: npt.ArrayLike) -> Array:
    """Features of a normal law need no other scale."""
    return np.asarray(values, dtype=np.float64)


SHARP = Known(np.quantile(NORMAL, np.linspace(0, 1, 101)), 0.0, 0.8)
TRAINING = Training({"sharpness": SHARP}, 200, as_it_is)


def test_a_room_of_the_training_is_none_to_tell_of() -> None:
    """One room's narrow spread, anywhere in the middle of all rooms, is inside; what the training lacks is left out."""
    random = np.random.default_rng(2)
    for level in (-1.5, 0.0, 1.5):
        day = {"sharpness": level + 0.2 * random.standard_normal(144), "other": np.ones(144)}
        assert not novelty(day, TRAINING).is_new


def test_a_blurred_camera_is_outside_and_comes_back() -> None:
    """Out after three hours, with the feature and its side; back after a day in the middle."""
    random = np.random.default_rng(3)
    blurred = novelty({"sharpness": -3.5 + 0.2 * random.standard_normal(144)}, TRAINING)
    assert [(o.name, o.side) for o in blurred.outside] == [("sharpness", "below")]
    assert blurred.outside[0].rank < 0.01
    sharp = novelty({"sharpness": 0.2 * random.standard_normal(144)}, TRAINING)
    judge = NoveltyJudge()
    assert [judge.take(blurred.is_new) for _ in range(4)] == [None, None, "out_of_training", None]
    assert [judge.take(sharp.is_new) for _ in range(24)] == [None] * 23 + ["back_in_training"]


def test_few_rooms_do_not_say_how_rooms_differ() -> None:
    """The same camera, beyond all pictures that are known: outside of 200 rooms, and of 5 rooms not surely."""
    day = {"sharpness": np.full(144, -3.5)}
    few = Training({"sharpness": SHARP}, 5, as_it_is)
    assert novelty(day, TRAINING).is_new
    assert not novelty(day, few).is_new


def test_features_that_do_not_go_together() -> None:
    """Sharpness without edges where one never came without the other: each as usual, both together of no known room."""
    together = Together(
        ("sharpness", "edges", "warmth"), np.zeros(3), np.linalg.inv([[1, 0.95, 0], [0.95, 1, 0], [0, 0, 1]])
    )
    rooms = Training({"sharpness": SHARP, "edges": SHARP, "warmth": SHARP}, 100, as_it_is, together)
    usual = {name: np.full(144, 1.3) for name in together.names}
    assert not novelty(usual, rooms).is_new
    found = novelty(usual | {"edges": np.full(144, -1.3)}, rooms)
    assert found.outside == ()
    assert set(found.together[:2]) == {"sharpness", "edges"}
    assert found.p is not None and found.p < JOINT_ALPHA
    assert novelty({"sharpness": np.full(144, 9.0)}, rooms).p is None  # not all of them are followed


@pytest.mark.parametrize("features", [1, 2, 9])
@pytest.mark.parametrize("rooms", [20, 50, 400])
def test_one_more_room_is_as_far_off_as_it_says(rooms: int, features: int) -> None:
    """Of rooms of any normal law, one more is beyond the distance of probability p in p of all cases."""
    random, of, mix = (
        np.random.default_rng(rooms + features),
        4000,
        np.random.default_rng(1).random((features, features)),
    )
    known = random.standard_normal((of, rooms, features)) @ mix
    off = random.standard_normal((of, features)) @ mix - known.mean(axis=1)
    spread = known - known.mean(axis=1, keepdims=True)
    covariance = np.einsum("kri,krj->kij", spread, spread) / (rooms - 1)
    squared = np.einsum("ki,ki->k", off, np.linalg.solve(covariance, off[..., None])[..., 0])
    p = np.array([new_room_p(float(d), rooms, features) for d in squared])
    for alpha in (0.5, 0.1, 0.01):
        assert (p < alpha).mean() == pytest.approx(alpha, abs=4 * (alpha / of) ** 0.5)


def test_of_many_rooms_the_distance_is_chi_square() -> None:
    """Where they say all of how rooms differ; and it is never farther out than it is likely."""
    for features in (1, 4, 9):
        squared = chi_square_quantile(0.001, features)
        assert new_room_p(squared, 10**6, features) == pytest.approx(0.001, rel=1e-3)
        assert new_room_p(squared, 50, features) > 0.001
    assert new_room_p(0.0, 20, 9) == 1.0
