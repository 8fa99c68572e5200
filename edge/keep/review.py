"""Pictures that wait for somebody to look at them, within bounds, and those that somebody has labelled.

What waits is one folder each, `<time>-<camera>-<number>/`; the oldest go first. What was labelled is moved to
`labelled/train/`, laid out as HorizonNet's data set: `img/`, `label_cor/`, and beside them `about/`,
`camera_heights.csv` and `ignore_spans.csv`. It stays until it is deleted. Nothing is kept anywhere else.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from edge.errors import EdgeError
from edge.keep.files import make_private_folder, read_private, write_private

PICTURE, ABOUT = "picture.jpg", "about.json"
CANVAS_WH = (1024, 512)
"""What HorizonNet's labels are made on; facing level, so that corners stand upright."""
LABELLED = Path("labelled", "train")
"""A part that trainers always learn from: who labels a room wants it learnt."""
_ENTRY = re.compile(r"^\d{8}T\d{6}\.\d{3}Z-[^/\x00]{1,200}$")
"""What the names of entries are like, so that they sort by time; nothing else in the folder is ever removed."""
_TIME = "%Y%m%dT%H%M%S.%f"
_REMEDY = "make room, or set review.folder to a folder that the user who runs edge may write"
_LEAST_FREE_BYTES = 2**30
_DAY_S = 86400.0


DropReason = Literal["full", "expired", "refused"]
"""Removed for a newer one; waited too long; not taken, as the disk is full or fails."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may wait, and for how long."""

    most_bytes: int = 256 * 2**20
    most_entries: int = 200
    most_age_s: float = 90 * _DAY_S
    least_free_bytes: int = _LEAST_FREE_BYTES
    """So much of the disk is left to others."""


@dataclass(frozen=True, slots=True)
class Label:
    """What somebody made of a picture."""

    corners: str
    """Lines of `label_cor`."""
    room: Mapping[str, Any]
    """As it was drawn, with `camera_height_m`."""
    hidden: Sequence[tuple[str, int, int]]
    """Edges that cannot be seen: `ceiling` or `floor`, from and to which column, both included."""
    status: str
    """`accepted` as it was inferred, or `corrected`."""


