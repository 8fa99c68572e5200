"""The spool: what was written is there after a kill, in order, unaltered and within bounds, or is said to be lost."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.errors import SpoolError
from edge.keep.spool import LANES, MIB, Entry, Spool

REPOSITORY = Path(__file__).parents[3]


def entry(number: int, size_bytes: int = 20, topic: str = "edge/d/bridge/event") -> Entry:
    """A message that can be told from others, and does not compress."""
    payload = f"{number} ".encode() + random.Random(number).randbytes(size_bytes)
    return Entry(number, "bridge_event", topic, None, payload, {"schema": "edge.event/1"})


@contextlib.contextmanager
def opened(folder: Path, **options: float) -> Iterator[Spool]:
    """A spool that is closed in the end."""
    spool = Spool(folder, **options)  # type: ignore[arg-type]
    spool.open()
    try:
        yield spool
    finally:
        spool.close()


def numbers(spool: Spool, lane: str = "event") -> list[int]:
    """All numbers of a lane, as they are read in portions."""
    found: list[int] = []
    while True:
        entries, damaged = spool.read(lane, found[-1] if found else 0, 7)
        assert not damaged
        if not entries:
            return found
        found += [e.number for e in entries]


def fill(spool: Spool, count: int, size_bytes: int = 20, lane: str = "event") -> None:
    """Put so many more in, one change each."""
    for _ in range(count):
        with spool.writing():
            spool.add(lane, [entry(spool.next_number(), size_bytes)])


def test_what_was_put_in_comes_out(tmp_path: Path) -> None:
    """Every field, in order, also after it was closed and opened again; removed ones do not."""
    entries = [
        Entry(3, "layout", "edge/d/hall/layout", "hall", b'{"a":1}' * 100, {"captured_at": "2026"}),
        Entry(4, "bridge_event", "edge/d/bridge/event", None, b"", {}),
        Entry(9, "layout", "edge/d/käse/layout", "käse", bytes(range(256)), {"x": "ü\0"}),
    ]
    with opened(tmp_path) as spool, spool.writing():
        assert spool.add("result", entries) == []
    with opened(tmp_path) as spool:
        assert spool.read("result", 0, 10) == (entries, [])
        assert spool.read("result", 3, 1) == (entries[1:2], [])
        assert spool.rows("event") == 0
        assert spool.next_number() == 10
        with spool.writing():
            spool.remove("result", [4, 77])
        assert spool.read("result", 0, 10)[0] == [entries[0], entries[2]]


def test_the_latest_of_each_topic_and_the_record_of_topics_are_kept(tmp_path: Path) -> None:
    """One message a topic, the last one; and each topic that was published until it is forgotten."""
    with opened(tmp_path) as spool, spool.writing():
        for number, topic in enumerate(("a", "b", "a"), start=1):
            assert spool.put_latest(entry(number, topic=topic))
        spool.drop_latest(["b", "never"])
        spool.record_published("a", "layout")
        spool.record_published("b", "room")
        spool.forget_published("b")
    with opened(tmp_path) as spool:
        assert spool.latest() == [entry(3, topic="a")]
        assert spool.published() == {"a": "layout"}


def test_a_change_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    """An error within it leaves everything as it was, what is counted too."""
    with opened(tmp_path) as spool:
        fill(spool, 3)
        before = (spool.size_bytes, spool.rows("event"), numbers(spool))
        with pytest.raises(KeyError), spool.writing():
            spool.add("event", [entry(50)])
            spool.remove("event", [1])
            raise KeyError
        assert (spool.size_bytes, spool.rows("event"), numbers(spool)) == before


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(1, 8), st.integers(0, 60_000)),
            st.tuples(st.just("remove"), st.integers(0, 40), st.just(0)),
            st.tuples(st.just("reopen"), st.just(0), st.just(0)),
        ),
        max_size=25,
    )
)
def test_it_is_a_bounded_queue(tmp_path: Path, steps: list[tuple[str, int, int]]) -> None:
    """Whatever is done: the newest that fit are there in order, the bound holds, and each loss is told once."""
    folder = tmp_path / str(time.monotonic_ns())
    spool, model, number = Spool(folder, max_bytes=MIB), list[int](), 0
    spool.open()
    for action, count, size_bytes in steps:
        if action == "add":
            new = list(range(number + 1, number + 1 + count))
            number += count
            with spool.writing():
                gone = spool.add("event", [entry(n, size_bytes) for n in new])
            model += new
            assert gone == model[: len(gone)], "the oldest go, in order"
            model = model[len(gone) :]
        elif action == "remove":
            with spool.writing():
                spool.remove("event", model[count : count + 3])
            del model[count : count + 3]
        else:
            spool.close()
            spool = Spool(folder, max_bytes=MIB)
            spool.open()
        assert numbers(spool) == model
        assert spool.rows("event") == len(model)
        assert spool.size_bytes <= MIB / 8
    spool.close()


def test_what_is_on_its_way_is_not_thrown_away(tmp_path: Path) -> None:
    """The oldest that is not busy goes instead."""
    with opened(tmp_path, max_bytes=MIB) as spool:
        with spool.writing():
            spool.add("event", [entry(n, 30_000) for n in (1, 2, 3)])
        with spool.writing():
            assert spool.add("event", [entry(n, 30_000) for n in (4, 5)], busy={1, 3}) == [2]
        assert numbers(spool) == [1, 3, 4, 5]


def test_the_file_is_no_larger_than_it_may_be(tmp_path: Path) -> None:
    """Lanes full and written anew again and again, with what SQLite keeps beside: 1.5 times the bound, and a log."""
    with opened(tmp_path, max_bytes=MIB) as spool:
        number = 0
        for _ in range(25):
            number += 40
            with spool.writing():
                spool.add("event", [entry(number + n, 300) for n in range(40)])
                spool.add("result", [entry(number + n, 5000) for n in range(40)])
                spool.put_latest(entry(number, 60_000, topic=f"t{number % 7}"))
        assert spool.rows("result") > 100
        size_bytes = sum(f.stat().st_size for f in tmp_path.iterdir())
    assert size_bytes < MIB * 1.5 + 1.1 * MIB


def test_the_latest_have_a_share_of_their_own(tmp_path: Path) -> None:
    """A room that does not fit is not kept, and takes nothing from the others."""
    with opened(tmp_path, max_bytes=MIB) as spool:
        with spool.writing():
            assert spool.put_latest(entry(1, 1000, topic="a"))
            assert not spool.put_latest(entry(2, 200_000, topic="b"))
        assert [e.topic for e in spool.latest()] == ["a"]


def test_age_is_time_that_it_was_open(tmp_path: Path) -> None:
    """What is older than the bound goes; a device that was off for a year, or whose clock was set, loses nothing."""
    now_s = [5000.0]

    def clock() -> float:
        return now_s[0]

    spool = Spool(tmp_path, max_age_s=100, clock=clock)
    spool.open()
    fill(spool, 2)
    now_s[0] += 60
    fill(spool, 1)
    spool.close()
    now_s[0] = 17.0  # the device was started anew
    spool = Spool(tmp_path, max_age_s=100, clock=clock)
    spool.open()
    with spool.writing():
        assert spool.expire("event") == []
    now_s[0] += 50
    with spool.writing():
        assert spool.expire("event", busy={1}) == [2]
    assert numbers(spool) == [1, 3]
    spool.close()


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    """Folder and files are this user's alone, also those that were not."""
    folder = tmp_path / "a" / "b"
    with opened(folder) as spool:
        fill(spool, 1)
        (folder / "spool.db").chmod(0o644)
    with opened(folder):
        modes = {f.name: f.stat().st_mode & 0o777 for f in folder.iterdir()}
    assert set(modes.values()) == {0o600}, modes
    assert folder.stat().st_mode & 0o777 == 0o700


