"""Every recipe's network, small: rows of a batch answer as they would alone, and TensorRT builds every precision."""

from __future__ import annotations

import importlib
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from tests.training.conftest import RECIPES, merged
from training.config.file import load_recipe, recipe_from_mapping
from training.config.recipe import Recipe
from training.export.graph import read_graph
from training.export.onnx import BATCH_NAME, finished, write_onnx
from training.export.precision.half import islands, to_half
from training.export.precision.quantize import calibrate, prepared, quantized
from training.export.proof.runners import manifest_of
from training.tasks.build import build_task

pytestmark = pytest.mark.slow
SMALL: dict[str, dict[str, Any]] = {
    "horizonnet": {"net": {"encoder": "resnet18", "hidden": 16}},
    "fcrn_nyu": {"net": {"encoder": "resnet18", "channels": [16, 12, 8, 8, 8]}},
    "fcrn_kitti": {"net": {"encoder": "resnet18", "channels": [16, 12, 8, 8, 8]}},
}


def _recipe(name: str) -> Recipe:
    """The recipe for pictures of 64 px height, its widest networks narrowed."""
    full = load_recipe(RECIPES / f"{name}.yaml").model_dump(mode="json")
    width = 64 if full["task"] in ("depth", "objects") else 128
    change = {"input": {"width_px": width, "height_px": 64}, "data": {"hold_out_hdri": []}}
    return recipe_from_mapping(merged(merged(full, change), SMALL.get(name, {})), "test")


@pytest.fixture(scope="module", params=sorted(path.stem for path in RECIPES.glob("*.yaml")))
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path]:
    """A recipe and its network's file."""
    recipe = _recipe(request.param)
    torch.manual_seed(0)
    net = build_task(recipe).inference_net
    path = tmp_path_factory.mktemp(recipe.name) / "model.onnx"
    write_onnx(net, path, recipe.input.shape, recipe.input.name, manifest_of(recipe).output_names)
    return recipe, path


def _inputs(recipe: Recipe, rows: int) -> np.ndarray:
    given = np.random.default_rng(0).random((rows, *recipe.input.shape[1:]), np.float32)
    if recipe.input.mask_channel:
        given[:, 3] = 1
        given[::2, :, :, : recipe.input.width_px // 3] = 0
    return given


def test_rows_answer_as_alone(exported: tuple[Recipe, Path]) -> None:
    """Batches of 1, 2, 6 and 8 give each row what a batch of its own gives it."""
    recipe, path = exported
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape[0] == BATCH_NAME
    given = _inputs(recipe, 8)
    alone = [session.run(None, {"image": row[None]}) for row in given]
    for rows in (1, 2, 6, 8):
        together = session.run(None, {"image": given[:rows]})
        for output, single in zip(together, zip(*alone, strict=True), strict=True):
            assert len(output) == rows
            for found, expected in zip(output, single, strict=False):
                np.testing.assert_allclose(found, expected[0], rtol=0, atol=1e-4 * max(np.abs(expected).max(), 1e-3))


def test_recurrent_layers_start_from_no_given_state(exported: tuple[Recipe, Path]) -> None:
    """States of zeros, which ONNX takes anyway, are not spelt out: with a free batch they would need shapes."""
    layers = [node for node in read_graph(exported[1]).graph.node if node.op_type in ("LSTM", "GRU")]
    assert all(not any(node.input[5:]) for node in layers)
    assert bool(layers) == (exported[0].task in ("layout", "joint"))


def _built(trt: Any, model: bytes) -> tuple[list[str], Any]:
    """The parser's complaints and the plan for batches of 1 to 8."""
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model):
        return [str(parser.get_error(i)) for i in range(parser.num_errors)], None
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    given = network.get_input(0)
    row = tuple(given.shape)[1:]
    profile.set_shape(given.name, (1, *row), (1, *row), (8, *row))
    config.add_optimization_profile(profile)
    return [], builder.build_serialized_network(network, config)


@pytest.mark.skipif(platform.machine() != "x86_64" or sys.platform != "linux", reason="TensorRT-RTX has no wheel here")
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_tensorrt_builds_it(exported: tuple[Recipe, Path], precision: str) -> None:
    """TensorRT-RTX, strongly typed, parses every recipe's network and builds it for batches of 1 to 8."""
    trt = importlib.import_module("tensorrt_rtx_bindings")
    recipe, path = exported
    model, inputs = read_graph(path), _inputs(recipe, 2)
    if precision == "fp16":
        model = to_half(model, islands(model, inputs))
    elif precision == "int8":
        model = quantized(calibrate(prepared(model), inputs, "minmax"))
    errors, plan = _built(trt, finished(model, {}))
    assert errors == []
    assert plan is not None
    assert plan.nbytes > 0
