"""What every data set is to the rest: a list of entries, each read only when it is asked for.

A reader lists a folder in its publisher's format and refuses another layout with a `DataError` that says what was
expected where and the remedy. An entry knows its scene (the room, house, drive or place that it shows), which splits
keep together, and the part that the publisher put it in, where he did.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar, overload

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")


def part_of(scene: str, seed: int = 0) -> Part:
    """The part of a scene that no publisher placed: train (80 %), val or test (10 % each), by a stable hash."""
    digest = hashlib.blake2b(f"{seed}:{scene}".encode(), digest_size=8).digest()
    share = int.from_bytes(digest, "big") / 2**64
    return "train" if share < 0.8 else "val" if share < 0.9 else "test"


@dataclass(frozen=True)
class Entry(Generic[T_co]):
    """One item of a data set, not read yet.

    `name` is unique within the set; `read` can be pickled (a function, or a `functools.partial` of one), so that
    loader processes can be given it; `part` is None where the publisher split nothing.
    """

    name: str
    scene: str
    read: Callable[[], T_co]
    part: Part | None = None


class Lazy(Sequence[T]):
    """The items of entries, read anew each time that one is taken."""

    def __init__(self, entries: Sequence[Entry[T]]) -> None:
        """Nothing is read yet."""
        self.entries = entries

    def __len__(self) -> int:
        """How many."""
        return len(self.entries)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Lazy[T]: ...
    def __getitem__(self, index: int | slice) -> T | Lazy[T]:
        """Read one, or take some without reading them."""
        if isinstance(index, slice):
            return Lazy(self.entries[index])
        return self.entries[index].read()


def spread(entries: Sequence[Entry[T]], most: int) -> list[Entry[T]]:
    """At most so many of them, evenly over the list."""
    count = min(most, len(entries))
    return [entries[round(i * (len(entries) - 1) / max(1, count - 1))] for i in range(count)]
