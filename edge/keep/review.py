"""Pictures that wait for somebody to look at them: one folder each, within a bound; the oldest go first."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from edge.errors import EdgeError
from edge.keep.files import make_private_folder, write_private

_ENTRY = re.compile(r"^\d{8}T\d{6}\.\d{3}Z-")
"""What the names of entries begin with, so that they sort by time; nothing else in the folder is ever removed."""
_REMEDY = "make room, or set review.folder to a folder that the user who runs edge may write"


class Review:
    """The folder of entries. Only this user may read it."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder, self._most_bytes = folder, most_bytes

    def keep(self, name: str, files: Mapping[str, bytes]) -> None:
        """Keep one entry, whole or not at all, and remove the oldest beyond the bound.

        Args:
            name: of the entry: when, as `20260131T120000.000Z-`, and what.
            files: its files, by name.

        Raises:
            EdgeError: it is larger than the bound, there is one of that name, or the disk does not take it.
        """
        size_bytes = sum(map(len, files.values()))
        if not _ENTRY.match(name):
            raise EdgeError(f"{name!r} does not begin with the time; name it as 20260131T120000.000Z-hall-7")
        if size_bytes > self._most_bytes:
            raise EdgeError(f"{size_bytes} bytes are more than may be kept in all; raise review.most_mib")
        try:
            make_private_folder(self._folder, remedy=_REMEDY)
            self._make_room(size_bytes)
            self._write(name, files)
        except OSError as error:
            raise EdgeError(f"{self._folder}: cannot be written ({error.strerror}); {_REMEDY}") from error

    def entries(self) -> list[str]:
        """Names of what is kept, the oldest first."""
        try:
            found = sorted(path.name for path in self._folder.iterdir() if _ENTRY.match(path.name) and path.is_dir())
        except FileNotFoundError:
            found = []
        return found

    def _write(self, name: str, files: Mapping[str, bytes]) -> None:
        unfinished = Path(tempfile.mkdtemp(prefix=".new-", dir=self._folder))  # mode 0700
        try:
            for file_name, data in files.items():
                write_private(unfinished / file_name, data, remedy=_REMEDY)
            unfinished.rename(self._folder / name)
        except (EdgeError, OSError):
            shutil.rmtree(unfinished, ignore_errors=True)
            raise

    def _make_room(self, size_bytes: int) -> None:
        sizes = {name: _size_bytes(self._folder / name) for name in self.entries()}
        total = sum(sizes.values()) + size_bytes
        for name, size in sizes.items():
            if total <= self._most_bytes:
                return
            shutil.rmtree(self._folder / name)
            total -= size


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
