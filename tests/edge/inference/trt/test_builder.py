"""TensorRT really builds, in a child process that leaves nothing behind; TensorRT-RTX stands in where no GPU is."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import psutil
import pytest
from onnx import TensorProto, helper

from edge.errors import BuildError, EngineError
from edge.inference.manifest import read_manifest
from edge.inference.options import BuildOptions
from edge.inference.trt.build_process import BuildProgress, check_memory, needed_mib, run_builder
from edge.inference.trt.builder import BuildRequest
from edge.inference.trt.platform import gpu_facts, tensorrt_module
from tests.edge.inference.conftest import write_model
from tests.edge.object_model import write_extruder
from tests.plans import REPOSITORY, RTX_EXISTS_HERE, needs_rtx, request_for

SHIPPED = [
    pytest.param(folder / read_manifest(folder).file_of(precision).file, id=f"{folder.name}-{precision}")
    for folder in sorted(p.parent for p in (REPOSITORY / "engines").glob("*/manifest.json"))
    for precision in read_manifest(folder).precisions
    if precision != "int8-cpu"  # activations with a zero point, which TensorRT does not take
]


@pytest.fixture
def tiny(tmp_path: Path) -> BuildRequest:
    """A model of two nodes with a free batch."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    write_model(folder / "model.onnx", batch="batch")
    return request_for(folder / "model.onnx", tmp_path / "plan")


def children() -> list[psutil.Process]:
    """Builders that this process started and that still run."""
    found = []
    for child in psutil.Process().children(recursive=True):
        if "edge.inference.trt.builder" in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
            found.append(child)
    return found


@pytest.mark.skipif(not RTX_EXISTS_HERE, reason="TensorRT-RTX is made for x86-64 alone")
def test_the_gate_is_there() -> None:
    """Where TensorRT-RTX exists it is installed with the tests: without it nothing below would be tried."""
    assert tensorrt_module().__version__


@needs_rtx
@pytest.mark.parametrize("path", SHIPPED)
def test_every_shipped_file_builds(path: Path, tmp_path: Path) -> None:
    """Each precision of each engine parses and builds, with batches of 1 to 8 where the file leaves them free."""
    run_builder(request_for(path, tmp_path / "plan", options=BuildOptions(workspace_mib=256, max_batch=8)))
    assert (tmp_path / "plan").stat().st_size > 10_000
    assert (tmp_path / "plan").stat().st_mode & 0o077 == 0


@needs_rtx
@pytest.mark.parametrize("batch", [1, 4, "batch"])
@pytest.mark.parametrize("gpu", ["none", "8.9"])
def test_fixed_and_free_batches_build(tmp_path: Path, batch: int | str, gpu: str) -> None:
    """With any batch, for any GPU or one; an optimum above the largest batch is the largest."""
    (tmp_path / "tiny").mkdir()
    write_model(tmp_path / "tiny" / "model.onnx", batch=batch)
    options = BuildOptions(workspace_mib=64, max_batch=2, opt_batch=4)
    run_builder(request_for(tmp_path / "tiny" / "model.onnx", tmp_path / "plan", options=options, gpu=gpu))
    assert (tmp_path / "plan").stat().st_size > 0


@needs_rtx
def test_a_grid_of_five_dimensions_builds(tmp_path: Path) -> None:
    """A network of things gives (N, C, 32, 32, 32), with a free batch."""
    folder = write_extruder(tmp_path / "objects")
    run_builder(request_for(folder / "model.onnx", tmp_path / "plan"))
    assert (tmp_path / "plan").stat().st_size > 0


@needs_rtx
def test_progress_goes_from_nothing_to_nearly_all(tiny: BuildRequest) -> None:
    """Fractions are of the whole, phases have names, time goes on, and the model is named."""
    said: list[BuildProgress] = []
    seconds = run_builder(tiny, on_progress=said.append)
    assert said[0].fraction == 0.0
    assert all(0.0 <= p.fraction <= 1.0 and p.phase and p.model == "tiny" for p in said)
    assert [p.seconds for p in said] == sorted(p.seconds for p in said)
    assert said[-1].seconds <= seconds


