"""Outbox and spool together, driven by chance: nothing is lost, nothing overtakes, everything is counted."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.keep.spool import Spool
from edge.monitor.metrics import Metrics
from edge.mqtt.topics import Topics
from edge.publish import spooling
from edge.publish.compose import Binary
from edge.publish.outbox import Outbox, Outgoing
from edge.publish.spooling import Spooling

TOPICS = Topics("dev")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("event"), st.integers(1, 30)),
        st.tuples(st.just("layout"), st.integers(1, 6)),
        st.tuples(st.just("live"), st.integers(1, 4)),
        st.tuples(st.just("send"), st.integers(1, 40)),
        st.tuples(st.just("confirm"), st.integers(1, 40)),
        st.tuples(st.just("refuse"), st.integers(1, 2)),
        st.tuples(st.sampled_from(["lose", "connect", "spool", "spool", "kill", "stop"]), st.just(0)),
    ),
    max_size=40,
)


class Bench:
    """A daemon's outbox and spool without its threads, and a broker that confirms in order."""

    def __init__(self, folder: Path, *, all_results: bool) -> None:
        self.folder, self.all_results = folder, all_results
        self.number, self.up = 0, False
        self.confirmed: list[str] = []
        self.published = 0
        self.begin()

    def begin(self) -> None:
        """A run of the daemon."""
        self.metrics = Metrics()
        self.outbox = Outbox(self.metrics, all_results=self.all_results, durable_limit=1000, replay_per_s=1e9)
        self.spool = Spool(self.folder)
        self.spooling = Spooling(self.spool, self.outbox, TOPICS)
        self.flying: list[Outgoing] = []
        self.published, self.up = 0, False
        self.spooling._turn()

    def put(self, kind: Any, count: int) -> None:
        """So many messages, each with a number of its own."""
        for _ in range(count):
            self.number += 1
            camera = None if kind == "bridge_event" else ("attic", "hall")[self.number % 2]
            content = Binary(b"%d" % self.number, {})
            self.outbox.put(Outgoing(kind, TOPICS.of(kind, camera=camera), content, camera))

    def send(self, count: int) -> None:
        """Hand over to the broker, while there is a connection."""
        for _ in range(count if self.up else 0):
            item = self.outbox.take()
            if item is None:
                return
            item.encode()
            self.flying.append(item)

    def confirm(self, count: int) -> None:
        """The oldest are confirmed."""
        for item in self.flying[:count]:
            self.published += not item.delivered
            self.outbox.settle(item)
            self.confirmed.append(f"{item.kind} {item.payload!r} {item.retain}")
        del self.flying[:count]

    def lose(self) -> None:
        """The connection ends."""
        self.outbox.give_back(self.flying)
        self.flying, self.up = [], False
        self.spooling.connected(False)

    def step(self, action: str, count: int) -> None:
        """One thing happens."""
        if action in ("event", "layout", "live"):
            kinds = {"event": "bridge_event", "live": "depth"}
            self.put(kinds.get(action, action), count)
        elif action == "refuse":
            for item in self.flying[:count]:
                self.outbox.forget(item, "refused")
            del self.flying[:count]
        elif action == "connect" and not self.up:
            self.up = True
            self.outbox.announce_again()
            self.spooling.connected(True)
        elif action == "spool":
            self.spooling._turn()
        elif action == "stop":
            self.lose()
            self.spooling._turn(last=True)
            self.close()
            assert self.outbox.waiting().in_memory == len(self.outbox._live)
            assert self.balanced()
            self.begin()
        elif action in ("send", "confirm", "lose"):
            getattr(self, action)(*([count] if count else []))

    def close(self) -> None:
        """The process ends."""
        self.spool.close()

    def drain(self) -> None:
        """A connection that lasts."""
        self.step("connect", 0)
        for _ in range(200):
            self.send(1000)
            self.confirm(1000)
            self.spooling._turn()
            if not len(self.outbox):
                return
        raise AssertionError("it does not drain")

    def balanced(self) -> bool:
        """Whether every message of this run has one fate."""
        now = self.outbox.waiting()
        fates = self.published + self.metrics.dropped.total + now.in_memory + now.on_disk
        return now.offered + now.restored == fates

    def numbers(self, beginning: str, ending: str = "") -> list[int]:
        """The numbers of the messages of a kind that were confirmed, in order; `ending`: whether retained."""
        texts = [text for text in self.confirmed if text.startswith(beginning) and text.endswith(ending)]
        return [int(text.split("'")[1]) for text in texts]

    def events(self) -> list[int]:
        """The numbers of the events that were confirmed, in order."""
        return self.numbers("bridge_event")


