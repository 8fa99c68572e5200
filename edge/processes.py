"""Child processes, their priority, and the wait before one is started again.

Children are plain `python -m` processes: multiprocessing's spawn would import the parent's main module in each of them,
and start a resource tracker besides.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

BACKGROUND_NICE = 10
"""Niceness of everything but the networks: enough to let them pass, and far from starving. A network's threads wait for
each other, so what delays one of them delays all."""
_DOUBLINGS = 30


def start_child(
    module: str,
    arguments: Sequence[str] = (),
    *,
    stdout: int | None = None,
    stderr: IO[bytes] | None = None,
    pass_fds: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start `python -m module` of this installation in a session of its own, at low priority.

    It runs in "/" and imports nothing from the folder that the parent happens to run in: whoever may write there could
    have it run their code. So paths that it is given are absolute. Its standard input is a pipe; it is to end when
    that ends, which it also does when the parent dies.

    Args:
        module: what to run, below `edge`.
        arguments: of its command line.
        stdout: as for `Popen`.
        stderr: as for `Popen`.
        pass_fds: descriptors that it inherits under their numbers.
        environment: variables that it gets unless this process has them set otherwise.

    Raises:
        OSError: it cannot be started.
    """
    here = str(Path(__file__).absolute().parents[1])
    path = os.pathsep.join(p for p in (here, os.environ.get("PYTHONPATH")) if p)
    child = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        pass_fds=pass_fds,
        start_new_session=True,
        cwd="/",
        env={**(environment or {}), **os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"},
    )
    renice_process(child.pid)
    return child


def describe_exit(status: int) -> str:
    """How a process ended, from `Popen.returncode`: "was killed by SIGKILL", "ended with status 3"."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:  # most real-time signals have no name
        return f"was killed by signal {-status}"


def renice_thread(thread: threading.Thread) -> None:
    """Give a thread low priority; threads that it starts from now on inherit that. Linux only, else nothing."""
    if thread.native_id is not None:
        _renice(thread.native_id)


def renice_process(pid: int) -> None:
    """Give a process that has one thread low priority, also where the kernel weighs sessions (autogroup)."""
    _renice(pid)
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(BACKGROUND_NICE), encoding="ascii")


def _renice(task: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # it has ended, or a container forbids it
            os.setpriority(os.PRIO_PROCESS, task, BACKGROUND_NICE)


def backoff(failures: int, shortest_s: float, longest_s: float) -> float:
    """How long to wait before the next try, s: at most `shortest_s` doubled `failures` times, and at most `longest_s`.

    A random part of up to half is taken off, so that what failed together is not tried again together.
    """
    return min(longest_s, shortest_s * 2.0 ** min(failures, _DOUBLINGS)) * random.uniform(0.5, 1.0)
