"""The TensorRT backend, on a GPU acted in memory: addresses, copies, streams, graphs and threads are its own work."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from edge.errors import EngineError, ManifestError, PlanError
from edge.inference.manifest import Manifest, read_manifest
from edge.inference.trt.backend import TrtBackend
from edge.inference.trt.gpu import has_nvidia_gpu
from tests.edge.inference.conftest import SIZE
from tests.edge.inference.trt.hardware import Card, cuda_bindings_of, plan_of, pycuda_of, tensorrt_of

Insert = Callable[[Card], Card]


@pytest.fixture
def insert(monkeypatch: pytest.MonkeyPatch) -> Insert:
    """Put a card with its drivers into this process."""

    def put(card: Card) -> Card:
        package, driver = pycuda_of(card)
        bindings: Any = ModuleType("cuda.bindings")
        bindings.driver = cuda_bindings_of(card)
        modules = {"pycuda": package, "pycuda.driver": driver, "tensorrt": tensorrt_of(card), "cuda.bindings": bindings}
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, name, module)
        return card

    return put


@pytest.fixture
def manifest(model_folder: Callable[..., Path]) -> Manifest:
    """Of the model that the plans are of."""
    return read_manifest(model_folder())


def pictures(rows: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """A batch of noise."""
    return np.random.default_rng(seed).random((rows, 3, SIZE[1], SIZE[0]), dtype=np.float32)


def answer(batch: np.ndarray[Any, Any]) -> Any:
    """What the model of the plans gives."""
    return pytest.approx(2 * batch.mean(axis=1, keepdims=True), abs=1e-6)


@pytest.mark.parametrize("integrated", [False, True])
@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("dynamic", [False, True])
def test_every_row_is_answered_as_if_alone(
    insert: Insert, manifest: Manifest, integrated: bool, graph: bool, dynamic: bool
) -> None:
    """For batches within the profile and beyond it, in any order and again: the network's answer to each row."""
    card = insert(Card(integrated=integrated))
    with TrtBackend(plan_of(dynamic=dynamic), manifest, cuda_graph=graph) as backend:
        assert backend.max_batch == (4 if dynamic else 1)
        assert backend.provider == "TensorRT 10.3.0"
        for seed, rows in enumerate((1, 3, 1, 4, 9, 3, 1, 2)):
            batch = pictures(rows, seed)
            assert backend.run(batch)["depth"] == answer(batch)
    assert (card.replays > 0) == graph


@pytest.mark.parametrize("integrated", [False, True])
def test_page_locked_input_is_read_where_it_lies(insert: Insert, manifest: Manifest, integrated: bool) -> None:
    """From `allocate`d memory the host copies nothing; an integrated GPU copies nothing at all."""
    card = insert(Card(integrated=integrated))
    with TrtBackend(plan_of(), manifest) as backend:
        memory = backend.allocate(4)
        for seed in range(6):
            memory[:3] = pictures(3, seed)
            card.copied_bytes = 0
            staging = backend._staging.copy()
            assert backend.run(memory[:3])["depth"] == answer(pictures(3, seed))
            assert np.array_equal(staging, backend._staging)
        read, written = memory[:3].nbytes, 3 * SIZE[0] * SIZE[1] * 4
        assert card.copied_bytes == (0 if integrated else read + written)


@pytest.mark.parametrize("integrated", [False, True])
def test_any_array_will_do(insert: Insert, manifest: Manifest, integrated: bool) -> None:
    """Slices in the middle of allocated memory, unaligned ones, reversed and foreign ones give the same answers."""
    insert(Card(integrated=integrated))
    with TrtBackend(plan_of(shape=(3, 5, 7)), manifest.model_copy(update={"input": small(manifest)})) as backend:
        memory = backend.allocate(4)
        memory[:] = np.random.default_rng(3).random((4, 3, 5, 7), dtype=np.float32)
        for batch in (memory[1:3], memory[3:], memory[::2], memory[::-1], np.array(memory)):
            assert backend.run(batch)["depth"] == answer(np.array(batch))


@pytest.mark.parametrize("integrated", [False, True])
def test_input_may_come_from_several_places(insert: Insert, manifest: Manifest, integrated: bool) -> None:
    """Two page-locked buffers in turn, from their beginning and from their middle, and one that is not."""
    insert(Card(integrated=integrated))
    with TrtBackend(plan_of(), manifest) as backend:
        buffers = (backend.allocate(4), backend.allocate(4), np.zeros((4, 3, SIZE[1], SIZE[0]), np.float32))
        for seed in range(18):
            given = buffers[seed % 3][seed % 2 :][:2]
            given[:] = pictures(2, seed)
            assert backend.run(given)["depth"] == answer(pictures(2, seed))


