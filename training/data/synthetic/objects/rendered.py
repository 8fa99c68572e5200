"""Reading rendered things from their shards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edge.errors import DataError
from training.data.synthetic.shards import Groups, Item


class RenderedObjects:
    """Variants of a folder; `series` says what each holds.

    Raises:
        DataError: nothing is there, or a file cannot be read.
    """

    def __init__(self, folder: Path, limited_to: tuple[Groups, dict[int, Item]] | None = None) -> None:
        """List what is there, or take those of another listing."""
        self._folder = folder
        self._groups, self._attributes = limited_to or ((found := Groups(folder)), found.attributes())
        if not self._attributes and limited_to is None:
            raise DataError(
                f"no rendered things in {folder}; make some with `edge-train synthesize-objects --out {folder}`"
            )

    @property
    def indices(self) -> list[int]:
        """Numbers of the variants."""
        return list(self._attributes)

    @property
    def categories(self) -> list[str]:
        """Of each variant."""
        return [str(a["category"]) for a in self._attributes.values()]

    @property
    def clusters(self) -> list[str]:
        """Of each variant."""
        return [str(a["cluster"]) for a in self._attributes.values()]

    def __len__(self) -> int:
        return len(self._attributes)

    def of(self, side: str, source: str | None = None, limit: int | None = None) -> RenderedObjects:
        """Those of one side of the split, and of one source (`file`, `made`) if named."""
        rows = [(i, a) for i, a in self._attributes.items() if a["split"] == side and source in (None, a["source"])]
        return RenderedObjects(self._folder, (self._groups, dict(rows[:limit])))

    def read(self, index: int) -> Item:
        """A variant's arrays and attributes.

        Raises:
            DataError: it is damaged.
        """
        return self._groups.read(index)

    def __iter__(self) -> Iterator[Item]:
        """All items, one after another."""
        return (self.read(index) for index in self.indices)
