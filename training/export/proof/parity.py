"""The proof that an exported file answers as the network it came from, in units that mean something to people."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.errors import EngineError, GeometryError
from edge.geometry.harmonics import irradiance_over_pi
from edge.geometry.panorama import rays, solid_angles
from edge.geometry.polygon import iou
from edge.inference.base import Arrays, Backend
from edge.inference.manifest import Manifest, ObjectGrid, Parity, Precision
from edge.perception.readers import Reader, reader_of
from edge.scene import DepthMap, Lighting, Noun, RoomLayout, Task
from training.export.proof.views import CutOut, View, tensors

GOLDEN_SHARE = 0.005
"""Golden tolerance as a share of an output's range: room for other processors, none for wrong weights."""
GOLDEN_MARGIN = 3.0
"""Golden tolerance of another precision over the difference measured on the golden input: GPUs round elsewhere."""
LARGEST_DIFFERENCE = 1e-4
"""Difference between torch and ONNX Runtime, as a share of the output's range, above which an export is refused."""
Grid = tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]
"""What a network says of a thing: which cells are filled, and colours."""
Values = Mapping[Noun, DepthMap | RoomLayout | Lighting | Grid | None]
_ROWS = 16
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Quantity:
    """What is compared, and by how much each precision may be off in the worst picture's mean."""

    name: str
    unit: str
    tolerances: Mapping[Precision, float]


def _quantity(name: str, unit: str, fp32: float, fp16: float, int8: float) -> Quantity:
    return Quantity(name, unit, {"fp32": fp32, "fp16": fp16, "int8": int8, "int8-cpu": int8})


# float32: what another order of summing gives. float16: an order less than anything the shipped models can tell (their
# errors are about 20 % of depth, 2.5 degrees of an edge, 0.14 of a plan, 15 % of irradiance). int8: a tenth of that.
QUANTITIES: Mapping[Noun, tuple[Quantity, ...]] = {
    "depth": (_quantity("depth", "cm", 0.01, 2.0, 6.0), _quantity("depth", "%", 0.01, 0.5, 2.0)),
    "layout": (
        _quantity("floor plan", "1 - IoU", 1e-3, 0.01, 0.02),
        _quantity("boundary", "°", 1e-3, 0.05, 0.25),
        _quantity("ceiling height", "cm", 0.01, 1.0, 5.0),
    ),
    "lighting": (_quantity("irradiance", "% of its RMS", 0.01, 0.5, 2.0),),
    "objects": (_quantity("shape", "1 - IoU", 1e-3, 0.01, 0.03), _quantity("colour", "of 255", 0.01, 1.0, 4.0)),
}


def _depth_differences(a: DepthMap, b: DepthMap) -> tuple[float, ...]:
    off = np.abs(a.depth - b.depth)
    return 100 * float(off.mean()), 100 * float((off / np.maximum(a.depth, 1e-6)).mean())


def _layout_differences(a: RoomLayout, b: RoomLayout) -> tuple[float, ...]:
    edges = [np.stack([room.ceiling_rad, room.floor_rad]) for room in (a, b)]
    both = np.isfinite(edges[0]) & np.isfinite(edges[1])
    off = np.abs(edges[0] - edges[1])[both]
    boundary = float(np.degrees(off.mean())) if off.size else 0.0
    height_cm = 100 * abs(a.ceiling_height_m - b.ceiling_height_m)
    return max(0.0, 1 - iou(a.polygon_m, b.polygon_m)), boundary, height_cm


def _lighting_differences(a: Lighting, b: Lighting) -> tuple[float, ...]:
    normals, share = rays(2 * _ROWS, _ROWS), solid_angles(2 * _ROWS, _ROWS)[..., None] / (4 * np.pi)
    p, q = (irradiance_over_pi(light.coefficients, normals) for light in (a, b))
    return (100 * float(np.sqrt(((p - q) ** 2 * share).sum() / (p**2 * share).sum())),)


def _object_differences(a: Grid, b: Grid) -> tuple[float, ...]:
    """Of filled cells, and of colours where either is filled."""
    both, either = (a[0] & b[0]), (a[0] | b[0])
    off = np.abs(a[1] - b[1]).mean(axis=0)[either]
    return 1 - float(both.sum()) / max(1, int(either.sum())), 255 * float(off.mean()) if off.size else 0.0


def _differences(a: object, b: object, count: int) -> tuple[float, ...]:
    """Of two values of one noun, in the order of its quantities; infinite where only one picture got an answer."""
    if isinstance(a, DepthMap) and isinstance(b, DepthMap):
        return _depth_differences(a, b)
    if isinstance(a, RoomLayout) and isinstance(b, RoomLayout):
        return _layout_differences(a, b)
    if isinstance(a, Lighting) and isinstance(b, Lighting):
        return _lighting_differences(a, b)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return _object_differences(a, b)
    return (0.0 if a is b else np.inf,) * count


@dataclass(frozen=True)
class _Seen:
    """One picture: what the device's readers gave the network, and what they made of its answer."""

    readers: Mapping[Task, Reader]
    given: npt.NDArray[np.float32]
    values: Values


def _read(readers: Mapping[Task, Reader], outputs: Arrays) -> Values:
    values: dict[Noun, DepthMap | RoomLayout | Lighting | Grid | None] = {}
    for task, reader in readers.items():
        try:
            values[task] = reader.read(outputs, 0.0)
        except GeometryError:
            assert task == "layout", task
            values[task] = None
    return values


