"""Splits: no scene in two parts, always the same, the publisher's where he made an honest one."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import DataError
from training.data.mix import splits
from training.data.mix.entries import PARTS, Entry, Lazy, part_of
from training.data.synthetic import split_of

SCENES = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=4)
PART = st.sampled_from([None, *PARTS])


def _entries(of: list[tuple[str, str | None]]) -> list[Entry[int]]:
    return [Entry(f"{scene}/{i}", scene, lambda i=i: i, part) for i, (scene, part) in enumerate(of)]  # type: ignore[misc, arg-type]


@given(st.lists(st.tuples(SCENES, PART), max_size=60), st.integers(0, 5), st.sampled_from(["auto", "scene"]))
def test_no_scene_is_in_two_parts(of: list[tuple[str, str | None]], seed: int, policy: splits.Policy) -> None:
    """Whatever publishers say and whatever the seed, parts share neither entries nor scenes."""
    parts = splits.parted(_entries(of), seed, policy)
    assert splits.shared_scenes(parts) == []
    names = [e.name for entries in parts.values() for e in entries]
    assert len(set(names)) == len(names)
    if policy == "scene" or all(part is None for _, part in of):
        assert len(names) == len(of)


@given(st.lists(st.tuples(SCENES, PART), max_size=60), st.integers(0, 5))
def test_splits_do_not_depend_on_what_else_is_there(of: list[tuple[str, str | None]], seed: int) -> None:
    """By scene, an entry's part is the same in any order and in any larger set."""
    parts = splits.by_scene(_entries(of), seed)
    for part, entries in parts.items():
        for entry in entries:
            assert [e.name for e in splits.by_scene([entry], seed)[part]] == [entry.name]


def test_a_scene_alike_in_two_sets_is_in_one_part() -> None:
    """The hash asks for the scene's name alone, and is the one that rendered rooms are split by."""
    assert [part_of(str(i), 3) for i in range(200)] == [split_of(i, 3) for i in range(200)]
    shares = [sum(part_of(f"home {i}", 0) == part for i in range(5000)) / 5000 for part in PARTS]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.02)


def test_the_publishers_split_is_honoured() -> None:
    """His test set stays whole; where he has no validation set, whole scenes of his training set become one."""
    of: list[tuple[str, str | None]] = [(f"a{i // 3}", "train") for i in range(300)]
    of += [(f"b{i}", "test") for i in range(40)] + [("unlisted", None)]
    parts = splits.parted(_entries(of))
    assert {e.scene for e in parts["test"]} == {f"b{i}" for i in range(40)}
    assert len(parts["train"]) + len(parts["val"]) == 300
    assert 0 < len(parts["val"]) < 100
    assert all(len([e for e in parts["val"] if e.scene == scene]) == 3 for scene in {e.scene for e in parts["val"]})
    three = splits.parted(_entries([("a", "train"), ("b", "val"), ("c", "test")]))
    assert {part: [e.scene for e in entries] for part, entries in three.items()} == {
        "train": ["a"],
        "val": ["b"],
        "test": ["c"],
    }


def test_a_publishers_split_that_leaks_is_taken_only_on_demand(caplog: pytest.LogCaptureFixture) -> None:
    """A room in both of his parts: split by room, with a warning; `publisher` takes his, and needs him to have one."""
    entries = _entries([("chess", "train"), ("chess", "test"), ("fire", "train"), ("fire", "test")])
    with caplog.at_level(logging.WARNING):
        assert splits.shared_scenes(splits.parted(entries, name="seven_scenes")) == []
    assert "seven_scenes" in caplog.text
    assert "split: publisher" in caplog.text
    his = splits.parted(entries, policy="publisher")
    assert len(his["test"]) == 2
    with pytest.raises(DataError, match="split: scene"):
        splits.parted(_entries([("chess", None)]), policy="publisher", name="seven_scenes")


@given(st.lists(st.tuples(SCENES, PART), max_size=60), st.sets(SCENES, max_size=9), st.sampled_from(["auto", "scene"]))
def test_scenes_held_by_name_are_validated_on(
    of: list[tuple[str, str | None]], held: set[str], policy: splits.Policy
) -> None:
    """Whatever publisher and hash say, all of such a scene is in val; the others are split as if it were not there."""
    entries = _entries(of)
    parts = splits.parted(entries, 0, policy, held=held)
    assert {e.name for e in parts["val"]} >= {e.name for e in entries if e.scene in held}
    assert splits.shared_scenes(parts) == []
    others = splits.parted([e for e in entries if e.scene not in held], 0, policy)
    assert (parts["train"], parts["test"]) == (others["train"], others["test"])


def test_two_sets_of_one_kind_must_agree() -> None:
    """A scene that one set learns from and the other is measured on is refused, naming it and both."""
    first = splits.record("nyu", "a", {"train": _entries([("den", None)])})
    second = splits.record("nyu", "b", {"test": _entries([("den", None)])})
    other = splits.record("tum", "c", {"test": _entries([("den", None)])})
    splits.check_apart([first, other])
    with pytest.raises(DataError, match="den is in train of a and in test of b"):
        splits.check_apart([first, second])
    with pytest.raises(DataError, match="split both alike"):
        splits.check_apart([first, {**second, "path": "a"}])
    splits.check_apart([first, first])


def test_the_file_says_every_scenes_part(tmp_path: Path) -> None:
    """`splits.json` holds the seed and, of each set, how many pictures of which scenes are in which part."""
    parts = splits.parted(_entries([("a", "train"), ("a", "train"), ("b", "val"), ("c", "test")]))
    splits.write(tmp_path / "run" / "splits.json", [splits.record("zind", "homes", parts)], 7)
    assert json.loads((tmp_path / "run" / "splits.json").read_text()) == {
        "seed": 7,
        "sources": [{"kind": "zind", "path": "homes", "train": {"a": 2}, "val": {"b": 1}, "test": {"c": 1}}],
    }


def test_entries_are_read_when_taken() -> None:
    """Listing, counting and slicing read nothing; each access reads anew."""
    read = []
    items = Lazy([Entry(str(i), "a", lambda i=i: read.append(i) or i) for i in range(5)])  # type: ignore[misc, func-returns-value]
    part = items[1:3]
    assert (len(items), len(part), read) == (5, 2, [])
    assert [part[0], part[1], part[0]] == [1, 2, 1]
    assert read == [1, 2, 1]
