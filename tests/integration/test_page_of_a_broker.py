"""One page of two devices on a real broker: both are there, their rooms become one home, and the broker keeps it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.mqtt.home_message import HomeMessage
from tests.brokers import Mosquitto, Subscriber, wait_until
from tests.edge.viewer.chromium import EXECUTABLE, browser
from tests.integration.conftest import PANORAMA, REPOSITORY, Starter

HALL = PANORAMA | {"name": "hall", "tasks": ["layout"]}
HALL |= {"openings": [{"kind": "door", "bearing_deg": [-12, 8], "height_m": 2.0}]}


@contextmanager
def page_of(port: int, homes: Path) -> Iterator[str]:
    """`edge view` of a broker: the page's address."""
    command = [sys.executable, "-m", "edge", "view", "--port", str(port), "--page-port", "0", "--homes", str(homes)]
    lines: list[str] = []
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        reader = threading.Thread(target=lines.extend, args=(process.stderr,), daemon=True)
        reader.start()
        try:
            assert wait_until(lambda: any("live page: " in line for line in lines), 30), lines
            yield next(line.split("live page: ")[1].strip() for line in lines if "live page: " in line)
        finally:
            process.terminate()
            process.wait(10)
            reader.join(5)


@pytest.mark.slow
@pytest.mark.skipif(EXECUTABLE is None, reason="needs Chromium (apt install chromium)")
def test_rooms_of_two_devices_become_a_home(
    tmp_path: Path, daemon: Starter, mosquitto: Callable[..., Mosquitto], subscribe: Callable[..., Subscriber]
) -> None:
    """Two tiles; the door that both rooms have joins them at the first guess; saved, it is retained; one ends."""
    broker = mosquitto()
    devices = {
        name: daemon(device={"name": name}, mqtt={"host": "127.0.0.1", "port": broker.port}, cameras=[HALL])
        for name in ("one", "two")
    }
    with page_of(broker.port, tmp_path / "homes.json") as address, browser(tmp_path / "profile") as shown:
        shown.open(address)
        shown.until("window.state?.glb && state.cameras.toSorted().join() === 'one/hall,two/hall'", 120)
        shown.press("All")
        shown.until("document.querySelectorAll('.tile .plan').length === 2", 60)
        lamp = "[...document.querySelectorAll('.tile b')].find((b) => b.textContent === '{}').dataset.state"
        for name in devices:
            shown.until(f"{lamp.format(f'{name}/hall')} === 'online'")
        facts = shown.value("document.getElementById('facts').innerText.toLowerCase()")
        assert "one" in facts.split()
        assert "two" in facts.split()

        shown.press("Home")
        for count, name in enumerate(devices, 1):
            shown.press(f"+ {name}/hall")
            shown.until(f"state.home.rooms === {count}")
        assert shown.value("[state.home.passages, state.home.overlaps]") == [1, 0]
        shown.until("document.getElementById('cards').innerText.split('door, ').length === 2")
        shown.value("(([name]) => { name.value = 'flat'; name.onchange({ target: name }); })"
                    "([document.querySelector('[aria-label=\"Name of this home\"]')])")  # fmt: skip
        shown.press("Save")
        shown.until("state.home.name === 'flat' && state.home.dirty === false")
        assert shown.problems == []
        subscribe(broker.port, topic="edge/home/#").wait("edge/home/flat")
        kept = subscribe(broker.port, topic="edge/home/#").wait("edge/home/flat")[0]  # by who comes later
        assert kept.retain
        home = HomeMessage.model_validate_json(kept.payload)
        assert [(room.device, room.camera) for room in home.rooms] == [("one", "hall"), ("two", "hall")]
        assert len(home.passages) == 1
        assert home.overlaps == ()

        assert devices["two"].terminate() == 0
        shown.press("All")
        shown.until(f"{lamp.format('two/hall')} === 'offline'")
        assert shown.value(lamp.format("one/hall")) == "online"
        assert shown.value("state.error") is None