def write_single(path: Path, operator: str, shape: list[int | str | None]) -> Path:
    """An ONNX file with one node named `culprit`."""
    path.parent.mkdir(exist_ok=True)
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("image", "depth"))
    graph = helper.make_graph([helper.make_node(operator, ["image"], ["depth"], name="culprit")], "one", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


@needs_rtx
def test_an_operator_that_tensorrt_lacks_is_named_with_its_node(tmp_path: Path) -> None:
    """The message says which node, which operator, and what to do."""
    path = write_single(tmp_path / "odd" / "model.onnx", "Det", [1, 3, 8, 8])
    with pytest.raises(BuildError, match=r"odd: .*node culprit \(Det\).*inference.backend: ort"):
        run_builder(request_for(path, tmp_path / "plan"))
    assert not (tmp_path / "plan").exists()


@needs_rtx
def test_only_the_batch_may_be_free(tmp_path: Path) -> None:
    """A picture of any height has no profile; the message names input and shape."""
    path = write_single(tmp_path / "tall" / "model.onnx", "Relu", ["batch", 3, "height", 8])
    with pytest.raises(BuildError, match=r"input image has shape \(-1, 3, -1, 8\)"):
        run_builder(request_for(path, tmp_path / "plan"))


@needs_rtx
def test_rubbish_is_no_onnx(tmp_path: Path) -> None:
    """Bytes that are no model are refused by TensorRT's parser, in words."""
    (tmp_path / "model.onnx").write_bytes(b"rubbish")
    with pytest.raises(BuildError, match="cannot read the ONNX file"):
        run_builder(request_for(tmp_path / "model.onnx", tmp_path / "plan"))


@needs_rtx
def test_bytes_that_the_manifest_does_not_name_are_not_built(tiny: BuildRequest) -> None:
    """The file is read once, and only the very bytes with the asked sha256 are parsed."""
    write_model(Path(tiny.onnx), gain=3.0)
    with pytest.raises(BuildError, match="not the file that the manifest names"):
        run_builder(tiny)


@needs_rtx
@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"compute_capability": "9.0"}, r"knows no GPU of compute capability 9\.0 \(known: 7\.5, "),
        ({"options": BuildOptions(workspace_mib=64, dla_core=0)}, "no DLA core 0: this machine has 0"),
    ],
)
def test_what_the_machine_lacks_is_said(tiny: BuildRequest, change: dict[str, Any], word: str) -> None:
    """A GPU that the library has no code for, and an accelerator that is not there."""
    with pytest.raises(BuildError, match=word):
        run_builder(replace(tiny, **change))


@needs_rtx
def test_a_build_that_takes_too_long_is_ended(tiny: BuildRequest) -> None:
    """Past its time it is killed, and the message says which key to raise."""
    with pytest.raises(BuildError, match=r"took longer than 0\.01 s; raise inference.build.timeout_s"):
        run_builder(replace(tiny, options=replace(tiny.options, timeout_s=0.01)))
    assert children() == []
    assert not Path(tiny.output).exists()


@needs_rtx
def test_a_build_can_be_stopped(tiny: BuildRequest) -> None:
    """Once the event is set the child is killed, and nobody waits for it."""
    stop = threading.Event()
    with pytest.raises(BuildError, match="interrupted"):
        run_builder(tiny, on_progress=lambda _: stop.set(), stop=stop)
    assert children() == []