def test_one_daemon_at_a_time(tmp_path: Path) -> None:
    """A second one is told so with the remedy, and has it when the first has ended, in whatever way."""
    holder = subprocess.Popen([sys.executable, "-c", _HOLD, str(tmp_path)], cwd=REPOSITORY, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(SpoolError, match=r"device\.name or mqtt\.spool\.folder") as refused:
            Spool(tmp_path).open()
        assert refused.value.reason == "in_use"
    finally:
        holder.kill()
        holder.wait(5)
        holder.stdout.close()  # type: ignore[union-attr]
    with opened(tmp_path) as spool:
        assert numbers(spool) == [1]


_HOLD = """
import sys, time
from pathlib import Path
from edge.keep.spool import Entry, Spool
spool = Spool(Path(sys.argv[1]))
spool.open()
with spool.writing():
    spool.add("event", [Entry(1, "bridge_event", "t", None, b"x")])
print("open", flush=True)
time.sleep(60)
"""

_WRITE = """
import os, sys
from pathlib import Path
from edge.keep.spool import Entry, Spool
spool = Spool(Path(sys.argv[1]))
spool.open()
number = spool.next_number()
while True:
    with spool.writing():
        spool.add("event", [Entry(number + n, "bridge_event", "t", None, b"%d" % (number + n) * 50) for n in range(3)])
        spool.remove("event", [number - 40 + n for n in range(3)])
    number += 3
    os.write(1, b"%d\\n" % (number - 1))
"""


def test_what_was_written_outlives_a_kill_at_any_moment(tmp_path: Path) -> None:
    """A child that writes as fast as it can is killed again and again: all that it was told is written is there."""
    chance = random.Random(7)
    for _ in range(4):
        child = subprocess.Popen([sys.executable, "-c", _WRITE, str(tmp_path)], cwd=REPOSITORY, stdout=subprocess.PIPE)
        assert child.stdout is not None
        said = [int(child.stdout.readline())]
        time.sleep(chance.uniform(0.0, 0.15))
        child.send_signal(signal.SIGKILL)
        said += [int(line) for line in child.stdout.read().split(b"\n")[:-1]]
        child.stdout.close()
        child.wait(5)
        with opened(tmp_path) as spool:
            found = numbers(spool)
            assert found == list(range(found[0], found[-1] + 1)), "in order, without a hole"
            assert said[-1] <= found[-1] <= said[-1] + 3, "what was said, or the next change, which is whole"
            assert all(e.payload == b"%d" % e.number * 50 for e in spool.read("event", 0, 100)[0])


@pytest.mark.parametrize("share", [0.0, 0.1, 0.35, 0.5, 0.77, 0.98])
def test_a_log_that_was_cut_off_gives_what_came_before(tmp_path: Path, share: float) -> None:
    """As a power loss may leave it while a change is written: whole changes, in order, from the first on."""
    child = subprocess.Popen([sys.executable, "-c", _FEW, str(tmp_path)], cwd=REPOSITORY)
    assert child.wait(20) == 1
    log = tmp_path / "spool.db-wal"
    os.truncate(log, int(log.stat().st_size * share))
    try:
        with opened(tmp_path) as spool:
            found = numbers(spool)
    except SpoolError as error:
        assert error.reason == "damaged"
    else:
        assert found == list(range(1, len(found) + 1))
        assert len(found) % 3 == 0
        assert share < 0.9 or found


_FEW = """
import os, sys
from pathlib import Path
from edge.keep.spool import Entry, Spool
spool = Spool(Path(sys.argv[1]))
spool.open()
for number in range(1, 31, 3):
    with spool.writing():
        spool.add("event", [Entry(number + n, "bridge_event", "t", None, b"x" * 2000) for n in range(3)])
os._exit(1)
"""


@pytest.mark.parametrize("seed", range(8))
def test_what_is_damaged_never_comes_out(tmp_path: Path, seed: int) -> None:
    """Random bytes anywhere in the file: each message is what was put in or is missing, or the file is given up."""
    chance = random.Random(seed)
    with opened(tmp_path) as spool:
        fill(spool, 30, 3000)
    path = tmp_path / "spool.db"
    data = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 3, 200))):
        data[chance.randrange(len(data))] = chance.randrange(256)
    path.write_bytes(data[: chance.choice((len(data), len(data), chance.randrange(len(data))))])
    spool = Spool(tmp_path)
    try:
        spool.open()
        entries, _ = spool.read("event", 0, 100)
        assert all(e == entry(e.number, 3000) for e in entries)
    except SpoolError as error:
        assert error.reason == "damaged"
        assert spool.set_aside().stat().st_size > 0
        spool.open()
        fill(spool, 1)
        assert numbers(spool) == [1]
    finally:
        spool.close()


