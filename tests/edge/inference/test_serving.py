"""What serves is what was asked for, proved; anything less is said, and a failing runtime is replaced.

ONNX Runtime, the store of plans and TensorRT-RTX's builder are real; the GPU is acted.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edge.errors import EngineError
from edge.inference import opening
from edge.inference.manifest import FileRef, Speed, Variant, read_manifest, sha256_of, write_manifest
from edge.inference.options import BackendName, BuildOptions, InferenceOptions
from edge.inference.serving import ServingBackend, load, plans_of
from edge.inference.store import ModelStore
from edge.inference.trt import gpu
from edge.inference.trt.plans import PlanStore
from tests.edge.inference.conftest import SIZE, write_model
from tests.edge.inference.trt.hardware import Card, cuda_bindings_of, plan_of, pycuda_of, tensorrt_of

Maker = Callable[..., Path]
ENGINES = ModelStore(Path(__file__).parents[3] / "engines")
GOOD, BAD = np.full((1, 3, SIZE[1], SIZE[0]), 0.5, np.float32), np.full((1, 3, SIZE[1], SIZE[0]), -0.5, np.float32)


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a GPU, whatever this one has."""
    monkeypatch.setattr(gpu, "_DEVICES", ("no-such-device",))


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[Card]:
    """A machine with a GPU, its driver, pycuda and TensorRT-RTX, which really builds and here acts what it built."""
    real = pytest.importorskip("tensorrt_rtx_bindings")
    acted = Card()
    acted.native = lambda plan: plan_of(max_batch=2)
    package, driver = pycuda_of(acted)
    bindings: Any = ModuleType("cuda.bindings")
    bindings.driver = cuda_bindings_of(acted)
    monkeypatch.setattr(gpu, "_DEVICES", ("null",))
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    name = "tensorrt_rtx_bindings"
    for module, stands_for in (
        (package, "pycuda"),
        (driver, "pycuda.driver"),
        (bindings, "cuda.bindings"),
        (tensorrt_of(acted, name, real.__version__), name),
    ):
        monkeypatch.setitem(sys.modules, stands_for, module)
    yield acted


