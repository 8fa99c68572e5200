"""This machine's TensorRT and GPU: what a plan is bound to besides its model."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.errors import EngineError

NONE = "none"
"""Stands for compute capability, device and driver where there is no GPU."""

_MESSAGES_KEPT = 8


@dataclass(frozen=True, slots=True)
class Platform:
    """What a plan is bound to besides its model: it is native code for one GPU and one version of TensorRT."""

    sdk: str
    """`tensorrt` or `tensorrt_rtx`."""
    version: str
    compute_capability: str
    """E.g. `8.7`, or `none`."""
    device: str
    """The GPU's name, or `none`."""
    driver: str
    """CUDA version that the driver supports and, where the kernel tells it, the driver's release."""

    @property
    def has_gpu(self) -> bool:
        """Whether there is one that CUDA can use."""
        return self.compute_capability != NONE

    def __str__(self) -> str:
        """For people."""
        gpu = f"{self.device} ({self.compute_capability}, driver {self.driver})" if self.has_gpu else "no GPU"
        return f"{self.title} on {gpu}"

    @property
    def title(self) -> str:
        """TensorRT and its version."""
        return f"{'TensorRT-RTX' if self.sdk == 'tensorrt_rtx' else 'TensorRT'} {self.version}"


def tensorrt_module() -> Any:
    """`tensorrt`, or where that is not installed `tensorrt_rtx_bindings`.

    Raises:
        EngineError: neither can be imported; says how each kind of machine gets one.
    """
    try:
        import tensorrt

        return tensorrt
    except (ImportError, OSError) as e:
        why = e
    try:
        import tensorrt_rtx_bindings

        return tensorrt_rtx_bindings
    except (ImportError, OSError):
        raise EngineError(
            f"TensorRT is not installed ({why}). On a Jetson it comes with JetPack: `sudo apt install "
            "python3-libnvinfer`, and make the environment with --system-site-packages. On a workstation: `pip install "
            "'edge-reconstruction[tensorrt]'`. Without it, engines run on ONNX Runtime"
        ) from why


def sdk_of(trt: Any) -> str:
    """`tensorrt` or `tensorrt_rtx`."""
    return "tensorrt" if trt.__name__ == "tensorrt" else "tensorrt_rtx"


def platform() -> Platform:
    """This machine's TensorRT and first GPU.

    Raises:
        EngineError: no TensorRT.
    """
    trt = tensorrt_module()
    sdk = sdk_of(trt)
    try:
        driver: Any = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return Platform(sdk, trt.__version__, NONE, NONE, NONE)
    return Platform(sdk, trt.__version__, *gpu_facts(driver))


def gpu_facts(driver: Any, kernel_module: Path = Path("/proc/driver/nvidia/version")) -> tuple[str, str, str]:
    """Compute capability, name and driver of the first GPU, `none` without one.

    Args:
        driver: CUDA's driver library, as `ctypes` loads it: asked directly, as building needs no other CUDA package.
        kernel_module: where the kernel tells the driver's release.
    """
    numbers = [ctypes.c_int() for _ in range(4)]
    device, major, minor, cuda = numbers
    name = ctypes.create_string_buffer(256)
    # cuda.h: CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75, _MINOR = 76; 0 is success.
    calls: tuple[Callable[[], int], ...] = (
        lambda: driver.cuInit(0),
        lambda: driver.cuDeviceGet(ctypes.byref(device), 0),
        lambda: driver.cuDeviceGetName(name, len(name), device),
        lambda: driver.cuDeviceGetAttribute(ctypes.byref(major), 75, device),
        lambda: driver.cuDeviceGetAttribute(ctypes.byref(minor), 76, device),
        lambda: driver.cuDriverGetVersion(ctypes.byref(cuda)),
    )
    if any(call() != 0 for call in calls):
        return NONE, NONE, NONE
    release = f"{cuda.value // 1000}.{cuda.value % 1000 // 10}"
    if kernel_module.is_file():
        words = kernel_module.read_text(encoding="utf-8", errors="replace").split("\n")[0].split()
        release += "".join(f"/{word}" for word in words if word[:1].isdigit() and "." in word)
    return f"{major.value}.{minor.value}", name.value.decode(errors="replace"), release


def error_logger(trt: Any, messages: list[str]) -> Any:
    """A logger that keeps errors and warnings, the newest last."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                messages.append(message.strip())
                del messages[:-_MESSAGES_KEPT]

    return Logger()
