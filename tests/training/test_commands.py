"""The `edge-train` command: fit, evaluate and export, run as a trainer runs them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from edge.errors import DataError
from edge.inference.manifest import read_manifest
from tests.training.conftest import ALONE, CPU
from training.commands.export import export, must_not_be_worse
from training.config.recipe import Recipe
from training.evaluate import Places, evaluate, opened
from training.export.proof.runners import open_model


def _run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "training", *map(str, arguments)]
    return subprocess.run(call, capture_output=True, text=True, timeout=110, cwd=Path(__file__).parents[2])


@pytest.mark.slow
def test_fit_evaluate_export_make_a_model_folder(
    tmp_path: Path, box_rooms: Path, small_recipe: Callable[..., Recipe]
) -> None:
    """The header commands of a recipe lead to a folder with manifest, card, golden pair and the measured numbers."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(small_recipe("layout").model_dump(mode="json", exclude_none=True)))
    run, engine, numbers = tmp_path / "run", tmp_path / "engine", tmp_path / "metrics.json"
    done = _run(
        "fit", recipe, "--out", run, "--rooms", box_rooms, "--accelerator", "cpu", "--no-progress", "--workers", "0"
    )
    assert done.returncode == 0, done.stderr
    final = run / "final.ckpt"
    done = _run("evaluate", final, "--rooms", box_rooms, "--json", numbers)
    assert done.returncode == 0, done.stderr
    rows = {m["name"]: m for m in json.loads(numbers.read_text())["metrics"]}
    assert rows.keys() >= {"3D IoU", "2D IoU", "pixel error", "2D IoU of the visible part"}
    assert all(0 < rows[name]["baseline"] < 1 for name in rows if "IoU" in name)
    done = _run("export", final, "--out", engine, "--rooms", box_rooms, "--metrics", numbers)
    assert done.returncode == 0, done.stderr
    manifest = read_manifest(engine)
    assert manifest.provenance.metrics
    again = evaluate(opened(engine, threads=1), Places(rooms=box_rooms)).rows
    for a, b in zip(manifest.provenance.metrics, again, strict=True):
        assert a.value == pytest.approx(b.value, abs=2e-3)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_worse_model_does_not_take_the_place_of_a_better_one(
    tmp_path: Path, box_rooms: Path, small_recipe: Callable[..., Recipe]
) -> None:
    """A network of one step and the shipped one: only if that is said; then it does, and so does its equal."""
    from training.fit import fit

    recipe = small_recipe("layout", data={"rooms": str(box_rooms)}, optim={"steps": 1, "validate_every": 1})
    final = fit(recipe, tmp_path / "run", hardware=CPU, loading=ALONE, show_progress=False)
    engine = tmp_path / "layout"
    shutil.copytree(Path(__file__).parents[2] / "engines" / "layout", engine)
    before = (engine / "manifest.json").read_bytes()
    with pytest.raises(DataError, match=r"worse than the model that is there, 2D IoU .* add --even-if-worse"):
        export(final, engine, rooms=box_rooms, precisions="fp32")
    assert (engine / "manifest.json").read_bytes() == before
    export(final, engine, rooms=box_rooms, precisions="fp32", even_if_worse=True)
    assert (engine / "manifest.json").read_bytes() != before
    must_not_be_worse(final, engine, recipe)


def test_errors_are_one_message_and_exit_1(tmp_path: Path) -> None:
    """A recipe that is not there: no traceback, the remedy, exit code 1."""
    done = _run("fit", tmp_path / "none.yaml", "--out", tmp_path)
    assert done.returncode == 1
    assert "training/recipes" in done.stderr.replace("\n", "")
    assert "Traceback" not in done.stderr


def test_depth_and_lighting_are_measured_beside_baselines(
    tmp_path: Path, box_rooms: Path, small_recipe: Callable[..., Recipe]
) -> None:
    """Every row names its data and baseline; a folder without a manifest is refused by name."""
    from training.fit import fit

    rng = np.random.default_rng(0)
    for name in ("indoor__a", "indoor__b"):
        cv2.imwrite(str(tmp_path / f"{name}.hdr"), rng.uniform(0.1, 1, (32, 64, 3)).astype(np.float32))
    for task, expected in (("depth", "metric absrel"), ("lighting", "direction error")):
        data = {"rooms": str(box_rooms), "hdri": str(tmp_path), "hold_out_hdri": ["b"]}
        recipe = small_recipe(task, data=data, optim={"steps": 1, "validate_every": 1})
        final = fit(recipe, tmp_path / task, hardware=CPU, loading=ALONE, show_progress=False)
        places = Places(rooms=box_rooms, hdri=tmp_path, hold_out_hdri=("b",))
        rows = evaluate(opened(final, threads=1), places).rows
        assert expected in {r.name for r in rows}
        assert all(r.baseline is not None and np.isfinite(r.value) for r in rows)
    with pytest.raises(Exception, match=r"manifest\.json"):
        open_model(tmp_path)
