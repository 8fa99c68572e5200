"""Which samples make a batch: the same ones whatever the number of devices, and again after an interruption."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import distributed
from torch.utils.data import Dataset, Sampler

from edge.errors import DataError

Sample = dict[str, torch.Tensor]


def place() -> tuple[int, int]:
    """This process's rank and how many train together; (0, 1) on its own."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def seed_of(*numbers: int) -> int:
    """A seed for torch made of several numbers, each of which changes it entirely."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


class Numbered(Dataset[Sample]):
    """Training samples without end, each depending on the seed and its number alone.

    The samples of `data` must draw from torch's default generator, or not at all.
    """

    def __init__(self, data: Dataset[Sample], seed: int) -> None:
        """Take the samples, of a known length, to vary."""
        self._data, self._seed = data, seed

    def __getitem__(self, number: int) -> Sample:
        """Sample `number`, counted from the start of training."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed_of(self._seed, number))
            return self._data[number % len(self._data)]  # type: ignore[arg-type]


class Batches(Sampler[list[int]]):
    """Numbers of training samples, batch by batch without end; the devices' shares together make the batch."""

    def __init__(self, batch_size: int, first: int) -> None:
        """`batch_size` of all devices together; begins with batch `first`."""
        self._size, self._first = batch_size, first

    def __iter__(self) -> Iterator[list[int]]:
        """This process's share of each batch."""
        rank, world = place()
        start = self._first * self._size
        while True:
            yield list(range(start + rank, start + self._size, world))
            start += self._size


class Shares(Sampler[list[int]]):
    """Each of `count` validation samples once over all devices, in equally many batches on each."""

    def __init__(self, count: int, batch_size: int) -> None:
        """`batch_size` on one device; a batch may be up to twice as large."""
        self._count, self._size = count, batch_size

    def _batches(self) -> list[list[int]]:
        rank, world = place()
        if self._count < world:
            raise DataError(
                f"{self._count} validation samples cannot be shared by {world} devices; give more data or fewer devices"
            )
        parts = max(1, self._count // (world * self._size))
        return [part.tolist() for part in np.array_split(np.arange(rank, self._count, world), parts)]

    def __len__(self) -> int:
        """Batches on this device."""
        return len(self._batches())

    def __iter__(self) -> Iterator[list[int]]:
        """This process's batches."""
        return iter(self._batches())