def test_a_form_that_is_not_known_is_set_aside(tmp_path: Path) -> None:
    """A file of a later version is not read as if it were ours, and not destroyed."""
    import sqlite3

    with opened(tmp_path) as spool:
        fill(spool, 1)
    db = sqlite3.connect(tmp_path / "spool.db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(SpoolError, match="99") as refused:
        Spool(tmp_path).open()
    assert refused.value.reason == "damaged"


def test_a_full_disk_is_said_and_passes(tmp_path: Path) -> None:
    """What was written before stays readable, nothing is half written, and it goes on when there is room."""
    with opened(tmp_path) as spool:
        fill(spool, 3)
        db = spool._connection
        (most,) = db.execute("PRAGMA max_page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")
        with pytest.raises(SpoolError, match="make room there") as refused, spool.writing():
            spool.add("result", [entry(100 + n, 3000) for n in range(10)])
        assert refused.value.reason == "full"
        assert numbers(spool) == [1, 2, 3]
        assert spool.rows("result") == 0
        db.execute(f"PRAGMA max_page_count = {most}")
        fill(spool, 1)
        assert numbers(spool) == [1, 2, 3, 4]


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/shm and /proc are Linux's")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file in the folder's place, and a file system that takes none: the folder and the key to set are said."""
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file" / "spool", Path("/proc/spool")):
        with pytest.raises(SpoolError, match=r"mqtt\.spool\.folder") as refused:
            Spool(folder).open()
        assert refused.value.reason == "unwritable"
        assert str(folder) in str(refused.value)


def test_links_are_not_followed(tmp_path: Path) -> None:
    """Who may write the folder cannot have another file overwritten."""
    victim, folder = tmp_path / "victim", tmp_path / "spool"
    victim.write_text("precious")
    folder.mkdir()
    for name in ("spool.db", "spool.lock"):
        os.symlink(victim, folder / name)
        spool = Spool(folder)
        with pytest.raises(SpoolError):
            spool.open()
        spool.close()
        for file in folder.iterdir():
            file.unlink()
    assert victim.read_text() == "precious"


def test_lanes_do_not_take_from_each_other(tmp_path: Path) -> None:
    """A flood of results throws no event away, nor the other way round."""
    with opened(tmp_path, max_bytes=MIB) as spool:
        for lane, other in (LANES, reversed(LANES)):
            fill(spool, 3, 10_000, lane)
            before = spool.read(lane, 0, 100)[0]
            with spool.writing():
                spool.add(other, [entry(1000 + n, 30_000) for n in range(60)])
            assert spool.read(lane, 0, 100)[0][:3] == before[:3]
            with spool.writing():
                spool.remove(other, range(1000, 1060))
