"""Pictures of a camera that was carried through a room, to learn depth from: one private folder each, within bounds.

A recording is `<time>-<camera>/` with `000000.jpg`, ... and `camera.json`. Nothing is kept anywhere else.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edge.errors import EdgeError
from edge.keep.files import make_private_folder, write_private

ABOUT = "camera.json"
_NAME = re.compile(r"^\d{8}T\d{6}Z-[^/\x00]{1,200}$")
"""Nothing else in the folder is ever removed."""
_TIME = "%Y%m%dT%H%M%SZ"
_REMEDY = "make room, or give a folder that this user may write (record.folder, or --out)"
_LEAST_FREE_BYTES = 2**30


class Recordings:
    """The folder of recordings. Only this user may read it."""

    def __init__(
        self,
        folder: Path,
        *,
        most_bytes: int = 512 * 2**20,
        most_age_s: float = 30 * 86400.0,
        least_free_bytes: int = _LEAST_FREE_BYTES,
    ) -> None:
        """Nothing is made before something is kept.

        Args:
            folder: of them all.
            most_bytes: of them all; what comes beyond is refused.
            most_age_s: what is older is removed by `expire`.
            least_free_bytes: so much of the disk is left to others.
        """
        self.folder, self.most_bytes, self._most_age_s = folder, most_bytes, most_age_s
        self._least_free_bytes = least_free_bytes

    def names(self) -> list[str]:
        """The oldest first.

        Raises:
            EdgeError: this user may not look.
        """
        try:
            return sorted(p.name for p in self.folder.iterdir() if _NAME.match(p.name) and p.is_dir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as e:
            raise EdgeError(f"{self.folder}: cannot be read ({e.strerror}); run this as the user who runs edge") from e

    def size_bytes(self) -> int:
        """Of all recordings."""
        return sum(f.stat().st_size for name in self.names() for f in (self.folder / name).iterdir())

    def expire(self, now_s: float | None = None) -> int:
        """Remove what is too old; how many that were. `now_s`: since the Unix epoch."""
        oldest_s = (time.time() if now_s is None else now_s) - self._most_age_s
        old = [name for name in self.names() if recorded_s(name) < oldest_s]
        for name in old:
            self.delete(name)
        return len(old)

    def delete(self, name: str) -> None:
        """Remove one, whole.

        Raises:
            EdgeError: there is none of that name, or the disk refuses.
        """
        if name not in self.names():
            raise EdgeError(f"there is no {name!r} in {self.folder}; `edge record --list` has the names")
        try:
            shutil.rmtree(self.folder / name)
        except OSError as e:
            raise EdgeError(f"{self.folder / name}: cannot be removed ({e.strerror}); {_REMEDY}") from e

    def begin(self, camera: str, about: Mapping[str, Any], at_s: float) -> Recording:
        """A new one; nothing is on the disk before its first picture.

        Args:
            camera: its name.
            about: what `camera.json` says until the end.
            at_s: since the Unix epoch.
        """
        moment = datetime.fromtimestamp(at_s, timezone.utc)
        return Recording(self, self.folder / f"{moment:{_TIME}}-{camera}", about)

    def check_room(self, size_bytes: int, kept_bytes: int) -> None:
        """Whether so much more may be kept beside what is.

        Raises:
            EdgeError: it may not.
        """
        if kept_bytes + size_bytes > self.most_bytes:
            raise EdgeError(
                f"{self.folder}: recordings may take {self.most_bytes >> 20} MiB; delete some (`edge record --list`, "
                "`--delete NAME`), or raise record.most_mib"
            )
        if shutil.disk_usage(self.folder).free - size_bytes < self._least_free_bytes:
            least_mib = self._least_free_bytes >> 20
            raise EdgeError(f"{self.folder}: its disk has less than {least_mib} MiB left; {_REMEDY}")


class Recording:
    """One that is being made. What was written so far can be read at any time."""

    def __init__(self, recordings: Recordings, folder: Path, about: Mapping[str, Any]) -> None:
        self.folder, self.count = folder, 0
        self._recordings, self._about = recordings, dict(about)
        self._kept_bytes = 0

    def add(self, jpeg: bytes) -> str:
        """Keep a picture; its file's name.

        Raises:
            EdgeError: it is beyond the bounds, or the disk does not take it.
        """
        try:
            if not self.count:
                make_private_folder(self._recordings.folder, remedy=_REMEDY)
                self._kept_bytes = self._recordings.size_bytes()
            self._recordings.check_room(len(jpeg), self._kept_bytes)
            if not self.count:
                self.folder.mkdir(mode=0o700)
                self.describe({})
        except OSError as e:
            raise EdgeError(f"{self.folder}: cannot be written ({e.strerror}); {_REMEDY}") from e
        name = f"{self.count:06d}.jpg"
        write_private(self.folder / name, jpeg, remedy=_REMEDY)
        self.count += 1
        self._kept_bytes += len(jpeg)
        return name

    def describe(self, more: Mapping[str, Any]) -> None:
        """Write `camera.json`, with more than was known at the beginning.

        Raises:
            EdgeError: the disk does not take it.
        """
        self._about |= more
        data = json.dumps(self._about, indent=1, ensure_ascii=False).encode()
        write_private(self.folder / ABOUT, data, remedy=_REMEDY)


def recorded_s(name: str) -> float:
    """When a recording began, by its name, seconds since the Unix epoch."""
    return datetime.strptime(name.partition("-")[0], _TIME).replace(tzinfo=timezone.utc).timestamp()
