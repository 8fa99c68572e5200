"""ONNX Runtime: batches, and never another provider than asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from edge.errors import EngineError
from edge.inference.manifest import read_manifest
from edge.inference.options import BuildOptions
from edge.inference.ort import OrtBackend, own_folder, placement, unavailable
from tests.edge.inference.conftest import SIZE

Maker = Callable[..., Path]


@pytest.mark.parametrize("batch", [1, "batch"])
def test_batches_of_any_size_run_in_pieces(model_folder: Maker, batch: int | str) -> None:
    """Each picture's answer is its own, for one and for more than are inferred together: one, on a CPU."""
    folder = model_folder(batch=batch)
    with OrtBackend(folder / "model.onnx", read_manifest(folder), build=BuildOptions(max_batch=3)) as backend:
        assert backend.max_batch == 1
        for rows in (1, 3, 7):
            pictures = backend.allocate(rows)
            assert pictures.shape == (rows, 3, SIZE[1], SIZE[0])
            pictures[:] = np.random.default_rng(rows).random(pictures.shape, dtype=np.float32)
            got = backend.run(pictures)["depth"]
            assert got == pytest.approx(2 * pictures.mean(axis=1, keepdims=True), abs=1e-6)


def test_answers_are_the_callers_to_keep(model_folder: Maker) -> None:
    """No later run changes one."""
    folder = model_folder(batch="batch")
    with OrtBackend(folder / "model.onnx", read_manifest(folder)) as backend:
        first = backend.run(np.ones((1, 3, SIZE[1], SIZE[0]), np.float32))["depth"]
        for _ in range(4):
            backend.run(np.zeros((1, 3, SIZE[1], SIZE[0]), np.float32))
        assert (first == 2).all()


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_provider_that_is_not_built_in_is_an_error(model_folder: Maker, provider: str) -> None:
    """ONNX Runtime would go on without it, on the CPU; the message says what this build has and what to install."""
    if unavailable(provider) is None:  # type: ignore[arg-type]
        pytest.skip("this ONNX Runtime has it")
    folder = model_folder()
    with pytest.raises(EngineError, match=r"CPUExecutionProvider.*install onnxruntime-gpu"):
        OrtBackend(folder / "model.onnx", read_manifest(folder), provider=provider)  # type: ignore[arg-type]


def test_the_cpu_is_always_there() -> None:
    """It is what all else falls back to."""
    assert unavailable("cpu") is None


def test_placement_says_where_operators_ran(model_folder: Maker, tmp_path: Path) -> None:
    """From ONNX Runtime's own profile of a run: all of a model's operators, under the provider that ran them."""
    folder = model_folder()
    options = onnxruntime.SessionOptions()
    options.enable_profiling, options.profile_file_prefix = True, str(tmp_path / "run")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    session.run(None, {"image": np.zeros((1, 3, SIZE[1], SIZE[0]), np.float32)})
    assert placement(Path(session.end_profiling())) == {"CPUExecutionProvider": {"ReduceMean", "Mul"}}


def test_a_cache_others_may_write_is_refused(tmp_path: Path) -> None:
    """What TensorRT's provider keeps is executed unseen: the folder is ours alone, and no link."""
    made = own_folder(tmp_path / "plans" / "onnxruntime")
    assert made.stat().st_mode & 0o777 == 0o700
    (tmp_path / "link").symlink_to(made)
    with pytest.raises(EngineError, match="remove it"):
        own_folder(tmp_path / "link")
    made.chmod(0o770)
    with pytest.raises(EngineError, match="remove it"):
        own_folder(made)
    if os.geteuid() == 0:
        made.chmod(0o700)
        os.chown(made, 12345, -1)
        with pytest.raises(EngineError, match="remove it"):
            own_folder(made)
