"""`edge bench --against`: other networks beside the shipped ones, in one run on one thread; no camera, no broker.

Every network runs once a round, so that what disturbs one disturbs all. A ratio compares the same rounds: on a busy
machine it holds where the milliseconds do not.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnxruntime

from edge.errors import ManifestError
from edge.inference.manifest import MANIFEST_FILE, Manifest, read_manifest_file, sha256_of
from edge.inference.ort import cores
from edge.inference.store import ModelStore
from edge.inference.timing import Times, time_files, times

_LEAST_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Timed:
    """One network; its ratios are to the one of ours named `beside`."""

    name: str
    version: str
    task: str
    ours: bool
    beside: str
    width_px: int
    height_px: int
    file_bytes: int
    times: Times


@dataclass(frozen=True, slots=True)
class Comparison:
    """What one run measured; load averages are of one minute, None where the system has none."""

    machine: str
    runtime: str
    rounds: int
    load_before: float | None
    load_after: float | None
    networks: tuple[Timed, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Entry:
    manifest: Manifest
    path: Path
    beside: int
    """Position of the network of ours that it is compared with; its own for ours."""
    ours: bool


def _other(path: Path, manifest_path: Path | None) -> Manifest:
    """The verified manifest of an ONNX file: the one given, or the one beside it."""
    given = manifest_path or path.parent / MANIFEST_FILE
    if not path.is_file():
        raise ManifestError(f"{path}: no such file; give --against an ONNX file")
    if manifest_path is None and not given.is_file():
        raise ManifestError(
            f"{path}: an ONNX alone does not say what it takes and gives; write a JSON file with schema, name, "
            "version, task, onnx, input, output and provenance (`edge schema manifest` describes them, "
            "engines/*/manifest.json shows them), and give it with --manifest"
        )
    manifest = read_manifest_file(given)
    actual = sha256_of(path)
    if actual != manifest.onnx.sha256:
        raise ManifestError(
            f"{path}: sha256 is {actual}, {given} says {manifest.onnx.sha256}: give the manifest of this file, or "
            "correct onnx.sha256 in it"
        )
    return manifest


def _entries(
    store: ModelStore, names: Mapping[str, str], others: Sequence[tuple[Path, Path | None]], engine: str | None
) -> list[_Entry]:
    """Ours, once each, in the order in which the others need them, then the others."""
    manifests = [_other(*pair) for pair in others]
    wanted = [engine or names.get(m.task, m.task) for m in manifests]
    chosen = list(dict.fromkeys(wanted))
    models = [store.find(name) for name in chosen]
    ours = [_Entry(model.manifest, model.onnx, i, True) for i, model in enumerate(models)]
    pairs = zip(manifests, others, wanted, strict=True)
    return ours + [_Entry(m, path, chosen.index(name), False) for m, (path, _), name in pairs]


def _load() -> float | None:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def compare(
    store: ModelStore,
    others: Sequence[tuple[Path, Path | None]],
    *,
    names: Mapping[str, str],
    engine: str | None = None,
    seconds: float,
    on_progress: Callable[[str], None] = lambda _text: None,
) -> Comparison:
    """Time other ONNX files beside ours, in ONNX Runtime on the CPU, in float32.

    Args:
        store: where ours are.
        others: ONNX files, each with its manifest; None: the one beside it.
        names: our model's name by task, for tasks whose model is named otherwise than the task.
        engine: compare all with this one of ours instead.
        seconds: measuring time; there are 10 rounds at least.
        on_progress: called with what is being done.

    Raises:
        EngineError: there is no such model of ours, or one cannot be loaded or run.
        ManifestError: an ONNX and its manifest do not belong together, or one of them is missing.
    """
    entries = _entries(store, names, others, engine)
    on_progress(f"timing {', '.join(e.manifest.name for e in entries)} in turn for {seconds:g} s or more")
    before = _load()
    taken = time_files([(e.manifest, e.path) for e in entries], rounds=_LEAST_ROUNDS, seconds=seconds)
    networks = tuple(
        Timed(
            name=e.manifest.name,
            version=e.manifest.version,
            task=e.manifest.task,
            ours=e.ours,
            beside=entries[e.beside].manifest.name,
            width_px=e.manifest.input.width_px,
            height_px=e.manifest.input.height_px,
            file_bytes=e.path.stat().st_size,
            times=times(taken[:, i], taken[:, e.beside]),
        )
        for i, e in enumerate(entries)
    )
    machine = f"{platform.machine()}, {cores()} cores"
    runtime = f"ONNX Runtime {onnxruntime.__version__}, CPU, float32, 1 thread"
    return Comparison(machine, runtime, len(taken), before, _load(), networks)
