"""Plans made where there are none: built in a child process, in a folder that is gone afterwards, signed and stored."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from edge.errors import BuildError, EngineError, PlanError
from edge.inference.manifest import Precision
from edge.inference.options import BuildOptions
from edge.inference.store import StoredModel
from edge.inference.trt.build_process import BuildProgress, OnProgress, ignore_progress, run_builder
from edge.inference.trt.builder import BuildRequest
from edge.inference.trt.plan_record import PlanKey, PlanRecord, interface_of
from edge.inference.trt.plans import Plan, PlanStore
from edge.inference.trt.platform import Platform
from edge.keep.files import device_key, read_private, sign, verifies, write_private

_SIGNATURE_BYTES = 32
_log = logging.getLogger(__name__)


def ensure_plan(
    plans: PlanStore,
    model: StoredModel,
    precision: Precision,
    platform: Platform,
    options: BuildOptions,
    *,
    on_progress: OnProgress = ignore_progress,
    stop: threading.Event | None = None,
    force: bool = False,
) -> Plan:
    """Find the plan; if there is none that may be loaded, build it in a child process and sign it.

    Args:
        plans: where it is kept.
        model: whose.
        precision: which of its files.
        platform: this machine.
        options: how it is built.
        on_progress: called while building, and while another process builds the same.
        stop: set it to give up.
        force: build in any case, also one that was rejected.

    Raises:
        PlanError: `rejected`: it was built before and did not hold; `key`: the device's key may not be used.
        BuildError: it cannot be built here, or was given up.
        EngineError: it cannot be written; the plans that were there stand.
    """
    name = model.folder.name
    why: list[PlanError] = []

    def look() -> Plan | None:
        try:
            return plans.find(model, precision, platform, options)
        except PlanError as e:
            if e.reason == "rejected" or (e.reason == "key" and plans.key_file.exists()):
                raise
            why.append(e)
            return None

    def wait(seconds: float) -> None:
        on_progress(BuildProgress(name, "another process builds", 0.0, seconds))

    if not force and (plan := look()) is not None:
        return plan
    _refuse_without_gpu(name, platform)
    with plans.locked(name, on_wait=wait, stop=stop):
        if not force and (plan := look()) is not None:
            return plan
        _log.info("%s: building a plan (%s)", name, why[-1] if why else "asked to")
        key = PlanKey.of(model.manifest, precision, platform, options)
        return _build(plans, model, key, options, on_progress, stop)


def _build(
    plans: PlanStore,
    model: StoredModel,
    key: PlanKey,
    options: BuildOptions,
    on_progress: OnProgress,
    stop: threading.Event | None,
) -> Plan:
    """Build, sign and store; the caller holds the model's lock."""
    device = device_key(plans.key_file, make=True)
    path = plans.path_of(model.folder.name, key)
    for left in path.parent.glob(".build-*"):
        shutil.rmtree(left, ignore_errors=True)
    with _temporary_folder(path.parent) as folder:
        cache = _timing_cache(plans.root, key, folder, device)
        request = BuildRequest(
            model=model.folder.name,
            onnx=str((model.folder / model.manifest.file_of(key.precision).file).absolute()),
            onnx_sha256=key.onnx_sha256,
            output=str(folder / "plan"),
            timing_cache="" if cache is None else str(folder / "timing"),
            compute_capability=key.compute_capability,
            options=options,
        )
        seconds = run_builder(request, on_progress=on_progress, stop=stop)
        data = read_private(folder / "plan")
        if cache is not None and (folder / "timing").exists():
            timing = read_private(folder / "timing")
            write_private(cache, sign(device, (timing,)) + timing)
    record = PlanRecord(
        model=model.folder.name,
        model_version=model.manifest.version,
        interface=interface_of(model.manifest),
        key=key,
        plan_sha256=hashlib.sha256(data).hexdigest(),
        plan_bytes=len(data),
        seconds=round(seconds, 1),
        built_at=datetime.now(timezone.utc).isoformat(timespec="microseconds"),
    )
    return plans.write(Plan(path, record, data))


def _timing_cache(root: Path, key: PlanKey, folder: Path, device: bytes) -> Path | None:
    """Where timings of this GPU and version are kept; those there are laid into the build's folder if they verify."""
    if key.sdk != "tensorrt":  # TensorRT-RTX times nothing when it builds
        return None
    words = f"{key.sdk_version}-{key.compute_capability}-{key.device}"
    path = root / ("".join(c if c.isalnum() or c in ".-" else "_" for c in words) + ".timing")
    with contextlib.suppress(PlanError):
        signature, timing = (sealed := read_private(path))[:_SIGNATURE_BYTES], sealed[_SIGNATURE_BYTES:]
        if verifies(device, (timing,), signature):
            write_private(folder / "timing", timing)
    return path


@contextmanager
def _temporary_folder(beside: Path) -> Iterator[Path]:
    """A folder of mode 0700 beside the plans, gone afterwards; its path is absolute."""
    try:
        path = Path(tempfile.mkdtemp(prefix=".build-", dir=beside.absolute()))
    except OSError as e:
        raise EngineError(
            f"{beside}: cannot be written ({e.strerror}); make room, or set inference.plans to another folder"
        ) from e
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _refuse_without_gpu(name: str, platform: Platform) -> None:
    if platform.sdk == "tensorrt" and not platform.has_gpu:
        raise BuildError(
            f"{name}: {platform.title} builds on the GPU that the plan is for, and CUDA finds none here; check "
            "`nvidia-smi` (Jetson: `ls /dev/nvhost*`, group video and render), or serve with `inference.backend: ort`"
        )