def small(manifest: Manifest) -> Any:
    """An input of 7x5, whose rows are not aligned."""
    return manifest.input.model_copy(update={"width_px": 7, "height_px": 5})


@pytest.mark.parametrize("integrated", [False, True])
@pytest.mark.parametrize("graph", [False, True])
def test_answers_live_until_the_second_run_after(
    insert: Insert, manifest: Manifest, integrated: bool, graph: bool
) -> None:
    """One more run leaves an answer as it was; that is what lets the next frame be inferred while one is read."""
    insert(Card(integrated=integrated))
    with TrtBackend(plan_of(), manifest, cuda_graph=graph) as backend:
        before = backend.run(pictures(2, 0))["depth"]
        for seed in range(1, 6):
            kept = before.copy()
            now = backend.run(pictures(2, seed))["depth"]
            assert np.array_equal(before, kept)
            before = now


def test_nothing_is_allocated_per_frame(insert: Insert, manifest: Manifest) -> None:
    """Once every batch size was seen, runs ask the GPU's driver for no memory."""
    card = insert(Card())
    with TrtBackend(plan_of(), manifest) as backend:
        for rows in (1, 2, 3, 4):
            backend.run(pictures(rows))
        card.allocations = 0
        for i in range(40):
            backend.run(pictures(1 + i % 4, i))
        assert card.allocations == 0


def test_closing_frees_the_gpu(insert: Insert, manifest: Manifest) -> None:
    """No device memory is left, also when loading fails half-way; closing twice is harmless."""
    card = insert(Card())
    backend = TrtBackend(plan_of(), manifest)
    backend.run(pictures(2))
    backend.close()
    backend.close()
    assert card.memory == {}
    with pytest.raises(ManifestError):
        TrtBackend(plan_of(outputs=("disparity",)), manifest)
    assert card.memory == {}


def test_a_graph_that_writes_nothing_is_not_used(
    insert: Insert, manifest: Manifest, caplog: pytest.LogCaptureFixture
) -> None:
    """Its first replay leaves what the eager run wrote, which looks right; the answers stay right without it."""
    card = insert(Card())
    card.replay = lambda work: None
    with TrtBackend(plan_of(), manifest) as backend:
        for seed in range(4):
            assert backend.run(pictures(2, seed))["depth"] == answer(pictures(2, seed))
    assert card.replays == 1
    assert "no CUDA graphs: the first replay differs" in caplog.text


def test_a_graph_that_computes_something_else_is_not_used(
    insert: Insert, manifest: Manifest, caplog: pytest.LogCaptureFixture
) -> None:
    """A replay that is off by a hundredth is refused, and the answer given is that of the eager run."""
    card = insert(Card())

    def replay(work: list[Callable[[], None]]) -> None:
        for do in work:
            do()
        for memory in card.memory.values():
            memory.view(np.float32)[:] *= 1.01

    card.replay = replay
    with TrtBackend(plan_of(), manifest) as backend:
        assert backend.run(pictures(1))["depth"] == answer(pictures(1))
        assert backend.run(pictures(1, 1))["depth"] == answer(pictures(1, 1))
    assert card.replays == 1
    assert "differs" in caplog.text


def test_a_graph_that_fails_later_is_an_error(insert: Insert, manifest: Manifest) -> None:
    """CUDA's refusal to replay is told, not answered with old numbers."""
    insert(Card())
    with TrtBackend(plan_of(), manifest) as backend:
        backend.run(pictures(1))
        sys.modules["cuda.bindings"].driver.cuGraphLaunch = lambda graph, stream: (700,)
        with pytest.raises(EngineError, match="700"):
            backend.run(pictures(1))


