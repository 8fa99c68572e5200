from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edge.errors import DataError
from training.data.synthetic.objects.clusters import clusters_of, placed, read_split, split, write_split


def grids(*spans: tuple[int, int]) -> np.ndarray:
    """Boxes that fill so many layers of x, from one to another."""
    out = np.zeros((len(spans), 32, 32, 32), np.uint8)
    for grid, (low, high) in zip(out, spans, strict=True):
        grid[low:high] = 255
    return out


def test_what_is_alike_is_one_cluster_also_by_chains() -> None:
    """Overlap above .85 joins, and so does a chain of such overlaps; .8 does not."""
    assert clusters_of(grids((0, 20), (0, 19), (0, 18), (0, 10))).tolist() == [0, 0, 0, 3]


def test_no_cluster_is_on_two_sides() -> None:
    """Of 60 things in pairs of twins, each pair is on one side, and every side has some."""
    names = [f"a/{i // 2:02d}{'xy'[i % 2]}" for i in range(60)]
    cluster = np.arange(60) // 2 * 2
    sides = split(names, ["seat"] * 60, [False] * 60, cluster)
    assert all(sides[names[i]] == sides[names[i + 1]] for i in range(0, 60, 2))
    counts = [sum(s == side for s in sides.values()) / 2 for side in ("train", "val", "wild", "test")]
    assert counts == [15, 3, 6, 6]


def test_a_duplicate_changes_no_side() -> None:
    """A file that is added joins the side of its twin, and what was there stays."""
    names = [f"a/{i}" for i in range(12)]
    before = split(names, ["lamp"] * 12, [False] * 12, np.arange(12))
    more = ["a/!twin", *names]
    cluster = np.array([0, 1, 2, 3, 4, 0, 6, 7, 8, 9, 10, 11, 12])
    after = split(more, ["lamp"] * 13, [False] * 13, cluster, before)
    assert {n: after[n] for n in names} == before
    assert after["a/!twin"] == before["a/4"]


def test_what_would_tie_two_sides_is_left_out() -> None:
    """A new thing that is like one learnt from and like one tested on is on no side."""
    before = {"a": "train", "b": "test"}
    after = split(["a", "b", "c"], ["seat"] * 3, [False] * 3, np.zeros(3, int), before)  # type: ignore[arg-type]
    assert after == {"a": "train", "b": "test", "c": "out"}


def test_what_is_made_never_shows_a_held_out_design() -> None:
    """A made thing like a held-out file is left out; one like a file learnt from is learnt from."""
    names = ["f/learnt", "f/held", "made/1", "made/2", "made/3"]
    before = {"f/learnt": "train", "f/held": "test"}
    shapes = grids((0, 10), (12, 24), (0, 10), (12, 24), (26, 30))
    sides, cluster = placed(names, ["seat"] * 5, [False, False, True, True, True], shapes, before)  # type: ignore[arg-type]
    assert [sides[n] for n in names] == ["train", "test", "train", "out", "train"]
    assert cluster[2] == 0 and cluster[1] == 1


def test_the_split_file_is_read_back(tmp_path: Path) -> None:
    """Sides and clusters come back by name; something else is refused with the remedy."""
    path = tmp_path / "split.json"
    assert read_split(path) == {}
    write_split(path, ["a", "b"], ["seat", "seat"], np.array([0, 0]), {"a": "val", "b": "val"}, 3)
    assert read_split(path) == {"a": "val", "b": "val"}
    assert read_split(path, "cluster") == {"a": "a", "b": "a"}
    path.write_text(json.dumps([1]), encoding="utf-8")
    with pytest.raises(DataError, match="delete it and synthesize again"):
        read_split(path)
