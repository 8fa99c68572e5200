"""Every runtime on a real GPU against ONNX Runtime on the CPU, with the models that are shipped."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from edge.errors import EngineError
from edge.inference.base import Arrays, Backend
from edge.inference.manifest import Precision
from edge.inference.options import InferenceOptions
from edge.inference.ort import PROVIDER_NAMES, OrtBackend, OrtProvider
from edge.inference.proving import check_golden
from edge.inference.serving import load
from edge.inference.store import StoredModel
from edge.inference.trt.backend import TrtBackend
from edge.inference.trt.gpu import pycuda_driver
from edge.inference.trt.plans import Plan, PlanStore
from edge.inference.trt.platform import Platform
from tests.gpu.conftest import BUILD, ENGINES, need

pytestmark = pytest.mark.gpu

File = tuple[StoredModel, Precision]
_MIB = 2**20


def golden_input(model: StoredModel) -> np.ndarray[Any, Any]:
    """The recorded picture: noise is nothing a network was trained on, and its answers to it may be anywhere."""
    assert model.manifest.golden is not None
    with np.load(model.folder / model.manifest.golden.file) as arrays:
        return np.asarray(arrays[f"input:{model.manifest.input.name}"])[:1]


def several(model: StoredModel, rows: int) -> np.ndarray[Any, Any]:
    """A batch of different pictures: the recorded one, ever darker."""
    return np.concatenate([golden_input(model) * np.float32(1 - 0.1 * i) for i in range(rows)])


def agrees(model: StoredModel, precision: Precision, got: Arrays, wanted: Arrays) -> None:
    """Within what the manifest allows that precision to be off on any machine."""
    for name, tolerance in model.manifest.tolerance_of(precision).items():
        assert got[name].shape == wanted[name].shape
        assert float(np.max(np.abs(got[name] - wanted[name]))) <= 2 * tolerance, name


def on_cpu(model: StoredModel, batch: np.ndarray[Any, Any]) -> Arrays:
    """What the float32 file gives in ONNX Runtime on the CPU."""
    with OrtBackend(model.onnx, model.manifest) as backend:
        return backend.run(batch)


def proved(model: StoredModel, backend: Backend) -> None:
    """The golden output is reproduced, and a batch agrees with the CPU."""
    result = check_golden(model, backend)
    assert result is not None
    assert result.passed, result
    agrees(model, backend.precision, backend.run(several(model, 3)), on_cpu(model, several(model, 3)))


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_onnx_runtime_on_the_gpu_agrees_with_the_cpu(file: File, provider: OrtProvider, tmp_path: Path) -> None:
    """CUDA's and TensorRT's providers execute the operators that cost, and give the CPU's answers."""
    need(provider)
    model, precision = file
    path = model.folder / model.manifest.file_of(precision).file
    with OrtBackend(
        path, model.manifest, provider=provider, precision=precision, build=BUILD, cache=tmp_path / "cache"
    ) as backend:
        assert backend.provider == PROVIDER_NAMES[provider]
        assert backend.degraded is None
        proved(model, backend)


@pytest.mark.parametrize("graph", [False, True])
def test_plans_agree_with_the_cpu(file: File, plan: Plan, graph: bool) -> None:
    """TensorRT gives the CPU's answers, with CUDA graphs and without."""
    model, precision = file
    with TrtBackend(plan.data, model.manifest, precision=precision, cuda_graph=graph) as backend:
        proved(model, backend)


def test_graphs_repeat_what_was_captured(file: File, plan: Plan, caplog: pytest.LogCaptureFixture) -> None:
    """For every batch size, and for batches beyond the profile, replays give what the eager run gave."""
    pytest.importorskip("cuda.bindings.driver")
    model, precision = file
    with (
        TrtBackend(plan.data, model.manifest, precision=precision) as graphs,
        TrtBackend(plan.data, model.manifest, precision=precision, cuda_graph=False) as eager,
    ):
        for rows in (1, 2, graphs.max_batch, 1, graphs.max_batch + 1, 2):
            batch = several(model, rows)
            for _ in range(3):
                got, wanted = graphs.run(batch), eager.run(batch)
                for name, array in wanted.items():
                    np.testing.assert_allclose(got[name], array, atol=1e-3 * float(np.abs(array).max()))
    assert "no CUDA graphs" not in caplog.text


