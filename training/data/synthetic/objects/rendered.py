"""Reading rendered things from their shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from edge.errors import DataError
from training.data.synthetic.rendered import scan

Item = dict[str, Any]


class RenderedObjects:
    """Variants of a folder; `series` says what each holds.

    Raises:
        DataError: nothing is there, or a shard cannot be read.
    """

    def __init__(self, folder: Path, attributes: list[tuple[int, Path, str, dict[str, Any]]] | None = None) -> None:
        """List what is there."""
        self._folder = folder
        self._rows = _listed(folder) if attributes is None else attributes
        if attributes is None and not self._rows:
            raise DataError(
                f"no rendered things in {folder}; make some with `edge-train synthesize-objects --out {folder}`"
            )

    @property
    def indices(self) -> list[int]:
        """Numbers of the variants."""
        return [row[0] for row in self._rows]

    @property
    def categories(self) -> list[str]:
        """Of each variant."""
        return [str(row[3]["category"]) for row in self._rows]

    @property
    def clusters(self) -> list[str]:
        """Of each variant."""
        return [str(row[3]["cluster"]) for row in self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def of(self, side: str, source: str | None = None, limit: int | None = None) -> RenderedObjects:
        """Those of one side of the split, and of one source (`file`, `made`) if named."""
        rows = [r for r in self._rows if r[3]["split"] == side and source in (None, r[3]["source"])]
        return RenderedObjects(self._folder, rows[:limit])

    def read(self, index: int) -> Item:
        """A variant's arrays and attributes.

        Raises:
            DataError: it is damaged.
        """
        try:
            return self._read(index)
        except FileNotFoundError:  # its part was merged into a shard meanwhile
            where = scan(self._folder)
            self._rows = [(i, *where.get(i, (p, n)), a) for i, p, n, a in self._rows]
            return self._read(index)

    def _read(self, index: int) -> Item:
        _, path, name, _ = next(row for row in self._rows if row[0] == index)
        try:
            with h5py.File(path, "r") as file:
                group = file[name]
                item: Item = {key: group[key][()] for key in group}
                return item | {k: (v.item() if isinstance(v, np.generic) else v) for k, v in group.attrs.items()}
        except FileNotFoundError:
            raise
        except (OSError, KeyError) as error:
            raise DataError(f"{path}: variant {index} is damaged ({error}); delete it and synthesize again") from error

    def __iter__(self) -> Any:
        """All items, one after another."""
        return (self.read(index) for index in self.indices)


def _listed(folder: Path, again: bool = True) -> list[tuple[int, Path, str, dict[str, Any]]]:
    rows: list[tuple[int, Path, str, dict[str, Any]]] = []
    where = sorted(scan(folder).items())
    for path in sorted({p for _, (p, _) in where}):
        try:
            with h5py.File(path, "r") as file:
                rows += [(i, p, n, dict(file[n].attrs)) for i, (p, n) in where if p == path]
        except FileNotFoundError:  # merged into a shard between looking and opening
            if again:
                return _listed(folder, again=False)
            raise
        except (OSError, KeyError) as error:
            raise DataError(
                f"{path} is no shard of rendered things ({error}); delete it and synthesize again"
            ) from error
    return sorted(rows, key=lambda row: row[0])
