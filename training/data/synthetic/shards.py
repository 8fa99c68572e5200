"""A series on disk: numbered items, made and gone on with by one loop, and read while that runs.

A folder: `STEM-00000.h5` is a full shard, and so on; `part-000047.h5` is a finished item whose shard is not full yet.
Every file appears whole, by a rename, so a killed run leaves nothing half-written; and an item is in its shard before
its part goes, so a reader finds it in one of the two at any time.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from edge.errors import DataError

Item = dict[str, Any]
_PART = re.compile(r"part-\d{6}")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A file to read; who reads what may be merged meanwhile expects a FileNotFoundError.

    Raises:
        DataError: it is damaged, or lacks what is asked for.
    """
    try:
        with h5py.File(path, "r") as file:
            yield file
    except FileNotFoundError:
        raise
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}); delete it and synthesize again") from error


def write_part(out: Path, item: Item, about: Mapping[str, Any]) -> Path:
    """Write one item's file: its arrays, and `attributes`, of which `index` is its number."""
    path = out / f"part-{item['attributes']['index']:06d}.h5"
    temporary = path.with_suffix(f".tmp{os.getpid()}")
    with h5py.File(temporary, "w") as file:
        file.attrs.update(about)
        group = file.create_group(f"{item['attributes']['index']:06d}")
        for name, value in item.items():
            if name != "attributes":
                large = np.asarray(value).nbytes > 4096
                group.create_dataset(name, data=value, **({"compression": "lzf", "shuffle": True} if large else {}))
        group.attrs.update(item["attributes"])
    os.replace(temporary, path)
    return path


def merge_parts(out: Path, shard: int, about: Mapping[str, Any], *, each: int, stem: str) -> Path | None:
    """Join a shard's parts (and what the shard holds already) into its file, then remove the parts."""
    first = shard * each
    parts = [p for i in range(first, first + each) if (p := out / f"part-{i:06d}.h5").is_file()]
    path = out / f"{stem}-{shard:05d}.h5"
    if not parts:
        return path if path.is_file() else None
    temporary = path.with_suffix(f".tmp{os.getpid()}")
    with h5py.File(temporary, "w") as merged:
        merged.attrs.update(about)
        for source in [*([path] if path.is_file() else []), *parts]:
            with h5py.File(source, "r") as file:
                for name in file:
                    if name not in merged:
                        file.copy(file[name], merged, name)
    os.replace(temporary, path)
    for part in parts:
        part.unlink()
    return path


def scan(folder: Path) -> dict[int, tuple[Path, str]]:
    """An item's number -> its file and group there.

    Raises:
        DataError: a file cannot be read.
    """
    parts = [p for p in _files(folder) if _PART.fullmatch(p.stem)]  # first: what goes is in a shard by then
    found = {int(p.stem[5:]): (p, p.stem[5:]) for p in parts}
    for path in (p for p in _files(folder) if not _PART.fullmatch(p.stem)):
        with suppress(FileNotFoundError), _opened(path) as file:
            found |= {int(name): (path, name) for name in file}
    return found


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("*.h5") if p.is_file())


def about_of(folder: Path) -> dict[str, Any]:
    """What the files of a folder say of their run; empty where there are none.

    Raises:
        DataError: a file cannot be read.
    """
    while files := _files(folder):
        for path in files:
            try:
                with _opened(path) as file:
                    return dict(file.attrs)
            except FileNotFoundError:  # merged since it was listed
                continue
    return {}


def check_same_run(out: Path, about: Mapping[str, Any]) -> None:
    """Refuse to go on in a folder that was made with other settings.

    Raises:
        DataError: names the setting.
    """
    before = about_of(out)
    for key, value in about.items():
        there = before.get(key)
        if there is not None and list(map(str, _flat(there))) != list(map(str, _flat(value))):
            raise DataError(
                f"{out} was made with {key} = {there}, this run has {value}; use the same, or another --out"
            )


def _flat(value: Any) -> list[Any]:
    return list(value) if hasattr(value, "__iter__") and not isinstance(value, str) else [value]


def fill(
    out: Path, total: int, make: Callable[[list[int]], Iterable[int]], about: Mapping[str, Any], *,
    each: int, stem: str, progress: Callable[[int, int], None] | None = None,
) -> list[Path]:  # fmt: skip
    """Make the items 0..total-1 that a folder lacks, a shard of each `each` as soon as they are there.

    Args:
        out: the folder.
        total: how many items it shall hold.
        make: writes the parts of those numbers and yields each as it is done, in any order.
        about: attributes of every file.
        each: items of a shard.
        stem: first word of the shards' names.
        progress: called with (items done, items in all), at first with those found.

    Returns:
        The shards.
    """
    have = set(scan(out))
    todo = [i for i in range(total) if i not in have]
    done = total - len(todo)
    if progress:
        progress(done, total)
    for index in make(todo):
        have.add(index)
        done += 1
        if progress:
            progress(done, total)
        shard = index // each
        if have.issuperset(range(shard * each, (shard + 1) * each)):
            merge_parts(out, shard, about, each=each, stem=stem)
    shards = [merge_parts(out, k, about, each=each, stem=stem) for k in range(-(-total // each))]
    return [s for s in shards if s is not None]


class Groups:
    """The items of a folder; one whose part was merged since it was listed is found in its shard."""

    def __init__(self, folder: Path) -> None:
        """List what is there.

        Raises:
            DataError: a file cannot be read.
        """
        self._folder, self._where = folder, scan(folder)

    @property
    def indices(self) -> list[int]:
        """Numbers of the items, ascending."""
        return sorted(self._where)

    def read(self, index: int, names: tuple[str, ...] | None = None) -> Item:
        """An item's arrays, all or those named, and its attributes.

        Raises:
            DataError: it is not there (any more), or damaged.
        """
        while index in self._where:
            path, name = self._where[index]
            try:
                with _opened(path) as file:
                    group = file[name]
                    item: Item = {n: group[n][()] for n in group if names is None or n in names}
                    return item | _plain(group.attrs)
            except FileNotFoundError:
                self._where = scan(self._folder)
        raise DataError(f"{self._folder} has no item {index}, only {len(self._where)} others; synthesize again")

    def attributes(self) -> dict[int, Item]:
        """Attributes of all items by number, ascending.

        Raises:
            DataError: a file is damaged.
        """
        found: dict[int, Item] = {}
        while todo := self._where.keys() - found.keys():
            by_file: dict[Path, list[tuple[int, str]]] = defaultdict(list)
            for index in todo:
                path, name = self._where[index]
                by_file[path].append((index, name))
            for path, rows in by_file.items():
                with suppress(FileNotFoundError), _opened(path) as file:
                    found |= {index: _plain(file[name].attrs) for index, name in rows}
            if todo - found.keys():
                self._where = scan(self._folder)
        return dict(sorted(found.items()))


def _plain(attributes: Mapping[str, Any]) -> Item:
    return {k: (v.item() if isinstance(v, np.generic) else v) for k, v in attributes.items()}
