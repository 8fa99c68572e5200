"""Which runtimes may serve, in which precision and order: laws of pure functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from edge.errors import EngineError
from edge.inference import choosing
from edge.inference.choosing import RUNTIMES, candidates, precision_to_build, shortfall, why_absent
from edge.inference.manifest import Manifest, Precision, Speed, Variant, read_manifest
from edge.inference.options import BackendName, InferenceOptions, PrecisionChoice
from edge.inference.store import StoredModel
from edge.inference.trt import gpu

Maker = Callable[..., Path]
PRECISIONS: tuple[PrecisionChoice, ...] = ("auto", "fp32", "fp16", "int8")


def variant(*speeds: tuple[str, float]) -> Variant:
    """A file of another precision that was measured on these providers."""
    return Variant(
        file="other.onnx",
        sha256="0" * 64,
        speed=tuple(Speed(provider=provider, machine="here", ratio=ratio) for provider, ratio in speeds),
    )


def manifest_of(folder: Path, variants: dict[Precision, Variant]) -> Manifest:
    """The manifest in a folder, with files of other precisions."""
    return read_manifest(folder).model_copy(update={"variants": variants})


@pytest.mark.parametrize(
    ("backend", "runtimes"),
    [
        ("auto", ("tensorrt", "ort-tensorrt", "ort-cuda", "ort-cpu")),
        ("tensorrt", ("tensorrt", "ort-tensorrt", "ort-cuda", "ort-cpu")),
        ("ort", ("ort-tensorrt", "ort-cuda", "ort-cpu")),
        ("ort-tensorrt", ("ort-tensorrt", "ort-cuda", "ort-cpu")),
        ("ort-cuda", ("ort-cuda", "ort-cpu")),
        ("ort-cpu", ("ort-cpu",)),
    ],
)
def test_what_was_asked_for_comes_first_then_what_is_slower(
    model_folder: Maker, backend: BackendName, runtimes: tuple[str, ...]
) -> None:
    """Nothing faster than asked for is tried, and the CPU is always last."""
    found = candidates(read_manifest(model_folder()), InferenceOptions(backend=backend))
    assert tuple(c.runtime for c in found) == runtimes
    assert {c.precision for c in found} == {"fp32"}


def test_each_runtime_has_the_precision_that_is_best_on_it_and_then_float32(model_folder: Maker) -> None:
    """Float16 on GPUs; on the CPU what was measured to be faster there."""
    variants: dict[Precision, Variant] = {"fp16": variant(), "int8": variant(("CPUExecutionProvider", 0.5))}
    found = candidates(manifest_of(model_folder(), variants), InferenceOptions())
    assert [str(c) for c in found] == [
        "tensorrt fp16",
        "tensorrt fp32",
        "ort-tensorrt fp16",
        "ort-tensorrt fp32",
        "ort-cuda fp16",
        "ort-cuda fp32",
        "ort-cpu int8",
        "ort-cpu fp32",
    ]


def test_int8_has_a_form_for_cpus_and_one_for_the_rest(model_folder: Maker) -> None:
    """The file for CPUs is tried on the CPU alone, before float32; asked for int8, each runtime takes its own form."""
    both: dict[Precision, Variant] = {
        "int8": variant(("CPUExecutionProvider", 0.5)),
        "int8-cpu": variant(("CPUExecutionProvider", 0.4)),
    }
    model = manifest_of(model_folder(), both)
    found = [str(c) for c in candidates(model, InferenceOptions())]
    assert found == ["tensorrt fp32", "ort-tensorrt fp32", "ort-cuda fp32", "ort-cpu int8-cpu", "ort-cpu fp32"]
    asked = [c.precision for c in candidates(model, InferenceOptions(precision="int8"))]
    assert asked == ["int8", "fp32", "int8", "fp32", "int8", "fp32", "int8-cpu", "fp32"]
    only = model.model_copy(update={"variants": {"int8-cpu": variant()}})
    assert {c.precision for c in candidates(only, InferenceOptions(backend="tensorrt")) if c.runtime != "ort-cpu"} == {
        "fp32"
    }
    assert shortfall(only, InferenceOptions(precision="int8"), "ort-cpu", "X int8-cpu", **NOTHING) is None
    assert shortfall(only, InferenceOptions(precision="int8"), "tensorrt", "X fp32", **NOTHING) is not None


@pytest.mark.parametrize(
    "variants",
    [
        {},
        {"fp16": variant()},
        {"int8": variant(("TensorRT", 0.4)), "fp16": variant(("TensorRT", 0.6))},
        {"int8": variant(("CPUExecutionProvider", 0.4))},
    ],
    ids=["fp32", "fp16", "both", "cpu"],
)
@pytest.mark.parametrize("configured", PRECISIONS)
def test_what_is_built_is_what_will_be_tried_first(
    model_folder: Maker, variants: dict[Precision, Variant], configured: PrecisionChoice
) -> None:
    """`edge engines build` and the daemon agree, whatever is configured and whatever files the model has."""
    folder = model_folder()
    manifest = manifest_of(folder, variants)
    first = candidates(manifest, InferenceOptions(backend="tensorrt", precision=configured))[0]
    assert precision_to_build(StoredModel(folder, manifest), None, configured) == first.precision


def test_what_is_asked_for_by_hand_must_be_there(model_folder: Maker) -> None:
    """A configured precision that the model lacks is float32; one given by hand is an error that names those there."""
    folder = model_folder()
    model = StoredModel(folder, manifest_of(folder, {"fp16": variant()}))
    assert precision_to_build(model, None, "int8") == "fp32"
    assert precision_to_build(model, "fp32", "fp16") == "fp32"
    assert precision_to_build(model, "auto", "fp32") == "fp16"
    with pytest.raises(EngineError, match=r"no int8 file \(it has fp32, fp16\)"):
        precision_to_build(model, "int8", "auto")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_without_a_gpu_only_the_cpu_is_there(monkeypatch: pytest.MonkeyPatch, runtime: choosing.Runtime) -> None:
    """Whatever is installed."""
    monkeypatch.setattr(gpu, "_DEVICES", ("no-such-device",))
    why = why_absent(runtime, with_plans=True)
    assert why is None if runtime == "ort-cpu" else "no NVIDIA GPU" in str(why)


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Either TensorRT will do, pycuda is needed; without plans to look after TensorRT is not asked for at all."""
    monkeypatch.setattr(gpu, "_DEVICES", ("null",))
    installed: set[str] = set()
    monkeypatch.setattr(choosing.importlib.util, "find_spec", lambda name: name if name in installed else None)
    said = []
    for more in ("nothing", "pycuda", "tensorrt_rtx_bindings"):
        installed.add(more)
        said.append(why_absent("tensorrt", with_plans=True))
    assert said == [
        "tensorrt or tensorrt_rtx_bindings and pycuda not installed; see docs/gpu.md",
        "tensorrt or tensorrt_rtx_bindings not installed; see docs/gpu.md",
        None,
    ]
    assert why_absent("tensorrt", with_plans=False) == "not asked to look after plans"


