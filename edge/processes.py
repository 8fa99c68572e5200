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
    forced: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start `python -m module` of this installation in a session of its own.

    It runs in "/" and imports nothing from the folder that the parent happens to run in: whoever may write there could
    have it run their code. So paths that it is given are absolute. Its standard input is a pipe; it is to end when
    that ends, which it also does when the parent dies. It lowers its own priority, once all it needs is imported.

    Args:
        module: what to run, below `edge`.
        arguments: of its command line.
        stdout: as for `Popen`.
        stderr: as for `Popen`.
        pass_fds: descriptors that it inherits under their numbers.
        environment: variables that it gets unless this process has them set otherwise.
        forced: variables that it gets whatever this process has.

    Raises:
        OSError: it cannot be started.
    """
    here = str(Path(__file__).absolute().parents[1])
    path = os.pathsep.join(p for p in (here, os.environ.get("PYTHONPATH")) if p)
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        pass_fds=pass_fds,
        start_new_session=True,
        cwd="/",
        env={**(environment or {}), **os.environ, **(forced or {}), "PYTHONPATH": path, "PYTHONSAFEPATH": "1"},
    )


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
    if sys.platform == "linux" and thread.native_id is not None:
        with contextlib.suppress(OSError):  # it has ended, or a container forbids it
            os.setpriority(os.PRIO_PROCESS, thread.native_id, BACKGROUND_NICE)


def renice_process() -> None:
    """The same for this whole process, also where the kernel weighs sessions against each other (autogroup)."""
    renice_thread(threading.main_thread())
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(BACKGROUND_NICE), encoding="ascii")


def backoff(failures: int, shortest_s: float, longest_s: float) -> float:
    """How long to wait before the next attempt: doubled with each failure in a row, and drawn from its upper half.

    The jitter keeps many devices that lost the same broker or camera from coming back all at once.
    """
    return min(longest_s, shortest_s * 2.0 ** min(failures, _DOUBLINGS)) * random.uniform(0.5, 1.0)