@needs_rtx
def test_an_exception_of_the_caller_ends_the_child(tiny: BuildRequest) -> None:
    """Also Ctrl-C, which raises wherever the caller is, leaves no child behind."""

    def interrupt(_progress: BuildProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_builder(tiny, on_progress=interrupt)
    assert children() == []


@needs_rtx
def test_a_child_that_linux_killed_is_recognised(tiny: BuildRequest) -> None:
    """SIGKILL is what a machine without memory sends; the message says what to do about that."""
    with pytest.raises(BuildError, match=r"memory runs out.*workspace_mib \(64\)"):
        run_builder(tiny, on_progress=lambda _: [child.kill() for child in children()])


@needs_rtx
def test_a_crash_is_told_with_its_signal(tiny: BuildRequest) -> None:
    """Native code can crash; the message names the signal."""
    with pytest.raises(BuildError, match="was killed by SIGSEGV"):
        run_builder(tiny, on_progress=lambda _: [child.send_signal(signal.SIGSEGV) for child in children()])


@needs_rtx
def test_a_child_does_not_outlive_its_parent(tiny: BuildRequest) -> None:
    """When the process that asked is gone, and with it the pipe, the child ends without a plan."""
    child = subprocess.Popen(
        [sys.executable, "-m", "edge.inference.trt.builder"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
    )
    child.communicate(tiny.to_json().encode() + b"\n", timeout=30)
    assert child.returncode == 1
    assert not Path(tiny.output).exists()


def test_a_request_survives_its_way_to_the_child(tiny: BuildRequest) -> None:
    """JSON and back changes nothing."""
    assert BuildRequest.from_json(tiny.to_json()) == tiny


def test_a_build_without_memory_is_not_begun(tiny: BuildRequest) -> None:
    """The message says how much is needed, how much is free, and which key lowers it."""
    needed = needed_mib(Path(tiny.onnx).stat().st_size, tiny.options.workspace_mib)
    with pytest.raises(BuildError, match=rf"{needed} MiB.*100 MiB are free.*workspace_mib \(64\)"):
        check_memory(tiny, free_bytes=100 << 20)
    check_memory(tiny, free_bytes=needed << 20)


def test_a_full_disk_is_said(tiny: BuildRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where not even a temporary file can be made, no build is begun, and ONNX Runtime can serve."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(BuildError, match="make room"):
        run_builder(tiny)


def test_without_tensorrt_each_kind_of_machine_is_told_where_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """JetPack's package on a Jetson, an extra of this package elsewhere."""
    for module in ("tensorrt", "tensorrt_rtx_bindings"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(EngineError, match=r"python3-libnvinfer.*edge-reconstruction\[tensorrt\]"):
        tensorrt_module()


def test_importing_the_package_imports_no_tensorrt() -> None:
    """Neither the command nor the modules around the builder load it before it is used."""
    code = (
        "import sys, edge.__main__, edge.inference.trt.plans, edge.inference.trt.build_process\n"
        "assert not {'tensorrt', 'tensorrt_rtx_bindings', 'pycuda'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY, timeout=60)


class Driver:
    """CUDA's driver library of an Orin with CUDA 12.6; `status` is what every call returns."""

    def __init__(self, status: int = 0) -> None:
        self.status = status

    def cuInit(self, flags: int) -> int:
        return self.status

    def cuDeviceGet(self, device: Any, ordinal: int) -> int:
        device._obj.value = ordinal
        return self.status

    def cuDeviceGetName(self, name: Any, size: int, device: ctypes.c_int) -> int:
        name.value = b"Orin"
        return self.status

    def cuDeviceGetAttribute(self, value: Any, attribute: int, device: ctypes.c_int) -> int:
        value._obj.value = {75: 8, 76: 7}[attribute]
        return self.status

    def cuDriverGetVersion(self, version: Any) -> int:
        version._obj.value = 12060
        return self.status


def test_a_gpu_is_what_its_driver_says(tmp_path: Path) -> None:
    """Capability, name, CUDA version, and the kernel module's release where the kernel tells it."""
    release = tmp_path / "version"
    release.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release Build\nGCC 11\n")
    assert gpu_facts(Driver(), release) == ("8.7", "Orin", "12.6/540.4.0")
    assert gpu_facts(Driver(), tmp_path / "none") == ("8.7", "Orin", "12.6")


def test_a_driver_without_gpu_is_no_gpu(tmp_path: Path) -> None:
    """CUDA_ERROR_NO_DEVICE is no error but an answer."""
    assert gpu_facts(Driver(100), tmp_path / "none") == ("none", "none", "none")
