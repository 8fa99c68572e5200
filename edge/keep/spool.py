"""Messages on the disk: what a broker has not taken yet outlives a kill, a restart and a power loss.

A SQLite file (WAL, synced at every commit) in a folder of this user's, for one process at a time. It holds lanes of
messages in order, the latest message of each retained topic, and which retained topics were ever published. Each has
its share of the bytes, and loses its oldest beyond it. Every message carries a checksum: what comes out is what was
put in, or nothing.

For the thread that opened it alone. Its age is counted in time that it was open, so no step of the clock expires
anything.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.errors import SpoolError

LANES = ("event", "result")
MIB = 2**20
DEFAULT_MAX_BYTES = 64 * MIB
DEFAULT_MAX_AGE_S = 7 * 86400.0

_FILE, _LOCK, _DAMAGED = "spool.db", "spool.lock", "spool.damaged"
_VERSION = 1
_PAGE_BYTES = 4096
_WAL_PAGES = 256
_OVERHEAD_BYTES = 96
"""What a row costs beside what it holds."""
_SHARES = {"event": 1 / 8, "result": 3 / 4}
_LATEST_SHARE = 1 / 8
_OLDEST_AT_ONCE = 256
_ROW = "kind, topic, camera, properties, body, at_s, crc"
_COLUMNS = (
    "kind TEXT NOT NULL, topic TEXT NOT NULL, camera TEXT, properties TEXT NOT NULL, body BLOB NOT NULL, "
    "at_s REAL NOT NULL, crc INTEGER NOT NULL"
)
_SCHEMA = (
    *(f"CREATE TABLE {lane} (number INTEGER PRIMARY KEY, {_COLUMNS})" for lane in LANES),
    f"CREATE TABLE latest (number INTEGER NOT NULL, {_COLUMNS}, PRIMARY KEY (topic))",
    "CREATE TABLE published (topic TEXT PRIMARY KEY, kind TEXT NOT NULL)",
)
_PASSES = ("is full", "readonly", "read-only", "disk i/o", "unable to open", "locked")
"""In SQLite's words: what is wrong with the disk, and not with the file."""


