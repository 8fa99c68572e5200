"""What `edge diagnostics` gathers: each part by itself, so that one that fails says why and spoils no other."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import httpx
import yaml

import edge
from edge.commands import broker
from edge.commands.checks import run_checks
from edge.config.hidden import without_secrets
from edge.config.sections import Config
from edge.errors import EdgeError
from edge.monitor.machine import Machine
from edge.mqtt.topics import Topics
from edge.subscribe.ask import ask
from edge.subscribe.watcher import Received, Watcher

_ASK_S = 8.0
_HTTP_S = 5.0
_LISTEN_S = 1.0
_LOG_LINES = 2000
_LOG_BYTES = 4 << 20
_DISTRIBUTION = "edge-reconstruction"

Part = tuple[str, Callable[[], Any]]
"""Name of the file, and what makes its text, or plain data to be written as JSON."""


def parts(config: Config | str, log: Path | None, *, check: bool, say: Callable[[str], None]) -> Iterator[Part]:
    """Everything that may help to find what is wrong; texts are not yet free of secrets.

    Args:
        config: the configuration, or why there is none.
        log: a file with the daemon's log; None: the journal's.
        check: whether to try everything as `edge check` does.
        say: told what `check` is doing.
    """
    yield "versions.json", versions
    yield "machine.json", lambda: dataclasses.asdict(Machine().read())
    yield "log.txt", lambda: _log(log)
    if isinstance(config, str):
        yield "configuration.txt", lambda: config
        return
    yield "configuration.yaml", lambda: yaml.safe_dump(without_secrets(config), sort_keys=False, allow_unicode=True)
    yield "info.json", lambda: _asked(config, "info")
    yield "health.json", lambda: _asked(config, "health")
    yield "retained.json", lambda: _retained(config)
    for path in ("healthz", "readyz", "metrics"):
        yield f"{path}.txt", partial(_served, config, path)
    if check:
        yield "check.txt", lambda: _checked(config, say)


def versions() -> dict[str, Any]:
    """Of this package, Python, what is installed for it, and the system."""
    found: dict[str, Any] = {
        "edge": edge.__version__,
        "python": sys.version,
        "system": platform.platform(),
        "libc": " ".join(platform.libc_ver()),
        "opencv": [
            line.strip() for line in cv2.getBuildInformation().splitlines() if re.search(r"FFMPEG|GStr|v4l", line)
        ],
    }
    for file in ("/etc/os-release", "/etc/nv_tegra_release"):
        with contextlib.suppress(OSError):
            found[file] = Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
    packages = {}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for wanted in importlib.metadata.requires(_DISTRIBUTION) or ():
            name = re.split(r"[^A-Za-z0-9._-]", wanted)[0]
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                packages[name] = importlib.metadata.version(name)
    return found | {"packages": packages}


def _log(file: Path | None) -> str:
    """Its last lines."""
    if file is not None:
        try:
            with file.open("rb") as opened:
                opened.seek(max(0, file.stat().st_size - _LOG_BYTES))
                lines = opened.read().decode(errors="replace").splitlines()
        except OSError as error:
            raise EdgeError(f"{file}: cannot be read ({error.strerror}); name the daemon's log with --log") from error
        return "\n".join(lines[-_LOG_LINES:])
    command = ["journalctl", "--unit=edge", f"--lines={_LOG_LINES}", "--no-pager", "--output=short-iso-precise"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EdgeError(f"the journal cannot be read ({error}); name the daemon's log with --log") from error
    return done.stdout + done.stderr


def _asked(config: Config, verb: str) -> dict[str, Any]:
    topics = Topics(config.device.name, config.device.base_topic)
    answer = ask(broker.configured(config), topics, verb, {}, timeout_s=_ASK_S)
    if answer.status != "ok":
        raise EdgeError(str(answer.error))
    answer.data.pop("config_schema", None)
    return answer.data


def _retained(config: Config) -> dict[str, Any]:
    """What the broker keeps of the device's and its cameras' states."""
    said: dict[str, Any] = {}

    def note(received: Received) -> None:
        if received.address is not None and received.address.kind in ("bridge_state", "camera_state"):
            said[received.topic] = json.loads(received.payload)

    device = config.device
    watcher = Watcher(broker.configured(config), base=device.base_topic, device=device.name, on_message=note)
    watcher.start()
    try:
        time.sleep(_LISTEN_S)
    finally:
        watcher.stop()
    return said


def _served(config: Config, path: str) -> str:
    """What the daemon answers on this machine; where it asks for a key, only whoever has that may see it."""
    host = "127.0.0.1" if config.http.host in ("0.0.0.0", "::", "localhost") else config.http.host
    place = f"[{host}]" if ":" in host else host
    key = config.http.key()
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    try:
        with httpx.Client(trust_env=False, timeout=_HTTP_S) as client:
            answer = client.get(f"http://{place}:{config.http.port}/{path}", headers=headers)
    except httpx.HTTPError as error:
        raise EdgeError(
            f"nothing answers on port {config.http.port} ({type(error).__name__}); is it running?"
        ) from None
    return f"{answer.status_code}\n{answer.text}"


def _checked(config: Config, say: Callable[[str], None]) -> str:
    findings = run_checks(config, say)
    return "\n".join(f"{'ok' if f.passed else 'FAILED'}  {f.what}: {f.detail}" for f in findings)
