"""`edge engines ...` for the daemon, in a process of its own that ends when the daemon does."""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading

from edge.processes import renice_process


def _end_with_the_daemon() -> None:
    """Standard input is a pipe from the daemon: it ends when the daemon ends, however that happens."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    if {"build", "install"} & set(sys.argv[:3]):  # takes minutes; all else is waited for
        renice_process()
    threading.Thread(target=_end_with_the_daemon, daemon=True).start()
    sys.argv[0] = "edge"
    runpy.run_module("edge", run_name="__main__", alter_sys=True)