class Review:
    """The folder of entries. Only this user may read it."""

    def __init__(
        self, folder: Path, bounds: Bounds | None = None, on_drop: Callable[[DropReason, int], None] | None = None
    ) -> None:
        """Nothing is made before something is kept; `on_drop` is told how many are lost to a bound, and to which."""
        self.folder, self._bounds = folder, bounds or Bounds()
        self._labelled = folder / LABELLED
        self._drop = on_drop or (lambda reason, count: None)

    # What waits -------------------------------------------------------------------------------------------------------

    def keep(self, name: str, files: Mapping[str, bytes]) -> None:
        """Keep one entry, whole or not at all, and remove the oldest beyond the bounds.

        Args:
            name: of the entry: when, as `20260131T120000.000Z-`, and what.
            files: its files, by name.

        Raises:
            EdgeError: it is larger than the bound, there is one of that name, or the disk does not take it.
        """
        if not _ENTRY.match(name):
            raise EdgeError(f"{name!r} does not begin with the time; name it as 20260131T120000.000Z-hall-7")
        try:
            self._take(name, files)
        except EdgeError:
            self._drop("refused", 1)
            raise

    def _take(self, name: str, files: Mapping[str, bytes]) -> None:
        size_bytes = sum(map(len, files.values()))
        if size_bytes > self._bounds.most_bytes:
            raise EdgeError(f"{size_bytes} bytes are more than may be kept in all; raise review.most_mib")
        try:
            make_private_folder(self.folder, remedy=_REMEDY)
            free_bytes = shutil.disk_usage(self.folder).free
            if free_bytes - size_bytes < self._bounds.least_free_bytes:
                least_mib = self._bounds.least_free_bytes >> 20
                raise EdgeError(f"{self.folder}: its disk has less than {least_mib} MiB left; {_REMEDY}")
            self._make_room(size_bytes)
            self._write(name, files)
        except OSError as error:
            raise EdgeError(f"{self.folder}: cannot be written ({error.strerror}); {_REMEDY}") from error

    def entries(self) -> list[str]:
        """Names of what waits, the oldest first.

        Raises:
            EdgeError: this user may not look.
        """
        return sorted(name for name in _names(self.folder) if _ENTRY.match(name) and (self.folder / name).is_dir())

    def expire(self, now_s: float | None = None) -> int:
        """Remove what has waited for too long; how many that were. `now_s`: since the Unix epoch."""
        oldest_s = (time.time() if now_s is None else now_s) - self._bounds.most_age_s
        old = [name for name in self.entries() if captured_s(name) < oldest_s]
        for name in old:
            shutil.rmtree(self.folder / name, ignore_errors=True)
        if old:
            self._drop("expired", len(old))
        return len(old)

    def file(self, name: str, file_name: str) -> bytes:
        """A file of an entry that waits, or of one that was labelled.

        Raises:
            EdgeError: there is none, or others may have written it.
        """
        self._check(name)
        path = self.folder / name / file_name
        if not path.exists():
            path = self._labelled / ("img" if file_name == PICTURE else "about") / f"{name}{Path(file_name).suffix}"
        return read_private(path)

    def has_picture(self, name: str) -> bool:
        """Whether an entry has a picture, and not numbers alone."""
        return (self.folder / name / PICTURE).exists() or (self._labelled / "img" / f"{name}.jpg").exists()

    def delete(self, name: str) -> None:
        """Remove one entry, waiting or labelled, with all that was made of it.

        Raises:
            EdgeError: there is none of that name, or the disk refuses.
        """
        self._check(name)
        try:
            if (self.folder / name).is_dir():
                shutil.rmtree(self.folder / name)
            elif name not in self.labelled():
                raise EdgeError(f"there is no {name} in {self.folder}; `edge review --list` has the names")
            for folder, ending in (("label_cor", "txt"), ("about", "json"), ("img", "jpg")):
                (self._labelled / folder / f"{name}.{ending}").unlink(missing_ok=True)
            if self._labelled.is_dir():
                self._write_tables()
        except OSError as error:
            raise EdgeError(f"{self.folder}: {name} cannot be removed ({error.strerror}); {_REMEDY}") from error

    def _check(self, name: str) -> None:
        if not _ENTRY.match(name):
            raise EdgeError(f"there is no {name!r} in {self.folder}; `edge review --list` has the names")

    def _write(self, name: str, files: Mapping[str, bytes]) -> None:
        unfinished = Path(tempfile.mkdtemp(prefix=".new-", dir=self.folder))  # mode 0700
        try:
            for file_name, data in files.items():
                write_private(unfinished / file_name, data, remedy=_REMEDY)
            unfinished.rename(self.folder / name)
        except (EdgeError, OSError):
            shutil.rmtree(unfinished, ignore_errors=True)
            raise

    def _make_room(self, size_bytes: int) -> None:
        self.expire()
        sizes = {name: _size_bytes(self.folder / name) for name in self.entries()}
        total, count = sum(sizes.values()) + size_bytes, len(sizes) + 1
        for name, size in sizes.items():
            if total <= self._bounds.most_bytes and count <= self._bounds.most_entries:
                return
            shutil.rmtree(self.folder / name)
            self._drop("full", 1)
            total, count = total - size, count - 1

    # What was labelled ------------------------------------------------------------------------------------------------

    def labelled(self) -> list[str]:
        """Names of what was labelled, the oldest first."""
        found = (Path(name).stem for name in _names(self._labelled / "label_cor") if name.endswith(".txt"))
        return sorted(name for name in found if _ENTRY.match(name))

    def label(self, name: str, label: Label) -> None:
        """Move an entry to what was labelled, or label it anew; the label comes last, so that none lacks its picture.

        Raises:
            EdgeError: there is no such entry, or the disk does not take it.
        """
        about: dict[str, Any] = json.loads(self.file(name, ABOUT))
        about["label"] = {"status": label.status, "room": dict(label.room), "hidden": [*label.hidden]}
        made = {
            "img": ("jpg", self.file(name, PICTURE)),
            "about": ("json", json.dumps(about, indent=2, ensure_ascii=False).encode()),
            "label_cor": ("txt", label.corners.encode()),
        }
        try:
            for path in (self._labelled.parent, self._labelled, *(self._labelled / folder for folder in made)):
                make_private_folder(path, remedy=_REMEDY)
            for folder, (ending, data) in made.items():
                write_private(self._labelled / folder / f"{name}.{ending}", data, remedy=_REMEDY)
            self._write_tables()
            if (self.folder / name).is_dir():
                shutil.rmtree(self.folder / name)
        except OSError as error:
            raise EdgeError(f"{self._labelled}: cannot be written ({error.strerror}); {_REMEDY}") from error

    def _write_tables(self) -> None:
        """What HorizonNet's labels have no place for: heights of cameras, edges that cannot be seen."""
        heights: list[tuple[object, ...]] = [("name", "camera_height_m")]
        spans: list[tuple[object, ...]] = [("name", "boundary", "x0", "x1", "reason")]
        for name in self.labelled():
            label = json.loads(read_private(self._labelled / "about" / f"{name}.json"))["label"]
            heights.append((name, label["room"]["camera_height_m"]))
            spans += [(name, *span, "not visible") for span in label["hidden"]]
        for file_name, rows in (("camera_heights.csv", heights), ("ignore_spans.csv", spans)):
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(rows)
            write_private(self._labelled / file_name, text.getvalue().encode(), remedy=_REMEDY)


def entry_name(captured_at_s: float, camera: str, number: int) -> str:
    """Of an entry: when, seconds since the Unix epoch, of which camera, and the frame's number."""
    at = datetime.fromtimestamp(captured_at_s, timezone.utc)
    return f"{at:%Y%m%dT%H%M%S}.{at.microsecond // 1000:03d}Z-{camera}-{number}"


def captured_s(name: str) -> float:
    """When an entry's picture was taken, by its name, seconds since the Unix epoch."""
    with contextlib.suppress(ValueError):
        return datetime.strptime(name.partition("Z-")[0], _TIME).replace(tzinfo=timezone.utc).timestamp()
    return 0.0


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise EdgeError(f"{folder}: cannot be read ({error.strerror}); run this as the user who runs edge") from error


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