NOTHING: dict[str, Any] = {"failed": (), "absent": ("tensorrt: no NVIDIA GPU here",), "own": (), "has_gpu": False}


@pytest.mark.parametrize(
    ("backend", "runtime", "has_gpu", "less"),
    [
        ("auto", "ort-cpu", False, False),
        ("auto", "ort-cpu", True, True),
        ("auto", "ort-cuda", True, False),
        ("ort-cpu", "ort-cpu", True, False),
        ("ort-cuda", "ort-cpu", False, True),
        ("tensorrt", "tensorrt", True, False),
    ],
)
def test_less_than_asked_for_is_a_shortfall(
    model_folder: Maker, backend: BackendName, runtime: choosing.Runtime, has_gpu: bool, less: bool
) -> None:
    """A named runtime that does not serve, or an idle GPU; what was not asked for is not missed."""
    asked = InferenceOptions(backend=backend)
    said = shortfall(read_manifest(model_folder()), asked, runtime, "X fp32", **{**NOTHING, "has_gpu": has_gpu})
    assert (said is not None) == less
    if said is not None:
        assert said.startswith(f"asked for {backend}, serves X fp32: tensorrt: no NVIDIA GPU here")
        assert ("set inference.backend to auto" in said) == (not has_gpu)


@pytest.mark.parametrize("reason", ["failed", "own"])
def test_every_reason_is_said(model_folder: Maker, reason: str) -> None:
    """What failed before, and what the one that serves has to say, each makes a shortfall of its own."""
    manifest, asked = read_manifest(model_folder()), InferenceOptions()
    said = shortfall(manifest, asked, "ort-cpu", "X fp32", **{**NOTHING, reason: ("out of memory",)})
    assert said == "asked for auto, serves X fp32: out of memory"
    lacking = shortfall(manifest, replace(asked, precision="int8"), "ort-cpu", "X fp32", **NOTHING)
    assert str(lacking).startswith("asked for auto int8, serves X fp32: the model has no int8 file (it has fp32)")


def test_all_that_may_be_asked_for_is_known() -> None:
    """Every runtime can be asked for by its name."""
    assert set(RUNTIMES) <= set(get_args(BackendName))
