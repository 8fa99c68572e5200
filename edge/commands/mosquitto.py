"""A Mosquitto of our own, to measure and to test with: the embedded broker is for first runs, and in our process."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from edge.errors import EdgeError

_START_S = 5.0


def mosquitto_program() -> str | None:
    """Where Mosquitto is installed; None if it is not."""
    return shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def unused_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mosquitto:
    """A broker on the loopback without persistence: what it retained is gone when it restarts."""

    def __init__(
        self,
        folder: Path,
        *,
        settings: str = "allow_anonymous true\n",
        listener: str = "",
        port: int | None = None,
    ) -> None:
        """`settings` and `listener` are lines of mosquitto.conf: for the whole broker, and for its TCP listener."""
        self.port = port or unused_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._config = folder / f"mosquitto-{self.port}.conf"
        self._text = f"persistence false\nlistener {self.port} 127.0.0.1\n{listener}{settings}"

    def start(self) -> Mosquitto:
        """Run it; returns when it accepts connections.

        Raises:
            EdgeError: it is not installed, or does not answer.
        """
        program = mosquitto_program()
        if program is None:
            raise EdgeError("mosquitto is not installed; install the package of that name")
        self._config.write_text(self._text, encoding="utf-8")
        self.process = subprocess.Popen(
            [program, "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until_s = time.monotonic() + _START_S
        while not self.accepts():
            if time.monotonic() > until_s:
                self.stop()
                raise EdgeError(f"mosquitto does not answer on port {self.port}; start it by hand to see why")
            time.sleep(0.05)
        return self

    def accepts(self) -> bool:
        """Whether its port takes connections."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 0.2):
                return True
        except OSError:
            return False

    def signal(self, number: int) -> None:
        """Send it a signal, such as SIGSTOP."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> None:
        """End it, also when it is stopped by a signal."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(5)
            self.process = None