def write_fragile(path: Path, gain: float) -> None:
    """Like `write_model`, but not a number wherever the mean is negative: gain x mean + 0 x sqrt(mean)."""
    w, h = SIZE
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["image", "axes"], ["mean"], keepdims=1),
            helper.make_node("Sqrt", ["mean"], ["root"]),
            helper.make_node("Mul", ["root", "nothing"], ["none"]),
            helper.make_node("Mul", ["mean", "gain"], ["scaled"]),
            helper.make_node("Add", ["scaled", "none"], ["depth"]),
        ],
        "depth",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, h, w])],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, [1, 1, h, w])],
        [
            helper.make_tensor("axes", TensorProto.INT64, [1], [1]),
            helper.make_tensor("gain", TensorProto.FLOAT, [], [gain]),
            helper.make_tensor("nothing", TensorProto.FLOAT, [], [0.0]),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


def with_int8(
    folder: Path,
    *,
    gain: float = 2.001,
    tolerance: float = 0.1,
    ratio: float = 0.5,
    form: Literal["int8", "int8-cpu"] = "int8",
) -> Path:
    """Give a model a second file, measured to take `ratio` of the time, that is not finite for negative pictures."""
    write_fragile(folder / "model.int8.onnx", gain)
    manifest = read_manifest(folder)
    variant = Variant(
        file="model.int8.onnx",
        sha256=sha256_of(folder / "model.int8.onnx"),
        tolerance={"depth": tolerance},
        speed=(Speed(provider="CPUExecutionProvider", machine="here", ratio=ratio),),
    )
    write_manifest(folder, manifest.model_copy(update={"variants": {form: variant}}))
    return folder


def loaded(folder: Path, *, plans: bool = False, **options: Any) -> ServingBackend:
    """The model in that folder, as the daemon loads it."""
    asked = InferenceOptions(threads=1, **options)
    model = ModelStore(folder.parent).find(folder.name)
    return load(model, asked, plans=plans_of(asked, folder.parent) if plans else None)


# Without a GPU --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["auto", "ort", "ort-cpu"])
def test_the_best_a_machine_has_is_no_shortfall(model_folder: Maker, backend: BackendName) -> None:
    """Without a GPU the CPU is the best there is: nothing is degraded, and why nothing faster serves can be asked."""
    with loaded(model_folder(), backend=backend, plans=True) as served:
        assert (served.provider, served.precision) == ("CPUExecutionProvider", "fp32")
        assert served.degraded is None
        assert served.take_events() == []
        assert all("no NVIDIA GPU" in why for why in served.not_here)
        assert bool(served.not_here) == (backend != "ort-cpu")


@pytest.mark.parametrize("backend", ["tensorrt", "ort-tensorrt", "ort-cuda"])
def test_what_was_asked_for_and_does_not_serve_is_said(model_folder: Maker, backend: BackendName) -> None:
    """What was asked for, what serves, and why; once as an event."""
    with loaded(model_folder(), backend=backend, plans=True) as served:
        assert served.provider == "CPUExecutionProvider"
        assert served.degraded is not None
        assert served.degraded.startswith(f"asked for {backend}, serves CPUExecutionProvider fp32: ")
        assert "no NVIDIA GPU" in served.degraded
        assert [event.kind for event in served.take_events()] == ["engine_degraded"]
        assert served.take_events() == []


def test_an_idle_gpu_is_a_shortfall(model_folder: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a GPU on which the CPU serves says what to install; asked for the CPU, it says nothing."""
    monkeypatch.setattr(gpu, "_DEVICES", ("null",))
    with loaded(model_folder()) as served:
        assert served.degraded is not None
        assert "install onnxruntime-gpu" in served.degraded
    with loaded(model_folder("second"), backend="ort-cpu") as served:
        assert served.degraded is None


def test_a_backend_that_does_not_exist_is_an_error(model_folder: Maker) -> None:
    """The message lists those that do."""
    with pytest.raises(EngineError, match="ort-cuda"):
        loaded(model_folder(), backend="onnx")


# Precisions -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ratio", "chosen"), [(0.5, "int8"), (1.1, "fp32")])
def test_the_precision_measured_faster_serves(model_folder: Maker, ratio: float, chosen: str) -> None:
    """Left to choose, the file that was measured faster on this provider; a slower one only if asked for."""
    folder = with_int8(model_folder(), ratio=ratio)
    with loaded(folder) as served:
        assert (served.precision, served.degraded) == (chosen, None)
    with loaded(folder, precision="int8") as served:
        assert (served.precision, served.degraded) == ("int8", None)
        assert served.golden is not None
        assert 0 < served.golden.difference["depth"] <= served.golden.tolerance["depth"] == 0.1


def has_integer_dot_products() -> bool:
    """Whether this processor multiplies bytes without saturating (VNNI of x86, dot products of Arm)."""
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    return bool({"avx512_vnni", "avx_vnni", "asimddp"} & set(flags))


@pytest.mark.parametrize("name", ENGINES.names())
def test_every_shipped_file_can_serve(name: str) -> None:
    """Each precision that ships reproduces the golden output on this CPU, within its own tolerance, or is refused."""
    for precision in ENGINES.find(name).manifest.precisions:
        with loaded(ENGINES.root / name, precision=precision.removesuffix("-cpu")) as served:
            if precision == "int8-cpu" and not has_integer_dot_products():
                assert served.precision == "fp32"
                assert "does not reproduce its golden output" in (served.degraded or "")
                continue
            assert (served.precision, served.degraded) == (precision, None)
            assert served.golden is not None
            assert served.golden.passed


@pytest.mark.parametrize(("ratio", "chosen"), [(0.5, "int8-cpu"), (1.1, "fp32")])
def test_int8_for_cpus_serves_where_this_cpu_is_faster_with_it(
    model_folder: Maker, monkeypatch: pytest.MonkeyPatch, ratio: float, chosen: str
) -> None:
    """What was measured elsewhere says nothing: it is timed here, and the loser is no shortfall. By name it serves."""
    folder = with_int8(model_folder(), form="int8-cpu", ratio=0.1)
    monkeypatch.setattr(opening, "ratio_here", lambda model, reference: (model(), reference(), ratio)[2])
    with loaded(folder) as served:
        assert (served.precision, served.degraded) == (chosen, None)
    with loaded(folder, precision="int8") as served:
        assert (served.precision, served.degraded) == ("int8-cpu", None)


def test_int8_that_this_cpu_computes_otherwise_does_not_serve(model_folder: Maker) -> None:
    """A processor without integer dot products may saturate: the golden output tells, and float32 serves."""
    folder = with_int8(model_folder(), form="int8-cpu", tolerance=1e-6)
    with loaded(folder) as served:
        assert (served.precision, served.degraded) == ("fp32", None)
    with loaded(folder, precision="int8") as served:
        assert served.precision == "fp32"
        assert served.degraded is not None


def test_a_precision_that_the_model_lacks_is_said(model_folder: Maker) -> None:
    """Float32 serves in its place, degraded."""
    with loaded(with_int8(model_folder()), precision="fp16") as served:
        assert served.precision == "fp32"
        assert served.degraded is not None
        assert served.degraded.startswith(
            "asked for auto fp16, serves CPUExecutionProvider fp32: the model has no fp16"
        )


def test_a_file_that_does_not_reproduce_the_golden_output_does_not_serve(model_folder: Maker) -> None:
    """Each precision is held to its own tolerance; the next best serves, and says why."""
    with loaded(with_int8(model_folder(), tolerance=1e-6)) as served:
        assert served.precision == "fp32"
        assert served.degraded is not None
        assert "ort-cpu int8" in served.degraded
        assert "does not reproduce its golden output" in served.degraded


def test_without_any_that_is_proved_nothing_serves(model_folder: Maker) -> None:
    """A model that computes something else than was recorded is refused."""
    folder = with_int8(model_folder(), gain=3.0)
    write_model(folder / "model.onnx", gain=2.5)
    rewrite(folder, onnx=FileRef(file="model.onnx", sha256=sha256_of(folder / "model.onnx")))
    with pytest.raises(EngineError, match="does not reproduce its golden output"):
        loaded(folder)


def rewrite(folder: Path, **changes: Any) -> None:
    """Change keys of the manifest."""
    write_manifest(folder, read_manifest(folder).model_copy(update=changes))


# While running --------------------------------------------------------------------------------------------------------


def test_three_failures_in_a_row_put_the_next_in_its_place(model_folder: Maker) -> None:
    """Two failures are the frame's; the third is answered by what takes over, which says so."""
    with loaded(with_int8(model_folder())) as served:
        for _ in range(2):
            assert not np.isfinite(served.run(BAD)["depth"]).all()
        assert served.degraded is None
        assert served.run(BAD)["depth"] == pytest.approx(-1.0)
        assert served.precision == "fp32"
        assert "not finite" in str(served.degraded)
        assert [event.kind for event in served.take_events()] == ["engine_degraded"]
        assert served.run(GOOD)["depth"] == pytest.approx(1.0)


def test_failures_apart_are_forgiven(model_folder: Maker) -> None:
    """A good answer in between starts the count anew."""
    with loaded(with_int8(model_folder())) as served:
        for _ in range(5):
            for _ in range(2):
                assert not np.isfinite(served.run(BAD)["depth"]).all()
            served.run(GOOD)
        assert (served.precision, served.degraded) == ("int8", None)


def test_what_nothing_can_replace_goes_on_failing_aloud(model_folder: Maker) -> None:
    """The last one keeps serving what it can; what is not finite is for the reader of each row to refuse."""
    folder = model_folder()
    write_fragile(folder / "model.onnx", 2.0)
    rewrite(folder, onnx=FileRef(file="model.onnx", sha256=sha256_of(folder / "model.onnx")))
    with loaded(folder) as served:
        for _ in range(6):
            assert not np.isfinite(served.run(BAD)["depth"]).all()
        assert served.run(GOOD)["depth"] == pytest.approx(1.0)


# TensorRT -------------------------------------------------------------------------------------------------------------

QUICK = BuildOptions(level=0, workspace_mib=64, max_batch=2)


def test_a_plan_is_built_proved_and_kept(card: Card, model_folder: Maker) -> None:
    """The first time it is built and accepted, which is an event; the next time it is loaded as it is."""
    folder = model_folder(batch="batch")
    for built in (True, False):
        with loaded(folder, plans=True, build=QUICK) as served:
            assert served.provider.startswith("TensorRT-RTX")
            assert (served.precision, served.max_batch, served.degraded) == ("fp32", 2, None)
            assert served.plan is not None
            assert served.plan.record.state == "accepted"
            assert [event.kind for event in served.take_events()] == ["engine_built"] * built
            assert served.run(GOOD)["depth"] == pytest.approx(1.0)


def test_a_plan_that_computes_something_else_is_rejected(card: Card, model_folder: Maker) -> None:
    """It never serves, is not built again at the next start, and what serves in its place says why."""
    folder = model_folder(batch="batch")
    card.native = lambda plan: plan_of(max_batch=2, gain=2.1)
    for word in ("does not reproduce its golden output", "rejected"):
        with loaded(folder, plans=True, build=QUICK) as served:
            assert served.provider == "CPUExecutionProvider"
            assert word in str(served.degraded)
            assert served.run(GOOD)["depth"] == pytest.approx(1.0)
    states = [e.record.state for e in PlanStore(folder.parent).list() if e.record is not None]
    assert states == ["rejected"]


def updated(folder: Path) -> None:
    """A new version of the model, that gives 3 x the mean."""
    write_model(folder / "model.onnx", gain=3.0, batch="batch")
    picture = np.random.default_rng(0).random((1, 3, SIZE[1], SIZE[0]), dtype=np.float32)
    np.savez(folder / "golden.npz", **{"input:image": picture, "output:depth": picture.mean(1, keepdims=True) * 3})
    golden = read_manifest(folder).golden
    assert golden is not None
    rewrite(
        folder,
        version="2",
        onnx=FileRef(file="model.onnx", sha256=sha256_of(folder / "model.onnx")),
        golden=golden.model_copy(update={"sha256": sha256_of(folder / "golden.npz")}),
    )


def test_an_update_that_does_not_hold_is_rolled_back(card: Card, model_folder: Maker) -> None:
    """The plan of the version before serves, now and at the next start; it says so."""
    folder = model_folder(batch="batch")
    with loaded(folder, plans=True, build=QUICK) as served:
        assert served.plan is not None
        before = served.plan.data
    updated(folder)
    card.native = lambda plan: plan_of(max_batch=2, gain=2.0 if plan == before else 2.9)
    for _ in range(2):
        with loaded(folder, plans=True, build=QUICK) as served:
            assert served.provider.startswith("TensorRT-RTX")
            assert "the plan of version 1" in str(served.degraded)
            assert {event.kind for event in served.take_events()} == {"engine_rolled_back", "engine_degraded"}
            assert served.run(GOOD)["depth"] == pytest.approx(1.0)


def test_a_plan_that_fails_later_is_rolled_back(card: Card, model_folder: Maker) -> None:
    """Three answers that are no numbers, and the accepted plan before it serves again."""
    folder = model_folder(batch="batch")
    with loaded(folder, plans=True, build=QUICK) as served:
        assert served.plan is not None
        before = served.plan.data
    updated(folder)
    card.native = lambda plan: plan_of(max_batch=2, gain=2.0 if plan == before else 3.0)
    with loaded(folder, plans=True, build=QUICK) as served:
        assert served.run(GOOD)["depth"] == pytest.approx(1.5)
        served.take_events()
        sick = GOOD * np.float32(np.inf)
        for _ in range(2):
            assert not np.isfinite(served.run(sick)["depth"]).all()
        served.run(sick)
        assert served.run(GOOD)["depth"] == pytest.approx(1.0)
        assert "engine_rolled_back" in [event.kind for event in served.take_events()]
        assert "not finite" in str(served.degraded)


def test_a_card_that_dies_leaves_the_plan_good(card: Card, model_folder: Maker) -> None:
    """The CPU answers the third failing batch; once the card works again, the same plan serves without building."""
    folder = model_folder(batch="batch")
    with loaded(folder, plans=True, build=QUICK) as served:
        card.broken = "unspecified launch failure"
        for _ in range(2):
            with pytest.raises(EngineError, match="unspecified launch failure"):
                served.run(GOOD)
        assert served.run(GOOD)["depth"] == pytest.approx(1.0)
        assert served.provider == "CPUExecutionProvider"
        assert "unspecified launch failure" in str(served.degraded)
    card.broken = None
    with loaded(folder, plans=True, build=QUICK) as served:
        assert served.provider.startswith("TensorRT-RTX")
        assert served.take_events() == []


def test_nothing_is_built_while_serving(card: Card, model_folder: Maker) -> None:
    """Building takes minutes, and the watchdog does not wait: what is there takes over, and says how to get a plan."""
    folder = with_int8(model_folder(batch="batch"))
    with loaded(folder, plans=True, build=QUICK, precision="int8") as served:
        assert served.provider.startswith("TensorRT-RTX")
        before = sorted(folder.glob("*.engine"))
        for _ in range(3):
            served.run(GOOD * np.float32(np.inf))
        assert served.provider == "CPUExecutionProvider"
        assert "edge engines build" in str(served.degraded)
        assert sorted(folder.glob("*.engine")) == before


def test_a_card_without_room_does_not_condemn_the_plan(card: Card, model_folder: Maker) -> None:
    """What is not the plan's fault does not reject it."""
    folder = model_folder(batch="batch")
    for sick in ({"broken": "out of memory"}, {"broken": None, "loads": False}):
        for name, value in sick.items():
            setattr(card, name, value)
        with loaded(folder, plans=True, build=QUICK) as served:
            assert served.provider == "CPUExecutionProvider"
            assert "out of memory" in str(served.degraded)
    states = [e.record.state for e in PlanStore(folder.parent).list() if e.record is not None]
    assert states == ["built"]


def test_giving_up_building_gives_up_loading(card: Card, model_folder: Maker) -> None:
    """Told to stop, nothing else is tried: whoever asked is going."""
    folder = model_folder(batch="batch")
    stop = threading.Event()
    stop.set()
    model = ModelStore(folder.parent).find(folder.name)
    with pytest.raises(EngineError):
        load(model, InferenceOptions(build=QUICK), plans=PlanStore(folder.parent), stop=stop)


def test_without_plans_tensorrt_is_not_tried(card: Card, model_folder: Maker) -> None:
    """Tools that only want an answer build nothing."""
    folder = model_folder(batch="batch")
    with loaded(folder) as served:
        assert served.provider == "CPUExecutionProvider"
    assert list(folder.glob("*.engine")) == []
