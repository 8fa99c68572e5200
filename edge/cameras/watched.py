"""A folder that a camera uploads to, or a file that is written anew: its newest picture, then each that comes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from edge.errors import CameraError

LOOK_S = 0.5
_COMPLETE_S = 1.0
"""A file whose size and date stay the same for so long has been written to its end."""
_MOST_FILES = 100_000
_Version = tuple[int, int]
"""Size in bytes and date of the last change in ns: another one is another picture."""


class WatchedFolder:
    """Finds complete new pictures; knows no clock but the caller's.

    Args:
        path: the folder, with all folders in it, or one file.
        suffixes: of pictures, in small letters; names that begin with a dot are passed over.
    """

    def __init__(self, path: Path, suffixes: frozenset[str]) -> None:
        self.path, self._suffixes = path, suffixes
        self._known: dict[Path, _Version] = {}
        self._growing: dict[Path, tuple[_Version, float]] = {}
        """What may still be written to, and since when it has been as it is."""
        self._complete: deque[Path] = deque()
        self._looked = False

    def next(self, now_s: float) -> Path | None:
        """The picture whose turn it is, in the order in which they were complete; None while there is none.

        Raises:
            CameraError: the folder is gone or cannot be read, or holds more than it should.
        """
        if not self._complete:
            self._look(now_s)
        return self._complete.popleft() if self._complete else None

    def _look(self, now_s: float) -> None:
        present = self._present()
        if not self._looked:
            self._looked = True
            newest = max(present, key=lambda path: (present[path][1], path.name), default=None)
            self._known = {path: version for path, version in present.items() if path != newest}
        growing: dict[Path, tuple[_Version, float]] = {}
        complete: list[tuple[int, Path]] = []
        for path, version in present.items():
            if self._known.get(path) == version:
                continue
            before, since_s = self._growing.get(path, (version, now_s))
            since_s = since_s if before == version else now_s
            if version[0] and now_s - since_s >= _COMPLETE_S:
                complete.append((version[1], path))
                self._known[path] = version
            else:
                growing[path] = version, since_s
        self._growing = growing
        self._known = {path: version for path, version in self._known.items() if path in present}
        self._complete.extend(path for _, path in sorted(complete))

    def _present(self) -> dict[Path, _Version]:
        found: dict[Path, _Version] = {}
        for path in self._files():
            try:
                status = path.stat()
            except OSError:  # renamed or removed meanwhile, or not ours to see
                continue
            found[path] = status.st_size, status.st_mtime_ns
            if len(found) > _MOST_FILES:
                raise CameraError(
                    f"{self.path}: holds more than {_MOST_FILES} pictures, too many to find new ones. Remove old ones"
                )
        return found

    def _files(self) -> Iterator[Path]:
        if self.path.is_file():
            yield self.path
            return

        def failed(error: OSError) -> None:
            if error.filename == str(self.path):
                raise CameraError(
                    f"{self.path}: cannot be read ({error.strerror}). Check that it exists, and its permissions"
                ) from error

        for folder, folders, names in os.walk(self.path, onerror=failed):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                if not name.startswith(".") and os.path.splitext(name)[1].lower() in self._suffixes:
                    yield Path(folder, name)
