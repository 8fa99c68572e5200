"""A newer model on a running daemon: installed from a shell, tried, switched, and taken back where it cannot serve."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.__main__ import app
from edge.commands.mosquitto import mosquitto_program
from edge.inference.manifest import read_manifest, write_manifest
from tests.brokers import wait_until
from tests.integration.conftest import REPOSITORY
from tests.integration.test_requests import Served, begin, ended, started

LIGHTING = REPOSITORY / "engines" / "lighting"


def newer(folder: Path, version: str) -> Path:
    """The shipped model of lighting under another version."""
    folder.mkdir(parents=True)
    manifest = read_manifest(LIGHTING)
    for file in (manifest.onnx, manifest.golden):
        assert file is not None
        (folder / file.file).write_bytes((LIGHTING / file.file).read_bytes())
    write_manifest(folder, manifest.model_copy(update={"version": version, "variants": {}, "weights": None}))
    return folder


def install(served: Served, what: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As a user does."""
    command = [sys.executable, "-m", "edge", "engines", "install", str(what), "--config", str(served.path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
def test_a_newer_model_is_tried_switched_and_taken_back_when_it_cannot_serve(tmp_path: Path) -> None:
    """Results go on throughout, every step is an event, and a request may not fetch from just anywhere."""
    if mosquitto_program() is None:
        pytest.skip("mosquitto is not installed; `make test` installs it where it may")
    package = tmp_path / "lighting.tar"
    packed = CliRunner().invoke(app, ["engines", "pack", str(newer(tmp_path / "new" / "lighting", "9")), str(package)])
    assert packed.exit_code == 0, packed.output
    digest = packed.stdout.split()[0]
    served = started(tmp_path, models={"folder": str(tmp_path / "models"), "shadow_s": 4})
    try:
        url = "https://models.example/lighting.tar"
        assert "models.sources" in served.refused("engine/install", url=url, sha256=digest)
        assert "was asked for" in install(served, package, "--digest", "0" * 64).stderr
        done = install(served, package, "--digest", digest)
        assert done.returncode == 0, done.stderr
        assert "the daemon tries it for 4 s" in done.stdout
        assert wait_until(lambda: served.events("model_trial_started"), 30)
        before = len(served.client.on("edge/test/hall/lighting"))
        assert wait_until(lambda: served.events("model_switched"), 60), [
            m.payload for m in served.client.on("edge/test/bridge/event")
        ]
        assert served.events("model_switched")[0]["data"]["differences"]["hall/lighting"] < 0.05
        health = served.done("health")["trial"]
        assert (health["engine"], health["stage"]) == ("lighting", "watch")
        assert wait_until(lambda: len(served.client.on("edge/test/hall/lighting")) > before + 3, 20)
        served.process.terminate()
        assert served.process.wait(10) == 0
        record = json.loads((tmp_path / "models/lighting.json").read_text())
        (tmp_path / "models" / record["serving"] / "lighting" / "model.onnx").write_bytes(b"damaged")
        begin(served)
        assert wait_until(lambda: served.events("model_rolled_back"), 20)
        assert json.loads((tmp_path / "models/lighting.json").read_text())["serving"] is None
    finally:
        ended(served)
