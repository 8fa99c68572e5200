"""A real Home Assistant for tests: in an environment of its own, headless, told what to do over its REST API.

The environment is made once, in the folder that `EDGE_HOME_ASSISTANT` names or in `build/home-assistant`; it needs
Python 3.13 and a package index, and takes 30 s and 700 MB.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.brokers import unused_port, wait_until

REPOSITORY = Path(__file__).resolve().parents[1]
VERSION = "2025.4.4"
REQUIREMENTS = (
    f"homeassistant=={VERSION}",
    # What its MQTT integration and those that every start loads require beside; it would install them while it runs.
    "paho-mqtt==2.1.0",
    "home-assistant-frontend==20250411.0",
    "Pillow==11.1.0",
    "cronsim==2.6",
    "ifaddr==0.2.0",
    "psutil-home-assistant==0.0.1",
    "securetar==2025.2.1",
)
CONFIGURATION = """\
homeassistant:
  name: test
  latitude: 0
  longitude: 0
  elevation: 0
  unit_system: metric
  time_zone: UTC
http:
  server_host: 127.0.0.1
  server_port: {port}
logger:
  default: warning
"""
_INSTALL_S = 600


def _python_3_13() -> str | None:
    """A Python 3.13 that runs."""
    own = [sys.executable] if sys.version_info[:2] == (3, 13) else []
    path = [found] if (found := shutil.which("python3.13")) else []
    pyenv = sorted(Path.home().glob(".pyenv/versions/3.13.*/bin/python"), reverse=True)
    for python in (*own, *path, *map(str, pyenv)):
        said = subprocess.run(
            [python, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, check=False
        )
        if said.stdout.strip() == b"(3, 13)":
            return python
    return None


def home_assistant_python() -> Path:
    """The interpreter of Home Assistant's environment, which is made if need be; skips where it cannot be."""
    folder = Path(os.environ.get("EDGE_HOME_ASSISTANT", REPOSITORY / "build" / "home-assistant"))
    python, done = folder / "bin" / "python", folder / f"edge-{VERSION}"
    if done.exists():
        return python
    base = _python_3_13()
    if base is None:
        pytest.skip(f"Home Assistant {VERSION} needs Python 3.13, which is not on PATH nor in pyenv")
    uv = shutil.which("uv", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))
    if uv is None:
        pytest.skip("Home Assistant is installed with uv, which is not there: pip install uv")
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", base, str(folder)],
        [uv, "pip", "install", "--quiet", "--python", str(python), *REQUIREMENTS],
    ):
        made = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
        if made.returncode:
            pytest.skip(f"Home Assistant cannot be installed: {made.stderr.strip()[-300:]}")
    done.touch()
    return python


@dataclass
class HomeAssistant:
    """One Home Assistant, with the broker on `broker_port` as its MQTT integration."""

    folder: Path
    python: Path
    broker_port: int
    port: int = field(default_factory=unused_port)
    token: str = ""

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it has written."""
        return (self.folder / "out.log").read_text(errors="replace")

    def start(self) -> HomeAssistant:
        """Start it, make an owner and the MQTT integration; returns when that is there."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "configuration.yaml").write_text(CONFIGURATION.format(port=self.port))
        hass = self.python.parent / "hass"
        with (self.folder / "out.log").open("ab") as out:
            self.process = subprocess.Popen(
                [self.python, hass, "-c", self.folder, "--skip-pip"], stdout=out, stderr=subprocess.STDOUT
            )
        assert wait_until(self._answers, 120), self.log[-2000:]
        if not self.token:
            self._onboard()
        return self

    def stop(self) -> None:
        """End it; harmless when it has ended."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log[-2000:]
        try:
            self.call("GET", "/api/onboarding")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
            return False
        return True

    def _onboard(self) -> None:
        client = f"{self.url}/"
        person = {"client_id": client, "name": "t", "username": "t", "password": "t", "language": "en"}
        code = self.call("POST", "/api/onboarding/users", person)["auth_code"]
        grant = {"grant_type": "authorization_code", "code": code, "client_id": client}
        self.token = self.call("POST", "/auth/token", urllib.parse.urlencode(grant).encode())["access_token"]
        flow = self.call("POST", "/api/config/config_entries/flow", {"handler": "mqtt"})
        entry = {"broker": "127.0.0.1", "port": self.broker_port}
        done = self.call("POST", f"/api/config/config_entries/flow/{flow['flow_id']}", entry)
        assert done["type"] == "create_entry", done

    def call(self, method: str, path: str, data: dict[str, Any] | bytes | None = None) -> Any:
        """One REST call; gives the answer's JSON."""
        form = isinstance(data, bytes)
        body = data if isinstance(data, bytes) or data is None else json.dumps(data).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded" if form else "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    def download(self, path: str) -> bytes:
        """What a page holds."""
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bytes(answer.read())

    def states(self, device: str) -> dict[str, dict[str, Any]]:
        """The entities of a device and its cameras, by id: state and attributes."""
        word = device.replace("-", "_")
        return {s["entity_id"]: s for s in self.call("GET", "/api/states") if f".{word}" in s["entity_id"]}

    def service(self, domain: str, name: str, entity: str, **data: Any) -> None:
        """What a press in its pages does."""
        self.call("POST", f"/api/services/{domain}/{name}", {"entity_id": entity, **data})
