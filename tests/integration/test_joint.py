"""One engine for all nouns: exported by the trainer, served by the daemon with one inference a frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from edge.config.sections import load_config
from edge.daemon.supervisor import Daemon
from edge.inference.options import InferenceOptions
from edge.inference.proving import check_golden
from edge.inference.serving import load
from edge.inference.store import ModelStore
from edge.pipeline.pipeline import Result
from edge.scene import TASKS, CameraModel
from tests.integration.conftest import PANORAMA, PERSPECTIVE, Served
from training.config.file import load_recipe, recipe_from_mapping
from training.export.engine import write_engine
from training.export.proof.views import View
from training.provenance import Origin
from training.tasks.build import build_task

pytestmark = pytest.mark.slow
RECIPE = Path(__file__).parents[2] / "training" / "recipes" / "scene_edge.yaml"
TASK_KEYS = {task: {"engine": "joint", "every_frames": 1} for task in TASKS}


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one small joint engine. It is not trained: what it says is noise, how it is served is real."""
    torch.manual_seed(0)
    data = load_recipe(RECIPE).model_dump(mode="json")
    data["input"] |= {"width_px": 128, "height_px": 64}
    data["net"]["layout"] |= {"hidden": 16, "layers": 1}
    recipe = recipe_from_mapping(data, "test")
    noise = np.random.default_rng(0).integers(0, 256, (64, 128, 3), np.uint8)
    pictures = [View(noise, CameraModel("equirectangular", camera_height_m=1.5))]
    root = tmp_path_factory.mktemp("engines")
    write_engine(build_task(recipe).eval(), root / "joint", pictures, origin=Origin("abc1234", ("- Not trained.",)))
    return root


def test_the_exported_engine_says_three_kinds(engines: Path) -> None:
    """Its manifest gives each noun its kind, its card names them, and its golden pair proves all of its outputs."""
    stored = ModelStore(engines).find("joint")
    assert {task: part.kind for task, part in stored.manifest.parts.items()} == {
        "depth": "depth_metres",
        "layout": "boundary_corners",
        "lighting": "sh2_prescaled_irradiance",
    }
    with load(stored, InferenceOptions(threads=1)) as backend:
        golden = check_golden(stored, backend)
    assert golden is not None
    assert golden.passed
    columns = {"boundary", "corners", "openings", "extended", "spread"}
    assert set(golden.difference) == {"depth", "depth_spread", "coefficients"} | columns
    card = (engines / "joint" / "card.md").read_text(encoding="utf-8")
    assert all(f"`{part.kind}`" in card for part in stored.manifest.parts.values())


def test_the_daemon_publishes_all_nouns(engines: Path, serve: Callable[..., Served]) -> None:
    """Panorama and perspective camera, three nouns each, all valid and all of the same model."""
    served = serve(
        5,
        cameras=[PANORAMA, PERSPECTIVE],
        tasks=TASK_KEYS,
        inference={"engines": str(engines), "threads": 1},
    )
    lines = served.run.lines
    assert sum("loading" in line and "engine 'joint'" in line for line in lines) == 1, lines
    for camera in ("panorama", "perspective"):
        for task in TASKS:
            assert served.last(f"{camera}/{task}")["model"]["name"] == "scene_edge"
    info = served.last("bridge/info")
    assert [(e["task"], e["name"]) for e in info["engines"]] == [(task, "scene_edge") for task in TASKS]


def test_three_nouns_cost_one_inference(engines: Path, tmp_path: Path) -> None:
    """The daemon's own pipeline on a real camera: each frame has three results, and one of them the inference."""
    path = tmp_path / "config.yaml"
    path.write_text(
        yaml.safe_dump(
            {"cameras": [PANORAMA], "tasks": TASK_KEYS, "inference": {"engines": str(engines), "threads": 1}}
        )
    )
    results: list[Result] = []
    daemon = Daemon(load_config(path), on_result=results.append)
    try:
        daemon.start()
        daemon.supervise(3.0)
    finally:
        daemon.stop()
    frames = {r.frame.sequence for r in results}
    assert len(frames) >= 3
    assert sorted((r.frame.sequence, r.task) for r in results) == sorted((f, t) for f in frames for t in TASKS)
    assert sum("inference" in r.stage_s for r in results) == len(frames)
