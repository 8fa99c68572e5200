"""`edge check` recognises installations that cannot work, and says what serves."""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge.commands import checks
from edge.commands.checks import Installation, describe_serving, installation, installation_findings
from edge.config.broker import SpoolConfig
from edge.errors import EdgeError
from edge.inference.options import InferenceOptions
from edge.inference.serving import load
from edge.inference.store import ModelStore
from edge.inference.trt.cuda_code import CudaCode, cuda_code, jetson_gpu
from tests.edge.inference.conftest import model_folder

__all__ = ["model_folder"]

SOUND = Installation("x86_64", None, ("onnxruntime 1.31.1",), None, gstreamer=False)
REGISTRY_AARCH64 = CudaCode(frozenset({89, 90, 120, 121}), frozenset())
"""What onnxruntime-gpu 1.31.1's aarch64 wheel on the package index has."""


def fat_binary(*entries: tuple[int, int]) -> bytes:
    """A container of (kind, architecture) entries, each with some code."""
    body = b"".join(
        struct.pack("<HHIQIIHHI", kind, 0x101, 64, 24, 0, 0, 0, 0, architecture).ljust(64, b"\0") + b"\x7fELF".ljust(24)
        for kind, architecture in entries
    )
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body


def test_cuda_code_is_read_from_any_place_in_a_library(tmp_path: Path) -> None:
    """Machine code (2) and PTX (1), of every container; what only looks like one is passed over."""
    library = tmp_path / "lib.so"
    torn = struct.pack("<IHHQ", 0xBA55ED50, 1, 16, 1 << 40)
    library.write_bytes(b"ELF" + fat_binary((2, 87), (2, 89)) + b"x" * 7 + torn + fat_binary((1, 90)) + b"\x50\xed")
    assert cuda_code(library) == CudaCode(frozenset({87, 89}), frozenset({90}))


@pytest.mark.parametrize("data", [b"", b"no code", struct.pack("<I", 0xBA55ED50), fat_binary()[:10]])
def test_a_library_without_cuda_code_has_none(tmp_path: Path, data: bytes) -> None:
    """Empty, foreign and torn files."""
    (tmp_path / "lib.so").write_bytes(data)
    assert cuda_code(tmp_path / "lib.so") == CudaCode(frozenset(), frozenset())


def test_cuda_code_of_a_real_library() -> None:
    """TensorRT-RTX is for Turing, Ampere, Ada and Blackwell cards (its support matrix), not for Orin."""
    found = importlib.util.find_spec("tensorrt_rtx_libs")
    if found is None or not found.submodule_search_locations:
        pytest.skip("tensorrt_rtx_libs is not installed")
    [library] = Path(found.submodule_search_locations[0]).glob("libtensorrt_rtx.so*")
    code = cuda_code(library)
    assert {75, 86, 120} <= code.cubin
    assert not code.runs_on_jetson(frozenset({87}))


@pytest.mark.parametrize(
    ("code", "runs"),
    [
        (CudaCode(frozenset({87}), frozenset()), True),
        (CudaCode(frozenset({80, 86}), frozenset()), False),
        (CudaCode(frozenset({89}), frozenset({80})), True),
        (CudaCode(frozenset({89}), frozenset({90})), False),
        (REGISTRY_AARCH64, False),
    ],
)
def test_code_runs_on_orin_if_made_for_it(code: CudaCode, runs: bool) -> None:
    """Machine code for 8.7 itself, or PTX of an earlier GPU; 8.6 cards' machine code does not do."""
    assert code.runs_on_jetson(frozenset({87})) == runs


def test_a_jetson_is_known_by_its_device_tree(tmp_path: Path) -> None:
    """By chip; where only the release file is there, any Jetson is meant; without both it is none."""
    assert jetson_gpu(tmp_path) is None
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "nv_tegra_release").write_text("# R36 (release), REVISION: 4.3")
    assert {87, 110} <= set(jetson_gpu(tmp_path) or ())
    tree = tmp_path / "proc" / "device-tree"
    tree.mkdir(parents=True)
    (tree / "compatible").write_bytes(b"nvidia,p3768-0000+p3767-0000\0nvidia,p3767-0000\0nvidia,tegra234\0")
    assert jetson_gpu(tmp_path) == {87}


def test_a_sound_installation_has_no_findings() -> None:
    """Nothing to say about a machine without a GPU, nor about a Jetson with the right build, nor a server's."""
    assert installation_findings(SOUND, csi=False) == []
    orin = Installation(
        "aarch64", frozenset({87}), ("onnxruntime-gpu 1.24.0",), CudaCode(frozenset({87}), frozenset()), gstreamer=True
    )
    assert installation_findings(orin, csi=True) == []
    server = Installation("aarch64", None, ("onnxruntime-gpu 1.31.1",), REGISTRY_AARCH64, gstreamer=False)
    assert installation_findings(server, csi=False) == []


def test_the_package_indexs_onnxruntime_gpu_is_recognised_on_a_jetson() -> None:
    """It installs, lists CUDA, and has no code for the GPU; the finding says what to install instead."""
    here = Installation("aarch64", frozenset({87}), ("onnxruntime-gpu 1.31.1",), REGISTRY_AARCH64, gstreamer=True)
    [finding] = installation_findings(here, csi=False)
    assert not finding.passed
    assert "8.9, 9.0, 12.0, 12.1" in finding.detail
    assert "NVIDIA's build" in finding.detail


def test_two_onnxruntimes_are_one_too_many() -> None:
    """They overwrite each other's files."""
    here = replace(SOUND, onnxruntimes=("onnxruntime 1.31.1", "onnxruntime-gpu 1.31.1"))
    [finding] = installation_findings(here, csi=False)
    assert "uninstall both" in finding.detail


def test_csi_cameras_need_gstreamer() -> None:
    """Only where one is configured."""
    [finding] = installation_findings(SOUND, csi=True)
    assert finding.what == "opencv"
    assert "--system-site-packages" in finding.detail


def test_this_installation_is_described() -> None:
    """The one that runs the tests has one ONNX Runtime, and no complaint."""
    here = installation()
    assert any(name.startswith("onnxruntime") for name in here.onnxruntimes)
    assert installation_findings(here, csi=False) == []


def test_what_serves_is_told(model_folder: Callable[..., Path]) -> None:
    """What was asked for, the provider with its precision, and how well the golden output was met."""
    model = ModelStore(model_folder().parent).find("depth")
    with load(model, InferenceOptions(backend="ort-cpu")) as serving:
        told = describe_serving(serving, InferenceOptions(backend="ort-cpu"))
    assert told.startswith("asked for ort-cpu, serves CPUExecutionProvider fp32; golden output reproduced at ")


def test_where_messages_wait_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room and rights, without making anything there."""

    class Held:
        device = SimpleNamespace(name="dev")
        mqtt = SimpleNamespace(spool=SpoolConfig(folder=tmp_path / "a" / "b"))

    config: Any = Held()
    assert "MiB free" in checks._spool(config)
    assert list(tmp_path.iterdir()) == []
    config.mqtt.spool = SpoolConfig(folder=tmp_path, max_bytes=2**40)
    with pytest.raises(EdgeError, match=r"mqtt\.spool\.max_bytes is 1048576 MiB"):
        checks._spool(config)
    monkeypatch.setattr(checks.os, "access", lambda *_: False)
    with pytest.raises(EdgeError, match=r"set mqtt\.spool\.folder"):
        checks._spool(config)