def _read_object(manifest: Manifest, outputs: Arrays) -> Values:
    output = manifest.output
    assert isinstance(output, ObjectGrid)
    return {"objects": (outputs[output.occupancy][0, 0] > output.level, outputs[output.colour][0].copy())}


class Yardstick:
    """What the trained network says of some pictures, to hold files against."""

    def __init__(self, manifest: Manifest, network: Backend, views: Sequence[View | CutOut]) -> None:
        """Run the network on pictures, at least one, through the device's own preparation and readers."""
        self._manifest = manifest
        self._seen = [self._look(network, view) for view in views]

    def _look(self, network: Backend, view: View | CutOut) -> _Seen:
        manifest = self._manifest
        if isinstance(view, CutOut):
            given = tensors(manifest, [view])
            return _Seen({}, given, _read_object(manifest, network.run(given)))
        readers = {task: reader_of(task, manifest.part(task), view.camera) for task in manifest.parts}
        given = [reader.prepare(view.image) for reader in readers.values()][0]
        return _Seen(readers, given, _read(readers, network.run(given)))

    def measure(self, candidate: Backend, precision: Precision) -> tuple[Parity, ...]:
        """How far another backend of the same model is off: for each quantity the worst picture's mean."""
        found: dict[Noun, list[tuple[float, ...]]] = {noun: [] for noun in self._manifest.nouns}
        for seen in self._seen:
            outputs = candidate.run(seen.given)
            values = _read(seen.readers, outputs) if seen.readers else _read_object(self._manifest, outputs)
            for task in found:
                found[task].append(_differences(seen.values[task], values[task], len(QUANTITIES[task])))
        return tuple(
            Parity(
                quantity=quantity.name,
                unit=quantity.unit,
                difference=float(f"{min(worst, 1e9):.3g}"),
                tolerance=quantity.tolerances[precision],
                pictures=len(self._seen),
            )
            for task, rows in found.items()
            for quantity, worst in zip(QUANTITIES[task], np.nan_to_num(rows, nan=np.inf).max(axis=0), strict=True)
        )


def badness(parity: Sequence[Parity]) -> float:
    """The largest difference as a share of its tolerance: above 1 the file is refused."""
    return max(p.difference / p.tolerance for p in parity)


def worse_of(a: Sequence[Parity], b: Sequence[Parity]) -> tuple[Parity, ...]:
    """Of two measurements of the same quantities, the larger of each."""
    return tuple(max(pair, key=lambda p: p.difference) for pair in zip(a, b, strict=True))


def described(parity: Sequence[Parity]) -> str:
    """For people: every quantity with its difference."""
    return ", ".join(f"{p.quantity} {p.difference:.2g} {p.unit}" for p in parity)


def require(parity: Sequence[Parity], what: str) -> None:
    """Refuse a file that is further off than tolerated.

    Raises:
        EngineError: it is.
    """
    for p in parity:
        if not p.difference <= p.tolerance:
            raise EngineError(
                f"{what}: {p.quantity} differs from the trained network by {p.difference:.3g} {p.unit} in the worst of "
                f"{p.pictures} pictures, allowed is {p.tolerance:g}; nothing was written: leave that precision out "
                "(--precisions), or try another version of torch or onnxruntime"
            )
    _LOG.info("%s: %s", what, described(parity))


def check_outputs(network: Backend, candidate: Backend, inputs: npt.NDArray[np.float32]) -> None:
    """Compare a float32 file with its network on inputs (N, C, H, W), each output by the range of its own values.

    Raises:
        EngineError: they disagree.
    """
    for row in inputs:
        expected, found = network.run(row[None]), candidate.run(row[None])
        for name, values in expected.items():
            check_difference(name, values, found[name])


def check_difference(name: str, expected: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> None:
    """Refuse an output that differs by more than rounding.

    Raises:
        EngineError: it does.
    """
    difference, span = float(np.abs(expected - found).max()), _span(expected)
    if not difference <= LARGEST_DIFFERENCE * span:
        raise EngineError(
            f"output {name}: ONNX Runtime differs from torch by {difference:.2g} (its range is {span:.2g}); "
            "the export is wrong: try another version of torch or onnxruntime"
        )


def golden_tolerances(expected: Mapping[str, npt.NDArray[np.float32]]) -> dict[str, float]:
    """By output: `GOLDEN_SHARE` of the smallest range that a recorded row (N, ...) spans."""
    return {name: GOLDEN_SHARE * min(_span(row) for row in rows) for name, rows in expected.items()}


def variant_tolerances(
    expected: Mapping[str, npt.NDArray[np.float32]], found: Mapping[str, npt.NDArray[np.float32]]
) -> dict[str, float]:
    """By output, how far another precision may be from the golden output: `GOLDEN_MARGIN` times what it is here.

    Never less than what float32 may.
    """
    least = golden_tolerances(expected)
    return {name: max(least[name], GOLDEN_MARGIN * float(np.abs(expected[name] - found[name]).max())) for name in least}


def _span(values: npt.NDArray[np.float32]) -> float:
    """What differences are measured by: the range of the values, or the size of a single one."""
    return float(np.ptp(values)) if values.size > 1 else float(np.abs(values).max())
