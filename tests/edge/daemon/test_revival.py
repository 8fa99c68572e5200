"""Threads that die in a real daemon: started again within the budget, then the daemon ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge.config.sections import load_config
from edge.daemon.revival import MOST, WITHIN_S, Revival
from edge.daemon.supervisor import Daemon
from edge.errors import EdgeError
from tests.brokers import Mosquitto, unused_port, wait_until
from tests.edge.inference.conftest import model_folder  # noqa: F401 - a fixture

REPOSITORY = Path(__file__).resolve().parents[3]


def test_three_deaths_in_ten_minutes_are_forgiven() -> None:
    """The fourth is not; ten minutes later it would have been. What died is in `degraded` meanwhile."""
    now_s = 0.0
    revival = Revival(lambda: now_s)
    assert revival.degraded() == ()
    for _ in range(MOST):
        assert "was started again" in revival.allow("inference", "why")
        now_s += 1.0
    assert "3 of 3" in revival.degraded()[0]
    with pytest.raises(EdgeError, match="the daemon ends"):
        revival.allow("publishing", "why")
    now_s = WITHIN_S
    assert "publishing died" in revival.allow("publishing", "why")
    now_s += WITHIN_S
    assert revival.degraded() == ()


class Run:
    """A daemon with a tiny model, supervised on a thread."""

    def __init__(self, config: Path) -> None:
        self.results: list[Any] = []
        self.ended: BaseException | None = None
        self.daemon = Daemon(load_config(config), path=config, on_result=self.results.append)
        self.daemon.start()
        self.thread = threading.Thread(target=self._supervise)
        self.thread.start()

    def _supervise(self) -> None:
        try:
            self.daemon.supervise()
        except EdgeError as error:
            self.ended = error

    def goes_on(self) -> bool:
        """Whether more results come and are published."""
        before, published = len(self.results), self.daemon.publisher.statistics().published_bytes
        return wait_until(
            lambda: len(self.results) > before + 2 and self.daemon.publisher.statistics().published_bytes > published,
            10,
        )

    def stop(self) -> None:
        """End it."""
        self.daemon.request_stop()
        self.thread.join(5)
        self.daemon.stop()


@pytest.fixture
def run(
    tmp_path: Path,
    mosquitto: Callable[..., Mosquitto],
    model_folder: Callable[..., Path],  # noqa: F811
) -> Iterator[Run]:
    """One that has published."""
    source = {"type": "replay", "path": str(REPOSITORY / "edge" / "demo" / "perspective"), "fps": 20.0}
    camera = {"name": "hall", "source": source, "hfov_deg": 75.0, "tasks": ["depth"]}
    config = {
        "device": {"name": "test"},
        "cameras": [camera],
        "tasks": {"depth": {"every_s": 0.05}},
        "inference": {"engines": str(model_folder().parent)},
        "mqtt": {"host": "127.0.0.1", "port": mosquitto(port=unused_port()).port},
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    found = Run(path)
    assert found.goes_on()
    yield found
    found.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_dies_is_started_again_until_it_is_too_often(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inference, publishing, and the answering of requests: results go on after each; then the supervisor gives up."""
    daemon, publisher = run.daemon, run.daemon.publisher
    deaths = []

    def die_once(target: Any, name: str, wake: Callable[[], None] = lambda: None) -> None:
        real = getattr(target, name)

        def die(*arguments: Any) -> Any:
            monkeypatch.setattr(target, name, real)
            deaths.append(name)
            raise SystemExit(name)

        monkeypatch.setattr(target, name, die)
        wake()
        assert wait_until(lambda: deaths[-1:] == [name], 5)

    die_once(daemon.pipeline, "step")
    assert run.goes_on()
    assert "inference died and was started again" in daemon.health(window=False).degraded[0]
    die_once(publisher, "_send_next")
    assert run.goes_on()
    assert publisher.statistics().reconnects == 1
    die_once(publisher._requests, "_tell_late", wake=lambda: publisher._requests._inbox.put(None))
    assert run.goes_on()
    assert wait_until(lambda: publisher.alive, 5)
    assert run.ended is None
    die_once(daemon.pipeline, "step")
    assert wait_until(lambda: run.ended is not None, 5)
    assert "inference died" in str(run.ended)
    assert "the daemon ends" in str(run.ended)