@contextlib.contextmanager
def bench(*, all_results: bool) -> Any:
    """A bench whose spooling writes at every turn."""
    at_once = dict.fromkeys(("_GRACE_S", "_LATEST_S", "_SETTLED_S", "_EXPIRE_S"), 0.0)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        for name, value in at_once.items():
            stack.enter_context(mock.patch.object(spooling, name, value))
        one = Bench(Path(folder), all_results=all_results)
        try:
            yield one
        finally:
            one.close()


@settings(max_examples=20, deadline=None)
@given(steps=STEPS, all_results=st.booleans())
@example(steps=[("event", 1), ("connect", 0), ("spool", 0), ("stop", 0)], all_results=False)
def test_no_event_is_lost_or_overtaken_and_all_is_counted(steps: list[tuple[str, int]], all_results: bool) -> None:
    """Through losses of the connection and orderly restarts: each event is confirmed, in order, or was refused."""
    with bench(all_results=all_results) as one:
        refused = 0
        for action, count in steps:
            if action == "kill":
                continue
            refused += sum(i.kind == "bridge_event" for i in one.flying[:count]) if action == "refuse" else 0
            one.step(action, count)
            assert one.balanced(), (action, count)
        one.drain()
        assert one.balanced()
        assert one.outbox.waiting().on_disk == 0
        found = one.events()
        put = sum(count for action, count in steps if action == "event")
        assert found == sorted(found), "none overtakes another"
        assert len(set(found)) == len(found) == put - refused


@settings(max_examples=20, deadline=None)
@given(steps=STEPS)
@example(steps=[("layout", 2), ("spool", 0), ("kill", 0), ("layout", 2), ("spool", 0), ("kill", 0)])
def test_a_kill_takes_only_what_was_not_written(steps: list[tuple[str, int]]) -> None:
    """After each turn of the spool a kill loses nothing that waited; it may repeat what was confirmed since."""
    with bench(all_results=True) as one:
        safe: set[int] = set()
        mine: list[int] = []
        refused: set[int] = set()
        for action, count in steps:
            if action == "kill":
                one.close()
                one.begin()
                mine.clear()
                continue
            if action == "refuse":
                refused |= {int(i.payload or b"0") for i in one.flying[:count]}
            if action in ("event", "layout"):
                mine += range(one.number + 1, one.number + 1 + count)
            one.step(action, count)
            if action in ("spool", "stop"):
                safe |= set(mine)
            assert one.balanced(), (action, count)
        one.drain()
        assert safe - refused <= {*one.events(), *one.numbers("layout")}
        firsts = list(dict.fromkeys(one.events()))
        assert firsts == sorted(firsts)


def test_what_an_earlier_run_left_stays_until_it_is_confirmed(tmp_path: Path) -> None:
    """Killed as soon as it has begun, again and again: the latest results are there for the next run."""
    one = Bench(tmp_path, all_results=True)
    one.put("layout", 2)
    one.step("stop", 0)
    for _ in range(3):
        assert one.outbox.waiting().restored == 2
        one.step("spool", 0)
        one.close()
        one.begin()
    one.drain()
    assert sorted(one.numbers("layout")) == [1, 2]
    one.close()


@settings(max_examples=20, deadline=None)
@given(steps=STEPS)
@example(steps=[("layout", 2), ("stop", 0), ("layout", 2), ("spool", 0)])
def test_every_result_arrives_once_and_the_newest_is_retained(steps: list[tuple[str, int]]) -> None:
    """With all results kept, also over restarts: each layout of two cameras is confirmed, retained or in its turn."""
    with bench(all_results=True) as one:
        for action, count in steps:
            if action not in ("kill", "refuse"):
                one.step(action, count)
        one.drain()
        put = sum(count for action, count in steps if action == "layout")
        assert len(set(one.numbers("layout"))) == put
        for camera in (0, 1):
            retained, replayed = (
                [n for n in one.numbers("layout", ending) if n % 2 == camera] for ending in ("True", "False")
            )
            assert retained == sorted(retained), "what the broker keeps is never an older one"
            assert replayed == sorted(set(replayed))
        assert "superseded" not in {reason for (reason,) in one.metrics.dropped.read()}
