"""How long a daemon takes to stop, on a clock that only what is waited for moves."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from edge.config.sections import load_config
from edge.daemon.supervisor import Daemon
from edge.errors import EdgeError
from tests.brokers import quiet_port, unused_port, wait_until
from tests.edge.inference.conftest import model_folder  # noqa: F401 - a fixture

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(params=["edge-broker", "edge-spool"])
def daemon(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    model_folder: Callable[..., Path],  # noqa: F811
) -> Iterator[Daemon]:
    """One that runs: two cameras, inference, publishing, requests, and a broker of its own or a spool."""
    source = {"type": "replay", "path": str(REPOSITORY / "edge" / "demo" / "perspective"), "fps": 5.0}
    own = {"embedded": {"port": unused_port(), "websocket_port": unused_port()}}
    other = {"host": "127.0.0.1", "port": quiet_port(), "spool": {"folder": str(tmp_path / "spool")}}
    config = {
        "device": {"name": "test"},
        "cameras": [{"name": n, "source": source, "hfov_deg": 75.0, "tasks": ["depth"]} for n in ("hall", "attic")],
        "inference": {"engines": str(model_folder().parent)},
        "mqtt": own if request.param == "edge-broker" else other,
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    made = Daemon(load_config(path), path=path)
    made.start()
    assert wait_until(lambda: any(thread.name == request.param for thread in threading.enumerate()))
    assert wait_until(lambda: all(camera.pid is not None for camera in made.cameras))
    yield made
    made.stop()


def test_parts_that_hang_are_waited_for_together(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every thread and capture process uses up all the time that it is given: in all that is less than five seconds."""
    waited: list[tuple[str, float]] = []
    processes: set[subprocess.Popen[bytes]] = set()
    monotonic, join = time.monotonic, threading.Thread.join

    def hang(thread: threading.Thread, timeout: float | None = None) -> None:
        if timeout is None or not thread.name.startswith("edge-"):
            join(thread, timeout)
        else:
            waited.append((thread.name, timeout))

    def hang_as_a_process(process: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        assert timeout is not None
        waited.append(("process", timeout))
        processes.add(process)
        raise subprocess.TimeoutExpired(process.args, timeout)

    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + sum(seconds for _, seconds in waited))
    monkeypatch.setattr(threading.Thread, "join", hang)
    monkeypatch.setattr(subprocess.Popen, "wait", hang_as_a_process)
    daemon.stop()
    names = {name for name, _ in waited}
    monkeypatch.undo()
    assert names >= {"edge-inference", "edge-publish", "edge-requests", "process"}
    assert names & {"edge-broker", "edge-spool"}
    assert sum(seconds for _, seconds in waited) < 5.0, waited
    assert {process.wait(5) for process in processes} <= {0, -signal.SIGKILL}


def test_a_change_that_inference_will_not_carry_out_is_not_waited_for(daemon: Daemon) -> None:
    """The supervisor waits for what it asked of inference; when that has ended, it is told so at once."""
    daemon.request_stop()
    assert wait_until(lambda: not daemon._inference.runs)
    with pytest.raises(EdgeError, match="the daemon ends"):
        daemon.cameras.slow_down(2)
