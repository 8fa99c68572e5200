"""Series on disk: one loop makes them, and they are read whole at any moment of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from edge.errors import DataError
from training.data.samples.rooms import assets_of
from training.data.synthetic import RenderedRooms
from training.data.synthetic.objects.rendered import RenderedObjects
from training.data.synthetic.shards import Groups, about_of, check_same_run, fill, merge_parts, scan, write_part

ABOUT: dict[str, Any] = {"seed": 1, "assets": "2 models"}
EACH = 2


def _write(out: Path, index: int) -> int:
    said = {"index": index, "split": "train", "category": "seat", "cluster": "a", "source": "file"}
    write_part(out, {"number": np.full(2, index), "attributes": said}, ABOUT)
    return index


def _merge(out: Path, shard: int) -> None:
    merge_parts(out, shard, ABOUT, each=EACH, stem="some")


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A folder of six items, none of them in a shard."""
    for index in range(6):
        _write(tmp_path, index)
    return tmp_path


@pytest.fixture
def merging(parts: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Each shard is made just before one of its parts is opened, as by a run beside; tells which so far."""
    opened, merged = h5py.File, list[int]()

    def interrupted(path: Path, mode: str) -> Any:
        if mode == "r" and path.stem.startswith("part-") and (shard := int(path.stem[5:]) // EACH) not in merged:
            merged.append(shard)
            monkeypatch.setattr(h5py, "File", opened)
            _merge(parts, shard)
            monkeypatch.setattr(h5py, "File", interrupted)
        return opened(path, mode)

    monkeypatch.setattr(h5py, "File", interrupted)
    return merged


def _number(item: dict[str, Any]) -> int:
    return int(item["number"][0])


@pytest.mark.parametrize("reader", [RenderedObjects, RenderedRooms, Groups], ids=lambda r: r.__name__)
def test_what_is_merged_while_it_is_listed_and_read_is_found(
    parts: Path, merging: list[int], reader: Callable[[Path], Any]
) -> None:
    """However many shards are made of parts that were listed, between listing and opening, each item is read once."""
    found = reader(parts)
    assert [_number(found.read(i)) for i in found.indices] == list(range(6))
    assert sorted(merging) == [0, 1, 2]
    assert not list(parts.glob("part-*"))


def test_a_part_that_goes_while_a_folder_is_scanned_is_in_its_shard(
    parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scan never misses an item, whatever is merged between any two files that it looks at."""
    listed = Path.glob

    def interrupted(folder: Path, pattern: str) -> Iterator[Path]:
        found = list(listed(folder, pattern))
        monkeypatch.setattr(Path, "glob", listed)
        _merge(folder, 1)
        return iter(found)

    monkeypatch.setattr(Path, "glob", interrupted)
    assert sorted(scan(parts)) == list(range(6))


def test_what_files_say_of_their_run_is_read_while_they_are_merged(parts: Path, merging: list[int]) -> None:
    """So a fit beside a synthesis may ask for it at any time."""
    assert about_of(parts) == ABOUT
    assert assets_of(parts) == {"models": 2}
    assert merging == [0, 1, 2]
    check_same_run(parts, ABOUT)
    with pytest.raises(DataError, match=r"seed = 1, this run has 2"):
        check_same_run(parts, ABOUT | {"seed": 2})
    assert about_of(parts / "nothing") == {}


def test_what_is_deleted_is_an_error_and_no_endless_search(parts: Path) -> None:
    """An item whose file somebody removed is named; the others are still read; a link to nothing is nothing."""
    (parts / "part-000006.h5").symlink_to("gone")
    (parts / "some-00007.h5").symlink_to("gone")
    assert about_of(parts) == ABOUT
    found = Groups(parts)
    with pytest.raises(DataError, match="no item 6"):
        found.read(6)
    (parts / "part-000003.h5").unlink()
    with pytest.raises(DataError, match="no item 3"):
        found.read(3)
    assert _number(found.read(4)) == 4
    (parts / "part-000005.h5").unlink()
    assert list(found.attributes()) == [0, 1, 2, 4]


def test_what_is_damaged_is_named(parts: Path) -> None:
    """A file that is no HDF5, and one cut short, are errors with path and remedy, when listed or when read."""
    path = parts / "part-000002.h5"
    path.write_bytes(path.read_bytes()[:1000])
    for read in (lambda: Groups(parts).read(2), Groups(parts).attributes, lambda: RenderedObjects(parts)):
        with pytest.raises(DataError, match=r"part-000002\.h5 is damaged .*synthesize again"):
            read()
    (parts / "some-00009.h5").write_bytes(b"no HDF5")
    with pytest.raises(DataError, match=r"some-00009\.h5 is damaged .*delete it"):
        scan(parts)


def test_a_folder_is_filled_and_gone_on_with(tmp_path: Path) -> None:
    """What is there is not made again; a shard appears as soon as its items do; in the end there are shards alone."""
    made, shards_then, told = list[int](), list[int](), list[tuple[int, int]]()

    def make(todo: list[int]) -> Iterator[int]:
        for index in reversed(todo):
            yield _write(tmp_path, index)
            made.append(index)
            shards_then.append(len(list(tmp_path.glob("some-*"))))

    again = partial(fill, tmp_path, make=make, about=ABOUT, each=EACH, stem="some")
    _write(tmp_path, 1)
    shards = again(total=5, progress=lambda *c: told.append(c))
    assert [s.name for s in shards] == ["some-00000.h5", "some-00001.h5", "some-00002.h5"]
    assert (made, shards_then) == ([4, 3, 2, 0], [0, 0, 1, 2])
    assert told == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    assert again(total=6) == shards and made[4:] == [5]
    assert sorted(p.name for p in tmp_path.iterdir()) == [s.name for s in shards]
    found = Groups(tmp_path)
    assert [_number(found.read(i)) for i in found.indices] == list(range(6))
    assert set(found.read(0, ("number",))) == {"number", "index", "split", "category", "cluster", "source"}
    assert set(found.read(0, ())) == {"index", "split", "category", "cluster", "source"}
