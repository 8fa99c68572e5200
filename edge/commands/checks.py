"""What `edge check` tries for real: installation, engines, cameras and broker, each failure with its remedy."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2

from edge.cameras.csi import has_gstreamer
from edge.cameras.sphere import varies_at_both_poles
from edge.commands.camera_pictures import first_picture
from edge.config.cameras import CameraConfig
from edge.config.sections import Config
from edge.daemon.build import endpoint_of, kept_for_review, recordings_of, topics_of
from edge.errors import EdgeError
from edge.inference.options import InferenceOptions
from edge.inference.serving import ServingBackend
from edge.inference.trt.cuda_code import CudaCode, cuda_code, jetson_gpu
from edge.mqtt.broker import EmbeddedBroker
from edge.pipeline.engines import load_engine
from edge.publish.trial import ask_daemons, try_broker
from edge.scene import Noun

_ONNXRUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-training")
"""Distributions that install into the one folder `onnxruntime`."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried."""

    what: str
    passed: bool
    detail: str


def _tried(what: str, action: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, action())
    except EdgeError as e:
        return Finding(what, False, str(e))


def _engine(config: Config, task: Noun, on_progress: Callable[[str], None]) -> str:
    name = config.tasks.objects.engine if task == "objects" else config.tasks[task].engine
    assert name is not None
    options = config.inference.options()
    _, serving = load_engine(
        config.model_store(), name, task, options, on_progress=lambda p: on_progress(f"{name}: {p}")
    )
    with serving:
        if serving.degraded is not None:
            raise EdgeError(serving.degraded)
        return describe_serving(serving, options)


def describe_serving(serving: ServingBackend, options: InferenceOptions) -> str:
    """What was asked for, what serves, how it was proved, and why nothing faster could be tried."""
    asked = options.backend if options.precision == "auto" else f"{options.backend} {options.precision}"
    parts = [f"asked for {asked}, serves {serving.provider} {serving.precision}"]
    if serving.plan is not None:
        record = serving.plan.record
        parts.append(f"plan {record.key.digest[:12]} of {record.built_at}, {record.state}")
    golden = serving.golden
    if golden is None:
        parts.append("loads, but was not compared with a golden output")
    else:
        worst = max(golden.difference[n] / t if t else golden.difference[n] for n, t in golden.tolerance.items())
        parts.append(f"golden output reproduced at {worst:.0%} of its tolerance")
    return "; ".join((*parts, *serving.not_here))


def _camera(camera: CameraConfig) -> str:
    got = first_picture(camera.name, camera.spec, camera.model, camera.most_megapixels)
    height, width = got.frame.image.shape[:2]
    if camera.projection == "equirectangular" and width != 2 * height:
        raise EdgeError(
            f"sends {width}x{height}; a whole panorama is twice as wide as high: set projection: perspective, or say "
            "which part of the sphere it is: panorama: {vertical_deg: [lower, upper]}"
        )
    if camera.projection == "equirectangular" and got.frame.seen is None and varies_at_both_poles(got.frame.image):
        raise EdgeError(
            "is said to send whole panoramas, but the first and the last row of its picture each show many things, not "
            "what is straight up and straight down: a strip of the sphere, as some cameras' panorama mode. Say which: "
            "panorama: {vertical_deg: [lower, upper]}"
        )
    if got.degraded:
        raise EdgeError("; ".join(got.degraded))
    return f"{camera.source.type}; first picture {width}x{height} after {got.after_s:.1f} s"


def _broker(config: Config) -> str:
    broker = None
    if config.mqtt.host is None:
        broker = EmbeddedBroker(config.mqtt.embedded.port, config.mqtt.embedded.websocket_port)
        broker.start()
    try:
        endpoint = endpoint_of(config, broker)
        client_id = f"{config.mqtt.client_id or config.device.name}-check"
        found = f"{'embedded, ' if broker else ''}{try_broker(endpoint, topics_of(config), client_id)}"
        return f"{found}; warning: {config.mqtt.exposure}" if config.mqtt.exposure else found
    finally:
        if broker is not None:
            broker.stop()


