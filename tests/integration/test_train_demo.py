"""`make train-demo`, as a trainer runs it, and what comes of it, as the device sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from edge.inference.manifest import read_manifest
from tests.brokers import unused_port
from tests.integration.conftest import PANORAMA, REPOSITORY


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_train_demo_makes_an_engine_that_the_device_serves(tmp_path: Path) -> None:
    """Rendering, fitting, measuring and exporting lead to a folder that `edge check` proves by its golden output.

    The Makefile's own commands run, with this Python in place of the virtual environment that it would make.
    """
    venv, out = tmp_path / "venv", tmp_path / "demo"
    venv.mkdir()
    for stamp in (".python", ".device", ".dev"):
        (venv / stamp).touch()
    made = subprocess.run(
        ["make", "train-demo", f"VENV={venv}", f"BIN={Path(sys.executable).parent}", f"DEMO={out}"],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=880,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    assert "not a model" in made.stdout
    engine = out / "engines" / "layout"
    manifest = read_manifest(engine)
    assert manifest.task == "layout"
    assert (REPOSITORY / manifest.provenance.recipe).samefile(REPOSITORY / "training" / "recipes" / "demo.yaml")
    assert {m.name for m in manifest.provenance.metrics} == {
        m["name"] for m in json.loads((out / "metrics.json").read_text())["metrics"]
    }
    assert "no model to use" in (engine / "card.md").read_text()
    config = {
        "device": {"name": "test"},
        "cameras": [PANORAMA | {"tasks": ["layout"]}],
        "inference": {"engines": str(engine.parent)},
        "mqtt": {"embedded": {"port": unused_port(), "websocket_port": unused_port()}},
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    checked = subprocess.run(
        [sys.executable, "-m", "edge", "check", "--config", str(path)],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=60, env=os.environ | {"COLUMNS": "200"},
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "engine layout" in checked.stdout and "golden output reproduced" in checked.stdout