def test_without_cuda_bindings_it_runs_without_graphs(
    insert: Insert, manifest: Manifest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """They are an extra: the log says that they are not there."""
    card = insert(Card())
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with caplog.at_level("INFO"), TrtBackend(plan_of(), manifest) as backend:
        assert backend.run(pictures(1))["depth"] == answer(pictures(1))
    assert card.replays == 0
    assert "cuda-bindings is not installed" in caplog.text


@pytest.mark.parametrize(
    ("plan", "word"),
    [
        (plan_of(input_name="picture"), "input.name"),
        (plan_of(shape=(3, 24, 64)), "width_px"),
        (plan_of(outputs=("disparity",)), "disparity"),
        (plan_of(type_="HALF"), "float32"),
    ],
)
def test_a_plan_of_another_model_is_refused(insert: Insert, manifest: Manifest, plan: bytes, word: str) -> None:
    """Names, sizes and types must be the manifest's."""
    insert(Card())
    with pytest.raises(ManifestError, match=word):
        TrtBackend(plan, manifest)


def test_outputs_that_nobody_reads_are_given_memory(insert: Insert, manifest: Manifest) -> None:
    """TensorRT must be told where to write all outputs; only the manifest's are returned."""
    insert(Card())
    with TrtBackend(plan_of(outputs=("confidence", "depth")), manifest) as backend:
        assert set(backend.run(pictures(1))) == {"depth"}


def test_a_plan_that_tensorrt_refuses_says_why(insert: Insert, manifest: Manifest) -> None:
    """TensorRT returns nothing and logs; the log is in the message, and so is what to do."""
    insert(Card())
    with pytest.raises(PlanError, match=r"magic tag does not match.*edge engines build depth") as caught:
        TrtBackend(b"not a plan", manifest)
    assert caught.value.reason == "refused"


def test_a_gpu_that_has_no_room_is_not_the_plans_fault(insert: Insert, manifest: Manifest) -> None:
    """TensorRT returns nothing here too; what it logs tells the one from the other."""
    insert(Card()).loads = False
    with pytest.raises(EngineError, match="out of memory") as caught:
        TrtBackend(plan_of(), manifest)
    assert not isinstance(caught.value, PlanError)


def test_the_real_tensorrt_says_why_it_loads_nothing(
    insert: Insert, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorRT-RTX without a driver: no crash, no engine, and its own words in the message."""
    if has_nvidia_gpu():
        pytest.skip("needs a machine without a GPU")
    pytest.importorskip("tensorrt_rtx_bindings")
    card = insert(Card())
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(EngineError, match=r"TensorRT-RTX \d.*CUDA driver version is insufficient"):
        TrtBackend(b"not a plan", manifest)
    assert card.memory == {}


@pytest.mark.parametrize("action", ["run", "close", "allocate"])
def test_another_thread_is_refused(insert: Insert, manifest: Manifest, action: str) -> None:
    """A CUDA context belongs to the thread that made it."""
    insert(Card())
    caught: list[EngineError] = []
    with TrtBackend(plan_of(), manifest) as backend:
        calls: dict[str, Callable[[], object]] = {
            "run": lambda: backend.run(pictures(1)),
            "close": backend.close,
            "allocate": lambda: backend.allocate(1),
        }

        def use() -> None:
            try:
                calls[action]()
            except EngineError as e:
                caught.append(e)

        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        assert "another thread" in str(caught[0])
        assert backend.run(pictures(1))["depth"] == answer(pictures(1))


def test_two_models_share_a_card_and_a_thread(insert: Insert, manifest: Manifest) -> None:
    """Each has its own stream and memory; closing one leaves the other."""
    insert(Card())
    with TrtBackend(plan_of(), manifest) as one:
        with TrtBackend(plan_of(), manifest) as other:
            assert other.run(pictures(1))["depth"] == answer(pictures(1))
            assert one.run(pictures(2))["depth"] == answer(pictures(2))
        assert one.run(pictures(2, 1))["depth"] == answer(pictures(2, 1))


def test_a_card_that_fails_is_an_engine_error(insert: Insert, manifest: Manifest) -> None:
    """CUDA's exceptions do not get out, neither when loading nor when running, nor when closing what failed."""
    card = insert(Card())
    backend = TrtBackend(plan_of(), manifest)
    card.broken = "an illegal memory access was encountered"
    with pytest.raises(EngineError, match="illegal memory access"):
        backend.run(pictures(1))
    with pytest.raises(EngineError, match="illegal memory access"):
        backend.close()
    with pytest.raises(EngineError, match="illegal memory access"):
        TrtBackend(plan_of(), manifest)


@pytest.mark.parametrize("batch", [pictures(1)[:, :2], pictures(1).astype(np.float64), pictures(1)[:0]])
def test_a_batch_of_another_shape_is_refused(insert: Insert, manifest: Manifest, batch: Any) -> None:
    """Before anything reaches the GPU."""
    insert(Card())
    with TrtBackend(plan_of(), manifest) as backend, pytest.raises(EngineError, match="takes float32"):
        backend.run(batch)


def test_without_pycuda_the_message_says_what_to_install(
    insert: Insert, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorRT alone is not enough."""
    insert(Card())
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    monkeypatch.setitem(sys.modules, "pycuda", None)
    with pytest.raises(EngineError, match="pip install pycuda"):
        TrtBackend(plan_of(), manifest)
