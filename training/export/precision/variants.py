"""The same network in float16 and in int8: made, proved, timed, and written only where they deserve it."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from edge.inference.base import Arrays, Backend
from edge.inference.manifest import Manifest, Metric, Parity, Precision, Speed, Variant, sha256_of
from edge.inference.ort import OrtBackend
from edge.inference.timing import FASTER, time_files, times
from training.export.graph import in_blocks, read_graph
from training.export.onnx import finished, properties_of
from training.export.precision.half import islands, to_half
from training.export.precision.quantize import CALIBRATIONS, Calibrated, Form, calibrate, prepared, quantized
from training.export.precision.sensitivity import MOST_BLOCKS, Sweep, label, sweep
from training.export.proof.parity import Yardstick, badness, described, require, variant_tolerances, worse_of

FILES: Mapping[Precision, str] = {
    "fp32": "model.onnx",
    "fp16": "model.fp16.onnx",
    "int8": "model.int8.onnx",
    "int8-cpu": "model.int8-cpu.onnx",
}
_FOR: Mapping[Form, str] = {"int8": "for CPUs and GPUs", "int8-cpu": "for CPUs that are faster with it"}
SWEEP_LIMIT_S = 600.0
TIMED_ROUNDS = 100
Score = Callable[[Backend], tuple[Metric, ...]]
"""The task's headline numbers of a model, on pictures that it did not learn from."""
_NAMED = 5
"""Blocks of a sweep that the card names."""


@dataclass(frozen=True)
class Proof:
    """What an exported file is compared with: the trained network's answers, and how far off it may be."""

    manifest: Manifest
    yardstick: Yardstick
    given: npt.NDArray[np.float32]
    """(N, C, H, W) the golden input."""
    expected: Arrays
    """What the trained network answers to it."""


@dataclass(frozen=True)
class Outcome:
    """A precision that was tried; `variant` is None where no file was written."""

    precision: Precision
    variant: Variant | None
    row: str
    """Its line in the card's table."""
    notes: tuple[str, ...] = ()


@dataclass
class _Trial:
    """One model file in a folder of its own, measured."""

    proof: Proof
    path: Path
    precision: Precision
    found: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)

    def measure(self, model: onnx.ModelProto) -> tuple[Parity, ...]:
        """Write the model, run it, and compare; keeps what it says to the golden input."""
        self.path.write_bytes(finished(model, properties_of(self.proof.manifest, self.precision)))
        with OrtBackend(self.path, self.proof.manifest, threads=1) as backend:
            self.found = {name: value.copy() for name, value in backend.run(self.proof.given).items()}
            return self.proof.yardstick.measure(backend, self.precision)

    def damage(self, model: onnx.ModelProto) -> float:
        """How far off it is, as a share of what is tolerated."""
        return badness(self.measure(model))


def machine() -> str:
    """What ran, as far as it decides how fast integers are."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        flags = []
    units = {"avx512_vnni": "AVX512-VNNI", "avx_vnni": "AVX-VNNI", "asimddp": "dot product", "avx2": "AVX2"}
    unit = next((name for flag, name in units.items() if flag in flags), "")
    return ", ".join(filter(None, (platform.machine(), unit, "one thread")))


def row_of(name: str, size_bytes: int, parity: Sequence[Parity], time: str, verdict: str) -> str:
    """A line of the card's table of files."""
    return f"| `{name}` | {size_bytes / 1e6:.1f} | {described(parity)} | {time} | {verdict} |"


def _swept(what: str, found: Sweep) -> tuple[str, ...]:
    """What a sweep found, for the card."""
    if not found.alone:
        return ()
    worst = ", ".join(f"{label(block)} {damage:.2g}" for block, damage in found.alone[:_NAMED])
    named = ", ".join(label(block) for block in found.excluded[:_NAMED]) or "nothing"
    kept = named if len(found.excluded) <= _NAMED else f"{len(found.excluded)} blocks"
    return (
        f"{what}, sensitivity: all layers together do {found.whole:.2g} times the damage tolerated; of "
        f"{len(found.alone)} blocks the worst alone: {worst}. Kept in float32: {kept}; what is left does "
        f"{found.damage:.2g}.",
    )