def test_page_locked_input_gives_the_same(file: File, plan: Plan) -> None:
    """Read where it lies, by copy or mapped, from its beginning and from its middle."""
    model, precision = file
    with TrtBackend(plan.data, model.manifest, precision=precision) as backend:
        rows = min(3, backend.max_batch)
        memory = backend.allocate(rows + 1)
        for first in (0, 1, 0):
            memory[first : first + rows] = several(model, rows)
            got = {name: array.copy() for name, array in backend.run(memory[first : first + rows]).items()}
            for name, array in backend.run(several(model, rows)).items():
                np.testing.assert_allclose(got[name], array, atol=1e-3 * float(np.abs(array).max()))


@pytest.mark.slow
def test_memory_does_not_grow(file: File, plan: Plan) -> None:
    """Over 1,000 runs of changing batch sizes neither the process nor the GPU's memory grows."""
    model, precision = file
    driver, process = pycuda_driver(), psutil.Process()
    with TrtBackend(plan.data, model.manifest, precision=precision) as backend:
        batches = [several(model, rows) for rows in range(1, backend.max_batch + 1)]
        for i in range(100):
            backend.run(batches[i % len(batches)])
        with backend._gpu.active():
            free_bytes = driver.mem_get_info()[0]
        resident_bytes = process.memory_info().rss
        for i in range(1000):
            backend.run(batches[i % len(batches)])
        with backend._gpu.active():
            assert free_bytes - driver.mem_get_info()[0] < 4 * _MIB
        assert process.memory_info().rss - resident_bytes < 8 * _MIB


def test_closing_gives_the_memory_back(file: File, plan: Plan) -> None:
    """Loading and closing ten times leaves no more than the first time did."""
    model, precision = file
    driver, taken = pycuda_driver(), []
    with TrtBackend(plan.data, model.manifest, precision=precision) as holder:
        for _ in range(10):
            with TrtBackend(plan.data, model.manifest, precision=precision) as backend:
                backend.run(golden_input(model))
            with holder._gpu.active():
                taken.append(driver.mem_get_info()[0])
    assert taken[1] - taken[-1] < 4 * _MIB


def test_any_thread_may_own_a_model(file: File, plan: Plan) -> None:
    """The one that loads it; others are refused, and the owner goes on."""
    model, precision = file
    wanted, found = on_cpu(model, golden_input(model)), dict[str, Any]()
    loaded, done = threading.Event(), threading.Event()

    def own() -> None:
        with TrtBackend(plan.data, model.manifest, precision=precision) as backend:
            found["backend"] = backend
            loaded.set()
            done.wait(60)
            found["got"] = {name: array.copy() for name, array in backend.run(golden_input(model)).items()}

    thread = threading.Thread(target=own)
    thread.start()
    assert loaded.wait(60)
    try:
        with pytest.raises(EngineError, match="another thread"):
            found["backend"].run(golden_input(model))
    finally:
        done.set()
        thread.join()
    agrees(model, precision, found["got"], wanted)


@pytest.mark.parametrize("name", ENGINES.names())
def test_the_best_there_is_serves(name: str, here: Platform, plans: PlanStore) -> None:
    """Left to choose, TensorRT: built, proved by the golden output, nothing degraded."""
    model = ENGINES.find(name)
    with load(model, InferenceOptions(build=BUILD), plans=plans) as served:
        assert served.provider == here.title
        assert served.degraded is None
        assert served.plan is not None
        assert served.plan.record.state == "accepted"
        proved(model, served)
