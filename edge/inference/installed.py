"""Models that were installed on this device, beside those that came with the program.

`<folder>/<name>.json` says which of a name's models serves; each is `<folder>/<digest>/<name>/`, so that its folder is
called as the engine is. The record is replaced whole, so that a name means one model or the other at any moment:

    install ──► candidate ──► promote ──► serving, and what served is `before`
                    │                        │
                 reject                  take_back ──► `before` serves, or what came with the program
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.errors import EngineError
from edge.inference.manifest import MANIFEST_FILE
from edge.keep.files import make_private_folder, read_private, write_private

_DIGEST = r"^[0-9a-f]{16}$"
_REMEDY = "make room, or set models.folder to a folder that the user who runs edge may write"
_KEPT = 8
"""Rejections that a name's record remembers."""


class Record(BaseModel):
    """What is installed under one name; digests are the beginnings of packages' sha256."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    serving: str | None = Field(default=None, pattern=_DIGEST)
    """None: what came with the program."""
    before: str | None = Field(default=None, pattern=_DIGEST)
    candidate: str | None = Field(default=None, pattern=_DIGEST)
    rejected: dict[str, str] = Field(default_factory=dict)
    """Why, by digest; the oldest first."""


class InstalledModels:
    """Those below one folder. Several processes may read it; one writes at a time."""

    def __init__(self, folder: Path) -> None:
        """The folder need not be there."""
        self.folder = folder

    def record(self, name: str) -> Record:
        """What is installed under that name; nothing where there is no readable record of this user."""
        path = self._record_file(name)
        if not path.is_file():
            return Record()
        try:
            return Record.model_validate_json(read_private(path))
        except (EngineError, ValidationError):
            return Record()

    def names(self) -> list[str]:
        """Names that have a record."""
        return sorted(path.stem for path in self.folder.glob("*.json")) if self.folder.is_dir() else []

    def serving(self, name: str) -> Path | None:
        """The folder of the installed model that serves; None: what came with the program does."""
        digest = self.record(name).serving
        return None if digest is None else self._existing(digest, name)

    def candidate(self, name: str) -> Path | None:
        """The folder of the one that is to be tried."""
        digest = self.record(name).candidate
        return None if digest is None else self._existing(digest, name)

    def root_of(self, digest: str) -> Path:
        """The folder that one model's folder lies in: a store of one."""
        return self.folder / digest[:16]

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """A private folder on the same disk; what is left in it is removed.

        Raises:
            EngineError: none can be made.
        """
        self._refuse_for_another()
        make_private_folder(self.folder, remedy=_REMEDY)
        try:
            with tempfile.TemporaryDirectory(prefix=".staging-", dir=self.folder) as work:
                yield Path(work)
        except OSError as e:
            raise EngineError(f"{self.folder}: cannot be written ({e.strerror}); {_REMEDY}") from e

    def add(self, staged: Path, name: str, digest: str) -> None:
        """Take over a folder that was proved, as the name's candidate.

        Raises:
            EngineError: it cannot be written.
        """
        digest = digest[:16]
        record = self.record(name)
        target = self.root_of(digest) / name
        try:
            if not target.is_dir():
                target.parent.mkdir(mode=0o700, exist_ok=True)
                os.replace(staged, target)
        except OSError as e:
            raise EngineError(f"{target}: cannot be written ({e.strerror}); {_REMEDY}") from e
        rejected = {d: why for d, why in record.rejected.items() if d != digest}
        self._write(name, record.model_copy(update={"candidate": digest, "rejected": rejected}))

    def promote(self, name: str) -> None:
        """The candidate serves from now on; what served is kept."""
        record = self.record(name)
        if record.candidate is not None:
            self._write(
                name,
                record.model_copy(
                    update={"serving": record.candidate, "before": record.serving, "candidate": None},
                ),
            )

    def reject(self, name: str, why: str) -> None:
        """The candidate will not serve."""
        record = self.record(name)
        if record.candidate is not None:
            update = {"candidate": None, "rejected": _noted(record, record.candidate, why)}
            self._write(name, record.model_copy(update=update))

    def take_back(self, name: str, why: str) -> None:
        """What serves is rejected, and the one before it serves, or what came with the program."""
        record = self.record(name)
        if record.serving is not None:
            rejected = _noted(record, record.serving, why)
            self._write(
                name, record.model_copy(update={"serving": record.before, "before": None, "rejected": rejected})
            )

    def _refuse_for_another(self) -> None:
        """What root writes into the daemon's folder, the daemon would not read: it belongs to another user."""
        place = self.folder if self.folder.is_dir() else self.folder.parent
        with contextlib.suppress(OSError):
            owner = place.stat().st_uid
            if owner not in (0, os.geteuid()):
                raise EngineError(f"{place} belongs to another user; run it as that user, such as with sudo -u edge")

    def _existing(self, digest: str, name: str) -> Path | None:
        folder = self.root_of(digest) / name
        return folder if (folder / MANIFEST_FILE).is_file() else None

    def _record_file(self, name: str) -> Path:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
            raise EngineError(f"{name!r} is no name of a model; use letters, digits, '-' and '_'")
        return self.folder / f"{name}.json"

    def _write(self, name: str, record: Record) -> None:
        """Replace the record, then remove what no record of the name speaks of as usable."""
        write_private(self._record_file(name), record.model_dump_json(indent=2).encode(), remedy=_REMEDY)
        used = {record.serving, record.before, record.candidate}
        for folder in self.folder.glob(f"*/{name}"):
            if re.match(_DIGEST, folder.parent.name) and folder.parent.name not in used:
                shutil.rmtree(folder, ignore_errors=True)
                with contextlib.suppress(OSError):
                    folder.parent.rmdir()


def _noted(record: Record, digest: str, why: str) -> dict[str, str]:
    rejected = {d: reason for d, reason in record.rejected.items() if d != digest} | {digest: why}
    return dict(list(rejected.items())[-_KEPT:])
