"""Several data sets as one, drawn from by weight."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Generic, Protocol, TypeVar

import numpy as np

from edge.errors import DataError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Items(Protocol[T_co]):
    """Anything that gives items by number: a list, or a set that reads them when they are taken."""

    def __len__(self) -> int:
        """How many."""
        ...

    def __getitem__(self, index: int, /) -> T_co:
        """One of them."""
        ...


class Mixture(Generic[T]):
    """Items of several sets, each set with its weight; by index, set after set.

    Sets without items or weight are left out.

    Raises:
        DataError: nothing is left.
    """

    def __init__(self, groups: Sequence[tuple[float, Items[T]]]) -> None:
        kept = [(weight, items) for weight, items in groups if weight > 0 and len(items)]
        if not kept:
            raise DataError("no data set has anything to learn from; give one more, or a weight above 0")
        self._sets = [items for _, items in kept]
        self._until = np.cumsum([weight for weight, _ in kept]) / sum(weight for weight, _ in kept)
        self._ends = np.cumsum([len(items) for items in self._sets]).tolist()

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> T:
        at = bisect_right(self._ends, index)
        return self._sets[at][index - (self._ends[at - 1] if at else 0)]

    def __iter__(self) -> Iterator[T]:
        return (self[i] for i in range(len(self)))

    def draw(self, rng: np.random.Generator) -> T:
        """A set by its weight, one of its items evenly."""
        items = self._sets[0]
        if len(self._sets) > 1:
            items = self._sets[bisect_right(self._until[:-1].tolist(), rng.random())]
        return items[int(rng.integers(len(items)))]
