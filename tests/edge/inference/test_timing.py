"""Networks are timed in turn, and compared within a round."""

from __future__ import annotations

import time

import numpy as np
import pytest

from edge.inference.manifest import read_manifest
from edge.inference.timing import interleaved, side_by_side, time_files, times
from tests.integration.conftest import REPOSITORY

LIGHTING = REPOSITORY / "engines" / "lighting"


def test_all_run_once_a_round_and_none_always_first() -> None:
    """Whatever comes after another has its caches to bear: the order turns every round."""
    calls: list[int] = []
    taken = interleaved([lambda i=i: calls.append(i) for i in range(3)], rounds=4)
    assert taken.shape == (4, 3)
    measured = calls[-12:]
    assert [measured[i : i + 3] for i in range(0, 12, 3)] == [[0, 1, 2], [2, 1, 0], [0, 1, 2], [2, 1, 0]]


def test_there_are_as_many_rounds_and_seconds_as_asked() -> None:
    """Both are least amounts; a time is no shorter than what it measures."""
    begun_s = time.perf_counter()
    taken = interleaved([lambda: time.sleep(0.002)], rounds=3, seconds=0.1)
    assert time.perf_counter() - begun_s >= 0.1
    assert len(taken) >= 3
    assert taken.min() >= 2.0


def test_what_disturbs_a_whole_round_leaves_the_ratio() -> None:
    """Twice the time, in rounds of which some are ten times slower for all: the ratio is 2 throughout."""
    reference = np.array([1.0, 10.0, 1.0, 3.0, 1.0])
    found = times(2 * reference, reference)
    assert (found.ratio_q25, found.ratio, found.ratio_q75) == pytest.approx((2, 2, 2))
    assert (found.min_ms, found.p50_ms) == pytest.approx((2, 2))
    assert found.p99_ms > 15


def test_files_are_timed_as_their_manifests_say() -> None:
    """Every file gets a positive time in every round, and two of the same file have the same size."""
    entry = (read_manifest(LIGHTING), LIGHTING / "model.onnx")
    assert (time_files([entry, entry], rounds=2) > 0).all()
    speed = side_by_side(entry, entry, rounds=2)
    assert speed.model_bytes == speed.peer_bytes == entry[1].stat().st_size
    assert speed.ratio == speed.model_ms / speed.peer_ms