def _spool(config: Config) -> str:
    """Whether messages can wait on the disk; nothing is made there, since another user may run this."""
    own = config.mqtt.spool
    folder = own.folder_of(config.device.name)
    there = next(p for p in (folder, *folder.parents) if p.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        raise EdgeError(
            f"{folder}: this user may not write there; run this as the user that runs edge, or set mqtt.spool.folder"
        )
    free_bytes, kept_bytes = shutil.disk_usage(there).free, 0
    with contextlib.suppress(OSError):
        kept_bytes = sum(file.stat().st_size for file in folder.iterdir())
    if free_bytes + kept_bytes < own.max_bytes:
        raise EdgeError(
            f"{folder}: {free_bytes >> 20} MiB are free and mqtt.spool.max_bytes is {own.max_bytes >> 20} MiB; make "
            "room, or lower it"
        )
    return f"{folder}; {free_bytes >> 20} MiB free"


def _review(config: Config) -> str:
    """What is kept of pictures, where and how long: nobody should have to guess."""
    own = config.review
    kept = kept_for_review(config)
    if kept is None:
        return "no picture is kept"
    people = {
        "removed": "people removed by the median of an hour",
        "blurred": "all that stands in the room blurred",
        "kept": "people in them",
        "no_picture": "of them numbers alone",
    }[own.people]
    when = "by request and what contradicts itself" if own.automatic else "by request"
    waiting, labelled = len(kept.entries()), len(kept.labelled())
    return (
        f"pictures {when}, {people}, in {own.folder}: {waiting} wait (at most {own.most_entries}, {own.most_mib} MiB, "
        f"{own.most_days:g} days), {labelled} labelled; edge review --delete all removes them"
    )


def _recordings(config: Config) -> str:
    """What `edge record` kept, where and how long."""
    kept = recordings_of(config)
    if kept is None:
        return "nothing is recorded"
    kept_mib, own = kept.size_bytes() / 2**20, config.record
    return (
        f"{len(kept.names())} in {own.folder}, {kept_mib:.0f} MiB (at most {own.most_mib}, {own.most_days:g} days); "
        "edge record --delete all removes them"
    )


def _daemons(config: Config) -> Finding | None:
    """What runs under this device's name says of itself; None where nothing does, or may not be asked."""
    if config.mqtt.host is None:
        return None
    try:
        client_id = f"{config.mqtt.client_id or config.device.name}-ask"
        degraded = ask_daemons(config.mqtt.endpoint(), topics_of(config), client_id)
    except EdgeError:
        return None  # the finding of the broker says why
    name = config.device.name
    if len(degraded) > 1:
        text = f"{len(degraded)} daemons answer as {name!r} on this broker; give each its own device.name"
        return Finding("running daemon", False, text)
    if not degraded:
        return None
    (texts,) = degraded
    return Finding("running daemon", not texts, "; ".join(texts) or f"{name!r} answers, and nothing is degraded")


@dataclass(frozen=True, slots=True)
class Installation:
    """What is installed here, and on what."""

    machine: str
    """E.g. aarch64."""
    jetson: frozenset[int] | None
    """Compute capabilities that a Jetson's GPU may have; None on other machines."""
    onnxruntimes: tuple[str, ...]
    """Distributions of ONNX Runtime, name and version."""
    onnxruntime_code: CudaCode | None
    """What ONNX Runtime's CUDA provider was compiled for; None if there is none."""
    gstreamer: bool
    """Whether OpenCV can read GStreamer pipelines."""


def installation(root: Path = Path("/")) -> Installation:
    """This machine's; `root`: of its file system."""
    found = importlib.util.find_spec("onnxruntime")
    folders = [] if found is None else [Path(f) for f in found.submodule_search_locations or ()]
    libraries = [p for f in folders for p in (f / "capi").glob("libonnxruntime_providers_cuda.so")]
    installed = []
    for name in _ONNXRUNTIMES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            installed.append(f"{name} {importlib.metadata.version(name)}")
    return Installation(
        machine=platform.machine(),
        jetson=jetson_gpu(root),
        onnxruntimes=tuple(installed),
        onnxruntime_code=cuda_code(libraries[0]) if libraries else None,
        gstreamer=has_gstreamer(cv2.getBuildInformation()),
    )


def installation_findings(here: Installation, *, csi: bool) -> list[Finding]:
    """What is installed and cannot work; `csi`: a CSI camera is configured. Nothing where all is well."""
    findings = []
    if len(here.onnxruntimes) > 1:
        findings.append(
            Finding(
                "onnxruntime",
                False,
                f"{' and '.join(here.onnxruntimes)} are installed into one folder, and the last one written is what "
                "runs: pip uninstall both, then install the one that is wanted",
            )
        )
    code = here.onnxruntime_code
    if here.jetson is not None and code is not None and not code.runs_on_jetson(here.jetson):
        have = ", ".join(f"{n // 10}.{n % 10}" for n in sorted(code.cubin | code.ptx)) or "no GPU"
        findings.append(
            Finding(
                "onnxruntime-gpu",
                False,
                f"{', '.join(here.onnxruntimes)} has code for GPUs of compute capability {have}, and none for this "
                f"Jetson's: the package index's {here.machine} build is for servers. pip uninstall onnxruntime-gpu and "
                "install NVIDIA's build for this JetPack, or onnxruntime for the CPU (docs/gpu.md)",
            )
        )
    if csi and not here.gstreamer:
        findings.append(
            Finding(
                "opencv",
                False,
                f"OpenCV {cv2.__version__} was built without GStreamer, which csi cameras are read through: remove "
                "opencv-python-headless and use JetPack's OpenCV (make the environment with --system-site-packages)",
            )
        )
    return findings


def run_checks(config: Config, on_progress: Callable[[str], None]) -> list[Finding]:
    """Try everything the configuration names; TensorRT may build for minutes, which `on_progress` is called with."""
    tasks: list[Noun] = sorted({t for c in config.cameras for t in c.tasks})
    tasks += [] if config.tasks.objects.engine is None else ["objects"]
    findings = installation_findings(installation(), csi=any(c.source.type == "csi" for c in config.cameras))
    findings += [_tried(f"engine {t}", lambda t=t: _engine(config, t, on_progress)) for t in tasks]  # type: ignore[misc]
    findings += [_tried(f"camera {c.name}", lambda c=c: _camera(c)) for c in config.cameras]  # type: ignore[misc]
    if config.mqtt.host is not None and config.mqtt.spool.enabled:
        findings.append(_tried("spool", lambda: _spool(config)))
    findings.append(_tried("review", lambda: _review(config)))
    findings.append(_tried("recordings", lambda: _recordings(config)))
    findings.append(_tried("broker", lambda: _broker(config)))
    running = _daemons(config) if findings[-1].passed else None
    return findings if running is None else [*findings, running]
