"""Rooms unlike those of the training."""

from __future__ import annotations

import numpy as np

from edge.monitor.novelty import NoveltyJudge, Training, novelty

NORMAL = np.sort(np.random.default_rng(0).standard_normal(20_000))
TRAINING = Training({"sharpness": np.quantile(NORMAL, np.linspace(0, 1, 101))})


def test_a_room_of_the_training_is_none_to_tell_of() -> None:
    """One room's narrow spread, anywhere in the middle of all rooms, is inside; what the training lacks is left out."""
    random = np.random.default_rng(2)
    for level in (-1.5, 0.0, 1.5):
        found = novelty({"sharpness": level + 0.2 * random.standard_normal(144), "other": np.ones(144)}, TRAINING)
        assert found == ()


def test_a_blurred_camera_is_outside_and_comes_back() -> None:
    """Out after three hours, with the feature and its side; back after a day in the middle."""
    random = np.random.default_rng(3)
    blurred = novelty({"sharpness": -3.5 + 0.2 * random.standard_normal(144)}, TRAINING)
    assert [(o.name, o.side) for o in blurred] == [("sharpness", "below")]
    assert blurred[0].rank < 0.01
    sharp = novelty({"sharpness": 0.2 * random.standard_normal(144)}, TRAINING)
    judge = NoveltyJudge()
    assert [judge.take(blurred) for _ in range(4)] == [None, None, "out_of_training", None]
    assert [judge.take(sharp) for _ in range(24)] == [None] * 23 + ["back_in_training"]