_Row = tuple[int, str, str, str | None, str, bytes, float, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """One message as it is kept. `number` puts those of a lane in order."""

    number: int
    kind: str
    topic: str
    camera: str | None
    payload: bytes
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Held:
    """What a lane holds."""

    rows: int = 0
    size_bytes: int = 0


class Spool:
    """The file; `open` it, `close` it. Changes are made `with spool.writing():`, all of them or none."""

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        max_age_s: float = DEFAULT_MAX_AGE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is touched yet.

        Args:
            folder: where it is; made when it is not there.
            max_bytes: of all messages together; an eighth is the events', an eighth the latest messages'.
            max_age_s: older messages are thrown away.
            clock: s, monotonic.
        """
        self.folder, self.max_bytes, self.max_age_s = folder, max_bytes, max_age_s
        self._clock = clock
        self._began_s = 0.0
        self._lock: int | None = None
        self._db: sqlite3.Connection | None = None
        self._held: dict[str, _Held] = {}

    # Life -------------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Take the lock and open the file, or make a new one.

        Raises:
            SpoolError: `in_use`, `damaged` (then `set_aside` and open again), `full` or `unwritable`.
        """
        try:
            self._take_lock()
            path = self.folder / _FILE
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            os.fchmod(fd, 0o600)
            os.close(fd)
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from error
        try:
            with self._translated():
                self._db = sqlite3.connect(path, isolation_level=None, timeout=1.0)
                self._prepare(self._db)
                self._count()
        except SpoolError:
            self._disconnect()
            raise

    def close(self) -> None:
        """Close the file and give up the lock; harmless when it is not open."""
        self._disconnect()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def set_aside(self) -> Path:
        """Rename the file, in the place of what was set aside before, so that a new one can be made.

        Raises:
            SpoolError: it cannot be renamed.
        """
        self._disconnect()
        aside = self.folder / _DAMAGED
        try:
            for ending in ("-wal", "-shm"):  # SQLite would play an old log into a new file
                with contextlib.suppress(FileNotFoundError):
                    os.replace(f"{self.folder / _FILE}{ending}", f"{aside}{ending}")
            os.replace(self.folder / _FILE, aside)
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from error
        return aside

    def _take_lock(self) -> None:
        if self._lock is not None:
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise SpoolError(
                "in_use",
                f"{self.folder}: another daemon keeps its messages there; give each its own device.name or "
                "mqtt.spool.folder",
            ) from error
        except OSError:
            os.close(lock)
            raise
        self._lock = lock

    def _prepare(self, db: sqlite3.Connection) -> None:
        db.text_factory = lambda data: data.decode(errors="replace")  # a damaged row is no damaged file
        db.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        db.execute("PRAGMA locking_mode = EXCLUSIVE")  # before WAL: then no shared memory file, which could be cut off
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
        db.execute(f"PRAGMA journal_size_limit = {_WAL_PAGES * _PAGE_BYTES}")
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("PRAGMA cell_size_check = ON")
        (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise self._damage(str(found))
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            db.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {_VERSION}")
            db.execute("COMMIT")
        elif version != _VERSION:
            raise self._damage(f"its form is {version}, this version reads {_VERSION}")
        # Pages are not shared between messages of several pages, and the tree has its own.
        db.execute(f"PRAGMA max_page_count = {int(self.max_bytes * 1.3) // _PAGE_BYTES + 64}")

    def _count(self) -> None:
        """How much is held, and how old the youngest is: the spool's own time goes on from there."""
        db, ages = self._connection, [0.0]
        for lane in (*LANES, "latest"):
            rows, size_bytes, youngest_s = db.execute(
                f"SELECT COUNT(*), COALESCE(SUM({_SIZE}), 0), COALESCE(MAX(at_s), 0) FROM {lane}"
            ).fetchone()
            self._held[lane] = _Held(int(rows), int(size_bytes))
            ages.append(float(youngest_s))
        if self._began_s == 0.0:
            self._began_s = self._clock() - max(ages)

    def _disconnect(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with contextlib.suppress(sqlite3.Error):
                db.close()

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise SpoolError("unwritable", f"{self.folder}: not open; see the messages before this one")
        return self._db

    # Errors -----------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            text = str(error)
            if isinstance(error, sqlite3.OperationalError) and any(word in text.lower() for word in _PASSES):
                raise self._unusable(text) from error
            raise self._damage(text) from error
        except (TypeError, ValueError, OverflowError) as error:  # a value of another type than was put in
            raise self._damage(str(error)) from error

    def _damage(self, what: str) -> SpoolError:
        return SpoolError("damaged", f"{self.folder / _FILE} is damaged ({what}); look at the disk it is on")

    def _unusable(self, what: str) -> SpoolError:
        full = "full" in what.lower() or "No space" in what
        remedy = (
            "make room there"
            if full
            else "make it a folder that the user who runs edge may write, or set mqtt.spool.folder to one"
        )
        return SpoolError("full" if full else "unwritable", f"{self.folder}: cannot be written ({what}); {remedy}")

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """One change, on the disk when this ends.

        Raises:
            SpoolError: nothing of it was done.
        """
        db = self._connection
        with self._translated():
            db.execute("BEGIN IMMEDIATE")
        try:
            with self._translated():
                yield
                db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            with contextlib.suppress(SpoolError), self._translated():
                self._count()
            raise

    # Lanes ------------------------------------------------------------------------------------------------------------

    def rows(self, lane: str) -> int:
        """How many messages are in it."""
        return self._held[lane].rows if lane in self._held else 0

    @property
    def size_bytes(self) -> int:
        """Of all messages together."""
        return sum(held.size_bytes for held in self._held.values())

    def oldest_since_s(self) -> float | None:
        """Since when the oldest message waits, on the spool's clock; None: there is none."""
        if not any(held.rows for held in self._held.values()):
            return None
        first = [f"SELECT * FROM (SELECT at_s FROM {lane} ORDER BY number LIMIT 1)" for lane in LANES]
        query = " UNION ALL ".join((*first, "SELECT MIN(at_s) FROM latest"))
        with self._translated():
            found = [float(at_s) for (at_s,) in self._connection.execute(query) if at_s is not None]
        return self._began_s + min(found) if found else None

    def next_number(self) -> int:
        """Larger than any in use."""
        with self._translated():
            found = [self._connection.execute(f"SELECT MAX(number) FROM {lane}").fetchone()[0] for lane in LANES]
        return 1 + max(int(n or 0) for n in found)

    def add(self, lane: str, entries: Sequence[Entry], *, busy: Collection[int] = ()) -> list[int]:
        """Put messages in, and throw away the oldest that are too many by then.

        Args:
            lane: which.
            entries: with numbers of their own; what is there under its number stays.
            busy: numbers that are on their way, and not thrown away.

        Returns:
            The numbers of those thrown away, which may be among the new ones.
        """
        gone: list[int] = []
        for entry in entries:
            if self._insert(lane, self._row(entry)):
                gone += self._make_room(lane, busy)
        return gone

    def _insert(self, table: str, row: _Row) -> bool:
        """Put it in, and count it; False where one of its number, or topic, is there."""
        query = f"INSERT OR IGNORE INTO {table} (number, {_ROW}) VALUES (?,?,?,?,?,?,?,?)"
        if not self._connection.execute(query, row).rowcount:
            return False
        held = self._held[table]
        held.rows += 1
        held.size_bytes += _size_of(row)
        return True

    def _delete(self, table: str, column: str, values: Iterable[int | str]) -> None:
        """Take out what has one of these there, and count it; what is not there is no error."""
        held, db = self._held[table], self._connection
        for value in values:
            row = db.execute(f"SELECT {_SIZE} FROM {table} WHERE {column} = ?", (value,)).fetchone()
            if row is not None:
                db.execute(f"DELETE FROM {table} WHERE {column} = ?", (value,))
                held.rows -= 1
                held.size_bytes -= row[0]

    def _make_room(self, lane: str, busy: Collection[int]) -> list[int]:
        """Throw away the oldest until the lane is within its share."""
        held, gone = self._held[lane], list[int]()
        while (over := held.size_bytes - self.max_bytes * _SHARES[lane]) > 0 and (found := self._oldest(lane, busy)):
            numbers = []
            for number, size_bytes in found:
                if over <= 0:
                    break
                numbers.append(number)
                over -= size_bytes
            self.remove(lane, numbers)
            gone += numbers
        return gone

    def _oldest(self, lane: str, busy: Collection[int]) -> list[tuple[int, int]]:
        query = f"SELECT number, {_SIZE} FROM {lane} ORDER BY number LIMIT ?"
        found = self._connection.execute(query, (_OLDEST_AT_ONCE + len(busy),)).fetchall()
        return [(number, size_bytes) for number, size_bytes in found if number not in busy]

    def remove(self, lane: str, numbers: Iterable[int]) -> None:
        """Take messages out; those that are not there are no error."""
        self._delete(lane, "number", numbers)

    def expire(self, lane: str, *, busy: Collection[int] = ()) -> list[int]:
        """Throw away what is too old; returns the numbers."""
        query = f"SELECT number FROM {lane} WHERE at_s < ? ORDER BY number"
        found = self._connection.execute(query, (self._now_s() - self.max_age_s,)).fetchall()
        numbers = [number for (number,) in found if number not in busy]
        self.remove(lane, numbers)
        return numbers

    def read(self, lane: str, after: int, limit: int) -> tuple[list[Entry], list[int]]:
        """The oldest messages with numbers above `after`, at most so many.

        Returns:
            Those that are whole, and the numbers of those that are not.

        Raises:
            SpoolError: the file is damaged.
        """
        query = f"SELECT number, {_ROW} FROM {lane} WHERE number > ? ORDER BY number LIMIT ?"
        with self._translated():
            rows = self._connection.execute(query, (after, limit)).fetchall()
            entries = {int(row[0]): _entry(row) for row in rows}
        return [e for e in entries.values() if e is not None], [n for n, e in entries.items() if e is None]

    # The latest of each topic, and the record of topics --------------------------------------------------------------

    def latest(self) -> list[Entry]:
        """The latest message of each topic that has a whole one here.

        Raises:
            SpoolError: the file is damaged.
        """
        with self._translated():
            rows = self._connection.execute(f"SELECT number, {_ROW} FROM latest").fetchall()
            return [entry for row in rows if (entry := _entry(row)) is not None]

    def put_latest(self, entry: Entry) -> bool:
        """Keep this in the place of the topic's last one; False, and nothing kept, if it is too large for its share."""
        self.drop_latest([entry.topic])
        row = self._row(entry)
        if self._held["latest"].size_bytes + _size_of(row) > self.max_bytes * _LATEST_SHARE:
            return False
        return self._insert("latest", row)

    def drop_latest(self, topics: Iterable[str]) -> None:
        """Keep nothing for these topics."""
        self._delete("latest", "topic", topics)

    def published(self) -> dict[str, str]:
        """The kind of every retained topic that was recorded.

        Raises:
            SpoolError: the file is damaged.
        """
        with self._translated():
            return {str(topic): str(kind) for topic, kind in self._connection.execute("SELECT * FROM published")}

    def record_published(self, topic: str, kind: str) -> None:
        """Remember that the broker keeps a message on this topic."""
        self._connection.execute("INSERT OR REPLACE INTO published VALUES (?, ?)", (topic, kind))

    def forget_published(self, topic: str) -> None:
        """The broker keeps none any more."""
        self._connection.execute("DELETE FROM published WHERE topic = ?", (topic,))

    # Rows -------------------------------------------------------------------------------------------------------------

    def _now_s(self) -> float:
        return self._clock() - self._began_s

    def _row(self, entry: Entry) -> _Row:
        body = zlib.compress(entry.payload, 1)
        properties = json.dumps(dict(entry.properties), separators=(",", ":"))
        fields = (entry.number, entry.kind, entry.topic, entry.camera, properties)
        return (*fields, body, self._now_s(), _checksum(*fields, body))


_SIZE = f"(length(body) + length(topic) + length(properties) + {_OVERHEAD_BYTES})"


def _size_of(row: _Row) -> int:
    return len(row[5]) + len(row[2]) + len(row[4]) + _OVERHEAD_BYTES


def _checksum(number: int, kind: str, topic: str, camera: str | None, properties: str, body: bytes) -> int:
    head = "\0".join((str(number), kind, topic, camera or "", properties))
    return zlib.crc32(body, zlib.crc32(head.encode()))


def _entry(row: Sequence[Any]) -> Entry | None:
    """A row as the message it holds; None if it is not what was put in."""
    number, kind, topic, camera, properties, body, _, crc = row
    try:
        if _checksum(number, kind, topic, camera, properties, body) != crc:
            return None
        return Entry(number, kind, topic, camera, zlib.decompress(body), json.loads(properties))
    except (TypeError, ValueError, AttributeError, zlib.error):
        return None
