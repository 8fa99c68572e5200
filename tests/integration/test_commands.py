"""`edge check`, `watch`, `schema` and `bench`, run as a person runs them."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from edge.__main__ import app
from tests.brokers import Mosquitto, unused_port
from tests.integration.conftest import PERSPECTIVE, REPOSITORY, Starter


def edge(*arguments: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run the command in the repository."""
    call = [sys.executable, "-m", "edge", *arguments]
    return subprocess.run(call, capture_output=True, text=True, cwd=REPOSITORY, timeout=timeout_s, check=False)


def configuration(folder: Path, **change: Any) -> str:
    """A configuration file with one camera, the shipped engines and an embedded broker on free ports."""
    config: dict[str, Any] = {
        "device": {"name": "test"},
        "cameras": [PERSPECTIVE],
        "inference": {"engines": str(REPOSITORY / "engines")},
        "mqtt": {"embedded": {"port": unused_port(), "websocket_port": unused_port()}},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config | change))
    return str(path)


def test_check_finds_the_shipped_configuration_sound() -> None:
    """Engines reproduce their golden outputs, cameras deliver, a broker answers: exit 0."""
    done = edge("check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout
    for what in ("engine depth", "engine layout", "engine lighting", "camera panorama", "broker"):
        assert what in done.stdout


def test_check_says_what_to_do(tmp_path: Path) -> None:
    """A changed engine, an empty camera folder and a silent broker fail with remedies; the rest is still tried."""
    engines = tmp_path / "engines"
    shutil.copytree(REPOSITORY / "engines", engines)
    golden = engines / "lighting" / "golden.npz"
    golden.write_bytes(golden.read_bytes()[:-1])
    (tmp_path / "pictures").mkdir()
    empty = {**PERSPECTIVE, "source": {"type": "replay", "path": str(tmp_path / "pictures")}}
    config = configuration(
        tmp_path,
        cameras=[empty],
        inference={"engines": str(engines)},
        mqtt={"host": "127.0.0.1", "port": unused_port()},
    )
    done = edge("check", "--config", config)
    text = " ".join(done.stdout.replace("│", " ").split())
    assert done.returncode == 1
    assert text.count("FAILED") == 3
    assert "restore it" in text
    assert "start the broker" in text
    assert "golden output reproduced" in text


def test_watch_prints_one_json_message_a_line(daemon: Starter, mosquitto: Callable[..., Mosquitto]) -> None:
    """Every line is JSON with a topic; results carry their schema; Ctrl-C ends it well."""
    broker = mosquitto()
    daemon(cameras=[PERSPECTIVE], mqtt={"host": "127.0.0.1", "port": broker.port})
    missing = {"edge.depth/1", "edge.layout/1", "edge.lighting/1", "edge.info/1"}
    call = [sys.executable, "-m", "edge", "watch", "--port", str(broker.port), "--json"]
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as watching:
        assert watching.stdout is not None
        while missing and (line := watching.stdout.readline()):
            said = json.loads(line)
            assert said["topic"].startswith("edge/test/")
            missing.discard(said.get("payload", {}).get("schema"))
        watching.send_signal(signal.SIGINT)
        watching.stdout.read()
    assert (missing, watching.returncode) == (set(), 0)


def here(*arguments: str) -> Any:
    """Run the command in this process: where only its words and its exit code are looked at."""
    return CliRunner().invoke(app, list(arguments))


def test_watch_says_when_there_is_no_broker() -> None:
    """Nobody listening: the reason and the remedy on stderr, exit 1, nothing on stdout."""
    done = edge("watch", "--port", str(unused_port()), "--json", "--for", "1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "start the broker" in done.stderr


def test_schemas_are_printed_and_written(tmp_path: Path) -> None:
    """Each document is JSON; `--out` writes them all; an unknown name lists those there are."""
    assert json.loads(here("schema", "asyncapi").stdout)["asyncapi"] == "3.1.0"
    assert json.loads(here("schema", "depth").stdout)["$schema"].endswith("2020-12/schema")
    assert here("schema", "--out", str(tmp_path / "s")).exit_code == 0
    written = {path.name for path in (tmp_path / "s").iterdir()}
    assert {"asyncapi.json", "config.schema.json", "manifest.schema.json", "layout.schema.json"} <= written
    wrong = here("schema", "deepth")
    assert (wrong.exit_code, "layout" in wrong.stderr) == (2, True)


@pytest.mark.slow
def test_bench_measures_every_stage_and_task(tmp_path: Path) -> None:
    """The report has all stages with p50 <= p99, no share above the whole, and every task of the camera."""
    done = edge("bench", "--config", configuration(tmp_path), "--seconds", "4", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    stages = {s["stage"]: s for s in report["stages"]}
    assert list(stages) == ["preprocess", "inference", "postprocess", "encode and send"]
    assert all(0 < s["p50_ms"] <= s["p99_ms"] for s in stages.values())
    assert all(0 < s["share"] <= 1.1 for s in stages.values())  # a frame counts where it ends
    p50, p99, longest = report["latency_ms"]
    assert 0 < p50 <= p99 <= longest
    assert report["cpu_cores"] > 0
    assert report["memory_bytes"] > 2**20
    assert {t["task"] for t in report["tasks"]} == {"depth", "layout", "lighting"}
    assert report["ratio_to_bare"] > 0
    assert report["received_by_subscriber"] > 0


@pytest.mark.slow
def test_bench_with_more_cameras_than_are_configured(tmp_path: Path) -> None:
    """Copies of the replayed cameras, each served; what was passed over is told by its reason."""
    done = edge("bench", "--config", configuration(tmp_path), "--cameras", "3", "--seconds", "4", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["cameras"] == 3
    assert len({t["camera"] for t in report["tasks"]}) == 3
    assert report["pictures_per_inference"] >= 1


def test_bench_copies_recordings_only(tmp_path: Path) -> None:
    """A camera that is there once cannot be had twice."""
    live = {"name": "door", "source": {"type": "v4l2", "device": "/dev/video9"}, "hfov_deg": 70}
    done = here("bench", "--config", configuration(tmp_path, cameras=[live]), "--cameras", "2")
    assert done.exit_code == 1
    assert "replay" in done.stderr
