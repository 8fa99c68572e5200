"""Children, priorities and waits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edge.processes import BACKGROUND_NICE, backoff, describe_exit, renice_thread, start_child

on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="threads have a priority of their own, and processes a /proc, on Linux alone"
)
CHILDREN = {"edge.cameras.child": ("front", "0", "1"), "edge.inference.trt.builder": ()}
"""Every module that is started as a child, with arguments that it gets as far as reading its standard input with."""
IMPORTED_EARLY = ("pickle", "json", "numpy", "threading", "random", "subprocess", "cv2")


@on_linux
@pytest.mark.parametrize("module", CHILDREN)
def test_a_child_executes_nothing_of_the_current_folder(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may write where an administrator happens to stand must not have code run as the daemon's user."""
    for name in IMPORTED_EARLY:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w').write({name!r})\n")
    monkeypatch.chdir(tmp_path)
    child = start_child(module, CHILDREN[module], stdout=subprocess.DEVNULL)
    assert os.readlink(f"/proc/{child.pid}/cwd") == "/"
    child.communicate(timeout=60)
    assert not (tmp_path / "executed").exists()


@on_linux
@pytest.mark.parametrize("module", CHILDREN)
def test_a_child_is_nice_and_ends_with_its_input(module: str) -> None:
    """Its priority is low while it waits for what it is to do; when its standard input ends, so does it."""
    child = start_child(module, CHILDREN[module], stdout=subprocess.DEVNULL)
    nice = max(os.getpriority(os.PRIO_PROCESS, 0), BACKGROUND_NICE)
    deadline_s = time.monotonic() + 60
    while os.getpriority(os.PRIO_PROCESS, child.pid) != nice:
        assert child.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    assert os.getsid(child.pid) == child.pid
    assert child.stdin is not None
    child.stdin.close()
    child.wait(60)


@on_linux
def test_a_thread_is_reniced_and_no_other_is() -> None:
    """The kernel holds the niceness of that thread alone, and of those that it starts from then on."""
    told, go_on, seen = threading.Event(), threading.Event(), []

    def inherit() -> None:
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    def wait() -> None:
        told.set()
        go_on.wait(5.0)
        child = threading.Thread(target=inherit)
        child.start()
        child.join()

    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    thread = threading.Thread(target=wait)
    thread.start()
    assert told.wait(5.0)
    renice_thread(thread)
    assert thread.native_id is not None
    assert os.getpriority(os.PRIO_PROCESS, thread.native_id) == max(before, BACKGROUND_NICE)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before
    go_on.set()
    thread.join()
    assert seen == [max(before, BACKGROUND_NICE)]
    renice_thread(thread)  # it has ended: nothing happens


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "ended with status 0"), (3, "ended with status 3"), (-signal.SIGKILL, "was killed by SIGKILL")],
)
def test_an_exit_is_described(status: int, words: str) -> None:
    """By status, or by the signal's name."""
    assert describe_exit(status) == words


@on_linux
def test_every_signal_of_the_system_can_be_described() -> None:
    """Also real-time signals, of which most have no name: a child may be killed by any."""
    for number in range(1, signal.SIGRTMAX + 1):
        assert describe_exit(-number).startswith("was killed by ")
    assert describe_exit(-(signal.SIGRTMIN + 1)) == f"was killed by signal {signal.SIGRTMIN + 1}"


@pytest.mark.parametrize(("failures", "most_s"), [(0, 0.5), (1, 1.0), (4, 8.0), (5, 10.0), (10_000, 10.0)])
def test_waits_double_up_to_the_longest_and_are_spread(failures: int, most_s: float) -> None:
    """Between half and all of 2**failures times the shortest, capped; a hundred draws fill that range."""
    drawn = [backoff(failures, 0.5, 10.0) for _ in range(100)]
    assert most_s / 2 <= min(drawn) < 0.7 * most_s
    assert 0.8 * most_s < max(drawn) <= most_s
