"""A folder in which the pages' commands run: the shell, the programs, and what stands for a reader's own places."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.brokers import wait_until
from tests.documentation.ledger import Run
from tests.documentation.pages import REPOSITORY

EVERYWHERE = {
    ".venv/bin/": "",
    "/opt/edge/venv/bin/": "",
    "sudo -u edge ": "",
    "/etc/edge/config.yaml": "config.yaml",
    "/tmp/edge.tar.gz": "edge.tar.gz",
}
"""What of a command is a place of the reader's device, and what stands for it in the folder."""


@dataclass
class Place:
    """The folder, and the ports of what serves there."""

    folder: Path
    broker_port: int = 1883
    http_port: int = 8088
    environment: dict[str, str] = field(default_factory=dict)
    instead: dict[str, str] = field(default_factory=lambda: dict(EVERYWHERE))

    def __post_init__(self) -> None:
        """Programs first in the path that are those of this checkout, and the folders that pages name."""
        programs = self.folder / "bin"
        programs.mkdir()
        for name, module in (("edge", "edge"), ("edge-train", "training")):
            (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
            (programs / name).chmod(0o755)
        (self.folder / "docs").symlink_to(REPOSITORY / "docs")
        shutil.copytree(REPOSITORY / "engines", self.folder / "engines", ignore=shutil.ignore_patterns("plans"))
        self.environment |= {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "COLUMNS": "200",
        }

    def as_here(self, command: str, run: Run) -> str:
        """The command with what stands for the reader's places, broker and numbers."""
        for there, here in (self.instead | run.here).items():
            command = command.replace(there, here)
        at = f"--host 127.0.0.1 --port {self.broker_port}"
        command = re.sub(r"--host (broker|BROKER)", at, command).replace(":8088", f":{self.http_port}")
        if re.match(r"edge (watch|view|fleet|export)\b(?!.*--(host|scene|picture))", command):
            first, second, rest = (*command.split(" ", 2), "")[:3]
            return f"{first} {second} --port {self.broker_port} {rest}"
        return re.sub(r"^(mosquitto_(?:sub|pub))", rf"\1 -p {self.broker_port}", command)

    def do(self, command: str, run: Run, timeout_s: float = 600.0) -> None:
        """Run it in a shell as its reader would, and hold it to what is said of it."""
        line = self.as_here(command, run)
        said = self.folder / "said"
        with said.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", line],
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                if run.stopped_after_s is not None:
                    time.sleep(run.stopped_after_s)
                    wait_until(lambda: self.done(run) or process.poll() is not None, timeout_s)
                    os.killpg(process.pid, signal.SIGINT)
                process.wait(timeout_s)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        told = said.read_text(errors="replace")
        assert process.returncode in run.status, f"{line}\nexit {process.returncode}\n{told[-3000:]}"
        assert "Traceback" not in told, f"{line}\n{told[-3000:]}"
        assert re.search(run.says, told, re.MULTILINE), f"{line}\nsays nothing of {run.says!r}:\n{told[-3000:]}"
        missing = [name for name in run.writes if not self.written(name)]
        assert missing == [], f"{line}\n{told[-3000:]}"

    def done(self, run: Run) -> bool:
        """Whether it said and wrote what it should."""
        told = (self.folder / "said").read_text(errors="replace")
        return bool(re.search(run.says, told, re.MULTILINE)) and all(map(self.written, run.writes))

    def written(self, name: str) -> bool:
        """Whether a file is there and holds something."""
        path = self.folder / name
        return path.is_file() and path.stat().st_size > 0
