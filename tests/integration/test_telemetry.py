"""Nothing leaves the device that nobody asked for: no name is looked up, and no file of a vendor's appears."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_LISTEN_S = 12.0
"""ONNX Runtime 1.32 asks for its vendor's host ten seconds after it was loaded, unless it is told not to."""

_LOAD = """
import importlib, sys, time
importlib.import_module(sys.argv[1])
import onnxruntime
onnxruntime.InferenceSession(sys.argv[2], providers=["CPUExecutionProvider"])
time.sleep(float(sys.argv[3]))
"""


class NameServer:
    """Notes what it is asked, and does not answer."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._ending = threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind(("127.0.0.1", 53))
        except OSError:
            self._socket.close()
            raise
        self._socket.settimeout(0.1)
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while not self._ending.is_set():
            with contextlib.suppress(TimeoutError):
                self.asked.append(self._name_in(self._socket.recv(2000)[12:]))

    @staticmethod
    def _name_in(question: bytes) -> str:
        labels = []
        while question and question[0]:
            labels.append(question[1 : 1 + question[0]].decode(errors="replace"))
            question = question[1 + question[0] :]
        return ".".join(labels)

    def close(self) -> None:
        """Stop listening."""
        self._ending.set()
        self._thread.join()
        self._socket.close()


@pytest.mark.slow
@pytest.mark.parametrize("module", ["edge.inference.ort", "edge.commands.check", "training", "training.export.engine"])
def test_no_name_is_looked_up_and_no_file_appears(module: str, tmp_path: Path) -> None:
    """Whichever of our modules loads ONNX Runtime, for as long as it takes to ask."""
    if os.getuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("watching the name server needs root and util-linux's unshare")
    try:
        names = NameServer()
    except OSError as error:
        pytest.skip(f"port 53 of this machine is taken ({error})")
    home, resolver = tmp_path / "home", tmp_path / "resolv.conf"
    home.mkdir()
    resolver.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ORT_", "XDG_"))} | {"HOME": str(home)}
    model = ROOT / "engines" / "lighting" / "model.onnx"
    load = [sys.executable, "-c", _LOAD, module, str(model), str(_LISTEN_S)]
    inside = f'mount --bind {resolver} /etc/resolv.conf && exec "$@"'
    try:
        subprocess.run(
            ["unshare", "--mount", "sh", "-c", inside, "sh", *load],
            check=True,
            env=environment,
            cwd=ROOT,
            timeout=120,
        )
    finally:
        names.close()
    assert names.asked == []
    assert [path for path in home.rglob("*") if "icrosoft" in str(path)] == []
