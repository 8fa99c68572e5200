"""Frames are chosen by parallax, and footage that says nothing about depth is refused with what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from edge.errors import DataError
from edge.scene import ImageArray
from tests.edge.geometry.test_two_views import LENS, picture
from tests.training.textured_room import pose
from training.arrays import Array
from training.data.motion import pairs
from training.data.motion.footage import Footage


def _footage(poses: list[Array], known: bool = False) -> Footage:
    images = [picture(T) for T in poses]
    T = np.stack(poses) if known else None
    return Footage("clip", lambda: iter(images), LENS, 10.0, T)


def _walk(count: int, step_m: float = 0.02, turn_deg: float = 0.3) -> list[Array]:
    return [pose(step_m * i - 0.3, 0.0, 0.3 * step_m * i, turn_deg * i) for i in range(count)]


@pytest.fixture(autouse=True, scope="module")
def _short_footage_is_enough() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "FEWEST_PAIRS", 10)
        yield


@pytest.fixture(scope="module")
def walk() -> tuple[list[Array], pairs.Studied]:
    """A walk of twelve steps and what is made of it."""
    poses = _walk(10, 0.04)
    return poses, pairs.studied(_footage(poses, known=True), 160, 120)


def test_sources_are_as_far_as_parallax_asks(walk: tuple[list[Array], pairs.Studied]) -> None:
    """Every source has the parallax that is useful, on either side of its frame, and most frames have one."""
    poses, found = walk
    for i, row in enumerate(found.sources):
        for source in row:
            assert pairs.PARALLAX[0] <= source.motion.parallax <= pairs.PARALLAX[1]
            assert source.frame != i
    assert len(found.usable) > 0.8 * len(poses)


@pytest.mark.slow
def test_a_slower_walk_takes_frames_further_apart(walk: tuple[list[Array], pairs.Studied]) -> None:
    """Half the step, about twice as many frames between a frame and its source: the way between them is the same."""

    def gap(found: pairs.Studied) -> float:
        return float(np.mean([abs(s.frame - i) for i, row in enumerate(found.sources) for s in row]))

    slower = pairs.studied(_footage(_walk(16, 0.02, 0.15)), 160, 120)
    assert gap(slower) > 1.4 * gap(walk[1])


def test_known_poses_are_taken_as_they_are(walk: tuple[list[Array], pairs.Studied]) -> None:
    """Motion between two frames is inverse(later) @ earlier, in metres, and the points' depth is then in metres too."""
    poses, found = walk
    i = found.usable[3]
    source = found.sources[i][0]
    expected = np.linalg.inv(poses[source.frame]) @ poses[i]
    assert np.allclose(source.motion.T_second_first, expected)
    assert 1.0 < np.median(source.motion.depth) < 4.5


def test_motion_is_found_without_poses() -> None:
    """A walk without its poses: half of the turns are within .15 degree of the truth, all within .6."""
    poses = _walk(8, 0.05)
    found = pairs.studied(_footage(poses), 160, 120)
    off = []
    for i, row in enumerate(found.sources):
        for s in row:
            truth = np.linalg.inv(poses[s.frame]) @ poses[i]
            R = s.motion.T_second_first[:3, :3] @ truth[:3, :3].T
            off.append(np.degrees(np.arccos(np.clip((np.trace(R) - 1) / 2, -1, 1))))
    assert np.median(off) < 0.15 and max(off) < 0.6


@pytest.mark.parametrize(
    ("poses", "message"),
    [
        ([pose()] * 8, "does not move"),
        ([pose(yaw_deg=0.8 * i) for i in range(8)], "only turns"),
    ],
    ids=["still", "turning"],
)
def test_what_says_nothing_is_refused(poses: list[Array], message: str) -> None:
    """A still camera, and one that only turns."""
    with pytest.raises(DataError, match=message):
        pairs.studied(_footage(poses), 160, 120)


def test_a_second_of_footage_is_too_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight frames give fewer pairs than the thirty that are asked for."""
    monkeypatch.setattr(pairs, "FEWEST_PAIRS", 30)
    with pytest.raises(DataError, match=r"only \d+ pairs of frames .* walk through the room"):
        pairs.studied(_footage(_walk(8, 0.04)), 160, 120)


def test_blank_footage_is_refused() -> None:
    """Without texture nothing is found again."""
    blank = [np.full((240, 320, 3), 90, np.uint8)] * 12
    with pytest.raises(DataError, match="too few points"):
        pairs.studied(Footage("clip", lambda: iter(blank), LENS, 10.0), 160, 120)


def _eyes(change: Callable[[ImageArray], ImageArray] = lambda x: x) -> Footage:
    left = [picture(pose(0.1 * i)) for i in range(3)]
    right = [change(picture(pose(0.1 * i + 0.1))) for i in range(3)]
    return Footage("rig", lambda: iter(left), LENS, right=lambda: iter(right), baseline_m=0.1)


def test_rectified_pairs_are_taken_and_others_refused() -> None:
    """Eyes exchanged, or rows 3 px apart, are named; a rig as it should be is not."""
    assert len(pairs.studied(_eyes(), 160, 120).rights) == 3
    with pytest.raises(DataError, match="not rectified"):
        pairs.studied(_eyes(lambda x: np.roll(x, 3, axis=0)), 160, 120)
    whole = _eyes()
    assert whole.right is not None
    swapped = Footage("rig", whole.right, LENS, right=whole.frames, baseline_m=0.1)
    with pytest.raises(DataError, match="exchanged"):
        pairs.studied(swapped, 160, 120)
