"""Rules that need no label, cameras that were moved, and rooms unlike those of the training."""

from __future__ import annotations

import numpy as np
import pytest

from edge.monitor.consistency import RULES, Rule, alike, angle_deg, broken, depth_against, layout_jumps
from edge.monitor.moved import MovedJudge
from edge.monitor.novelty import NoveltyJudge, Training, novelty

SQUARE = np.array([[2, -2], [2, 2], [-2, 2], [-2, -2]], float)


def test_a_result_that_agrees_breaks_no_rule() -> None:
    """In the middle of every range, and where nothing was measured, there is no reason."""
    assert broken({rule.name: (rule.lowest + rule.highest) / 2 for rule in RULES}) == ()
    assert broken({"gravity": None, "ceiling_height": float("nan")}) == ()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_rule_is_broken_beyond_its_range(rule: Rule) -> None:
    """A value just inside is nothing, one just outside a reason that says name, value and threshold."""
    outside = rule.lowest - 0.01 if rule.name in ("layout_jumps", "mirrored") else rule.highest + 0.01
    inside = rule.lowest if outside < rule.lowest else rule.highest
    assert broken({rule.name: inside}) == ()
    reason = broken({rule.name: outside})[0]
    assert (reason.rule, reason.value, reason.threshold) == (rule.name, outside, inside)
    assert rule.meaning in reason.message


def test_low_ceilings_are_reasons_too() -> None:
    """1.8 m is below 2 m."""
    assert "below 2 m" in broken({"ceiling_height": 1.8})[0].message


def test_quantities_of_rules() -> None:
    """Depth 20 % off its shell; a brighter picture is the same picture; jumps count between the same pictures alone."""
    shell = np.full((4, 4), 2.0)
    depth = np.where(np.eye(4) > 0, 0.0, 2.4)
    assert depth_against(depth, shell) == pytest.approx(0.2)
    assert depth_against(np.zeros((4, 4)), shell) is None
    picture = np.random.default_rng(0).random((8, 8))
    assert alike(picture, 0.5 * picture + 0.1) == pytest.approx(1.0)
    assert alike(picture, np.random.default_rng(1).random((8, 8))) < 0.9
    assert (layout_jumps(0.99, 0.5), layout_jumps(0.5, 0.5)) == (0.5, None)
    assert angle_deg([0, 0, 2], [0, 3, 0]) == pytest.approx(90.0)
    assert angle_deg([0, 0, 0], [0, 3, 0]) is None


# Moved cameras --------------------------------------------------------------------------------------------------------


def offered(judge: MovedJudge, from_s: float, minutes: int, polygon: np.ndarray, pitch_rad: float = 0.0) -> list[float]:
    """A room seen every half minute, with a centimetre of noise; when it was told that the camera was moved."""
    random = np.random.default_rng(0)
    told = []
    for k in range(2 * minutes):
        at_s = from_s + 30.0 * k
        if judge.offer(at_s, polygon + random.normal(0, 0.01, polygon.shape), pitch_rad):
            told.append(at_s)
    return told


def test_a_moved_camera_is_told_once_after_ten_minutes() -> None:
    """10 cm aside, or 3 degrees down, held for ten minutes; then its new place is the usual one."""
    for polygon, pitch_rad in ((SQUARE + [0.10, 0.10], 0.0), (SQUARE, -0.052)):
        judge = MovedJudge()
        assert offered(judge, 0.0, 60, SQUARE) == []
        assert offered(judge, 3600.0, 60, polygon, pitch_rad) == [3600.0 + 600.0]


def test_what_passes_is_no_move() -> None:
    """Five minutes of another room, rooms that jump about, and a slow settling by 10 cm a day are none."""
    judge = MovedJudge()
    offered(judge, 0.0, 60, SQUARE)
    assert offered(judge, 3600.0, 5, SQUARE * 1.5) == []
    assert offered(judge, 4000.0, 30, SQUARE) == []
    random = np.random.default_rng(1)
    assert [judge.offer(6000.0 + 60 * k, SQUARE * random.uniform(1.1, 2.0)) for k in range(60)] == [None] * 60
    slow = MovedJudge()
    assert [t for h in range(24) for t in offered(slow, 3600.0 * h, 60, SQUARE + [0.1 * h / 24, 0])] == []


# Outside of the training ----------------------------------------------------------------------------------------------

NORMAL = np.sort(np.random.default_rng(0).standard_normal(20_000))
TRAINING = Training({"sharpness": np.quantile(NORMAL, np.linspace(0, 1, 101))}, ("sharpness",), np.zeros(1), np.eye(1))


def test_a_room_of_the_training_is_none_to_tell_of() -> None:
    """One room's narrow spread, anywhere in the middle of all rooms, is inside; what the training lacks is left out."""
    random = np.random.default_rng(2)
    for level in (-1.5, 0.0, 1.5):
        found = novelty({"sharpness": level + 0.2 * random.standard_normal(144), "other": np.ones(144)}, TRAINING)
        assert not found.found


def test_a_blurred_camera_is_outside_and_comes_back() -> None:
    """Out after three hours, with the feature and its side; back after a day in the middle."""
    random = np.random.default_rng(3)
    blurred = novelty({"sharpness": -3.5 + 0.2 * random.standard_normal(144)}, TRAINING)
    assert [(o.name, o.side) for o in blurred.outside] == [("sharpness", "below")]
    assert blurred.outside[0].rank < 0.01
    assert blurred.too_far
    sharp = novelty({"sharpness": 0.2 * random.standard_normal(144)}, TRAINING)
    judge = NoveltyJudge()
    assert [judge.take(blurred) for _ in range(4)] == [None, None, "out_of_training", None]
    assert [judge.take(sharp) for _ in range(24)] == [None] * 23 + ["back_in_training"]