def make_half(proof: Proof, folder: Path, inputs: npt.NDArray[np.float32]) -> Outcome:
    """Write `model.fp16.onnx` beside the float32 file in `folder`.

    `inputs` (N, C, H, W): real pictures, on which the sizes of values are measured.

    Raises:
        EngineError: it answers otherwise than the network, whatever stays float32.
    """
    model = read_graph(folder / FILES["fp32"])
    path = folder / FILES["fp16"]
    emulated = _Trial(proof, folder / "emulated.onnx", "fp16")
    base = islands(model, inputs)
    blocks = in_blocks([node.name for node in model.graph.node if node.name not in base], MOST_BLOCKS)
    found = sweep(
        blocks, lambda kept: to_half(model, base | kept, emulate=True), emulated.damage, limit_s=SWEEP_LIMIT_S
    )
    kept = base | found.kept
    as_on_gpus = emulated.measure(to_half(model, kept, emulate=True))
    emulated.path.unlink()
    real = _Trial(proof, path, "fp16")
    parity = worse_of(real.measure(to_half(model, kept)), as_on_gpus)
    if len(found.excluded) == len(blocks):
        row = row_of(path.name, path.stat().st_size, parity, "–", f"not written: {_far(0)}")
        path.unlink()
        return Outcome("fp16", None, row, _swept("float16", found))
    require(parity, path.name)
    tolerances = [variant_tolerances(proof.expected, trial.found) for trial in (real, emulated)]
    tolerance = {name: max(t[name] for t in tolerances) for name in tolerances[0]}
    variant = Variant(file=path.name, sha256=sha256_of(path), tolerance=tolerance, parity=parity)
    row = row_of(path.name, path.stat().st_size, parity, "not measured on a GPU", "for GPUs")
    return Outcome("fp16", variant, row, _swept("float16", found))


def _far(layers: int) -> str:
    """That a file with so many layers of the lower precision is refused."""
    return "too far from the network" if layers else "no layer in it is close enough to the network"


def _best_calibrated(
    model: onnx.ModelProto, inputs: npt.NDArray[np.float32], trial: _Trial, form: Form
) -> tuple[Calibrated, str]:
    """The way of calibrating that does less damage with everything in int8, and its name."""
    tried = [(calibrate(model, inputs, how, form), how) for how in CALIBRATIONS]
    return min(tried, key=lambda pair: trial.damage(quantized(pair[0])))


def _ratio(proof: Proof, path: Path, reference: Path) -> float:
    """Median time over the float32 file's, interleaved, one thread on the CPU."""
    taken = time_files([(proof.manifest, reference), (proof.manifest, path)], rounds=TIMED_ROUNDS)
    return round(times(taken[:, 1], taken[:, 0]).ratio, 3)


def _scored(form: Form, score: Score | None, before: Path, after: Path, manifest: Manifest) -> tuple[str, ...]:
    """What int8 does to the headline numbers, for the card."""
    if score is None:
        return ()
    with OrtBackend(before, manifest, threads=1) as a, OrtBackend(after, manifest, threads=1) as b:
        pairs = list(zip(score(a), score(b), strict=True))
    numbers = "; ".join(f"{old.name} {old.value:.3f} → {new.value:.3f} on {old.data}" for old, new in pairs)
    return (f"{form} against float32: {numbers}.",)


def _failings(layers: int, parity: tuple[Parity, ...], ratio: float) -> list[str]:
    """Why an int8 file with so many layers in int8 is not written; none where it is close and fast enough."""
    found = []
    if layers == 0 or badness(parity) > 1:
        found.append(_far(layers))
    if ratio > FASTER:
        found.append(f"not faster than {FASTER:g} of float32's time")
    return found


def make_int8(
    proof: Proof,
    folder: Path,
    inputs: npt.NDArray[np.float32],
    form: Form = "int8",
    *,
    score: Score | None = None,
) -> Outcome:
    """Write an int8 file beside the float32 one if it is close enough to the network, and faster here.

    Args:
        proof: what it is held against.
        folder: of the float32 file.
        inputs: (N, C, H, W) pictures that were learnt from, on which ranges are measured.
        form: for TensorRT or for CPUs.
        score: what its effect on the task is measured by, for the card.

    Raises:
        DataError: there are too few of them.
    """
    reference, path = folder / FILES["fp32"], folder / FILES[form]
    trial = _Trial(proof, path, form)
    calibrated, how = _best_calibrated(prepared(read_graph(reference)), inputs, trial, form)
    whole = trial.measure(quantized(calibrated))
    whole_ratio = _ratio(proof, path, reference)
    blocks = in_blocks(calibrated.nodes, MOST_BLOCKS)
    found = sweep(blocks, lambda kept: quantized(calibrated, kept), trial.damage, limit_s=SWEEP_LIMIT_S)
    layers = len(calibrated.nodes) - len(found.kept)
    parity = trial.measure(quantized(calibrated, found.kept))
    ratio = _ratio(proof, path, reference)
    failings = _failings(layers, parity, ratio)
    verdict = f"not written: {' and '.join(failings)}" if failings else _FOR[form]
    row = row_of(path.name, path.stat().st_size, parity, f"{ratio:.2f} ({machine()})", verdict)
    notes = (
        f"{form}: {layers} of {len(calibrated.nodes)} operators, ranges of {len(inputs)} pictures "
        f"learnt from ({how}). All of them in int8: {described(whole)}, {whole_ratio:.2f} of float32's time "
        f"({machine()}).",
        *_swept(form, found),
        *_scored(form, score, reference, path, proof.manifest),
    )
    if failings:
        path.unlink()
        return Outcome(form, None, row, notes)
    variant = Variant(
        file=path.name,
        sha256=sha256_of(path),
        tolerance=variant_tolerances(proof.expected, trial.found),
        parity=parity,
        speed=(Speed(provider="CPUExecutionProvider", machine=machine(), ratio=ratio),),
    )
    return Outcome(form, variant, row, notes)
