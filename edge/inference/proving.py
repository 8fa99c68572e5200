"""Whether a loaded model computes what was recorded when it was exported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.errors import EngineError, ManifestError
from edge.inference.base import Arrays, Backend
from edge.inference.manifest import BoundaryCorners, HorizonDepth, Manifest, ObjectGrid, Sh2PrescaledIrradiance
from edge.inference.store import StoredModel

Array = npt.NDArray[np.float32]
_FEWEST_CELLS = 8
"""Along a side of an object's grid: fewer tell no object from another."""


class NotProvedError(EngineError):
    """A backend does not reproduce the golden output."""


@dataclass(frozen=True, slots=True)
class GoldenResult:
    """How far a backend is from the recorded output, per ONNX output."""

    difference: dict[str, float]
    tolerance: dict[str, float]

    @property
    def passed(self) -> bool:
        """Whether every output is within its tolerance."""
        return all(off <= self.tolerance[name] for name, off in self.difference.items())


def prove(model: StoredModel, backend: Backend, *, golden: bool = True) -> GoldenResult | None:
    """See that outputs have the right shapes, then run the recorded input, if there is one, and compare.

    Args:
        model: what `backend` runs.
        backend: a loaded one.
        golden: compare; an earlier version of the model has another golden output, and need only give numbers.

    Raises:
        NotProvedError: it gives other numbers.
        EngineError: it does not run.
        ManifestError: the outputs are not what the manifest says.
    """
    outputs = backend.run(np.zeros(model.manifest.input.shape, np.float32))
    check_outputs(model, outputs)
    what = not_finite(outputs)
    if what is not None:
        raise NotProvedError(
            f"{model.manifest.name} gives no numbers for an even picture on {backend.provider} in {backend.precision} "
            f"({what.partition(';')[0]}); export the model again, or use another"
        )
    result = check_golden(model, backend)
    if result is not None and not (result.passed if golden else np.isfinite(list(result.difference.values())).all()):
        raise NotProvedError(
            f"{model.manifest.name} does not reproduce its golden output on {backend.provider} in {backend.precision} "
            f"(off by {result.difference}, allowed {result.tolerance}); restore the engine's folder, or export the "
            "model again"
        )
    return result if golden else None


def check_outputs(model: StoredModel, outputs: Arrays) -> None:
    """Compare the shapes of a batch of one's outputs with what the manifest says they mean.

    Raises:
        ManifestError: one does not fit.
    """
    manifest = model.manifest
    for part in [manifest.part(task) for task in manifest.parts] or [manifest]:
        _check_outputs(model, part, outputs)


def _check_outputs(model: StoredModel, part: Manifest, outputs: Arrays) -> None:
    """Refuse outputs whose shapes do not fit what the manifest, or its part for one noun, says they mean."""
    output = part.output
    shapes = {name: outputs[name].shape for name in part.output_names}
    if isinstance(output, BoundaryCorners):
        boundary, corners = shapes[output.boundary], shapes[output.corners]
        fits = len(boundary) == 3 and boundary[:2] == (1, 2) and corners == (1, 1, boundary[2])
        wanted = "boundary (1, 2, W) and corners (1, 1, W)"
    elif isinstance(output, HorizonDepth):
        distance = shapes[output.distance]
        fits = len(distance) in (2, 3) and set(distance[:-1]) == {1} and shapes[output.ratio] == (1, 1)
        wanted = "distance (1, W) or (1, 1, W) and ratio (1, 1)"
    elif isinstance(output, Sh2PrescaledIrradiance):
        fits, wanted = shapes[output.coefficients] in ((1, 27), (1, 9, 3)), "(1, 27) or (1, 9, 3)"
    elif isinstance(output, ObjectGrid):
        cells = shapes[output.occupancy][2:]
        fits = len(cells) == 3 and len(set(cells)) == 1 and cells[0] >= _FEWEST_CELLS
        fits = fits and shapes == {output.occupancy: (1, 1, *cells), output.colour: (1, 3, *cells)}
        wanted = f"occupancy (1, 1, N, N, N) and colour (1, 3, N, N, N), N at least {_FEWEST_CELLS}"
    else:
        shape = next(iter(shapes.values()))
        fits = len(shape) in (3, 4) and shape[0] == 1 and shape[1:-2] in ((), (1,)) and min(shape[-2:]) > 1
        wanted = "(1, 1, h, w) or (1, h, w)"
    if not fits or not all(0 not in shape for shape in shapes.values()):
        raise ManifestError(
            f"{model.onnx}: {output.kind} is {wanted}, the model gives {shapes}; correct `output` in the manifest"
        )


def check_golden(model: StoredModel, backend: Backend) -> GoldenResult | None:
    """Run the recorded input and compare, by what is allowed in the backend's precision; None without a golden pair.

    Raises:
        ManifestError: the golden file does not hold the arrays it must, or the tolerance proves nothing.
    """
    golden = model.manifest.golden
    if golden is None:
        return None
    path, tolerance = model.folder / golden.file, model.manifest.tolerance_of(backend.precision)
    given, wanted = _recorded(path, model.manifest)
    wide = [name for name, array in wanted.items() if 0 < float(np.max(np.abs(array))) <= tolerance[name]]
    if wide:
        raise ManifestError(
            f"{path}: golden.tolerance of {wide[0]!r}, {tolerance[wide[0]]:g}, would let an output of zeros pass; "
            "lower it, or export the model again"
        )
    got = backend.run(given)
    difference = {
        n: float(np.max(np.abs(got[n] - w))) if got[n].shape == w.shape else np.inf for n, w in wanted.items()
    }
    return GoldenResult(difference, tolerance)


def _recorded(path: Path, manifest: Manifest) -> tuple[Array, Arrays]:
    """The input and the outputs of a golden pair.

    Raises:
        ManifestError: it does not hold what can be compared.
    """
    names = {f"output:{name}": name for name in manifest.output_names}
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as z:  # np.load alone leaks a broken file
            given, *outputs = [np.asarray(z[key]) for key in (f"input:{manifest.input.name}", *names)]
    except Exception as e:  # numpy, zipfile and its decompressors have a dozen ways to fail at what is no such file
        raise ManifestError(f"{path}: not a golden pair ({type(e).__name__}: {e}); export the model again") from e
    wanted = dict(zip(names.values(), outputs, strict=True))
    wrong = next((name for name, array in (("input", given), *wanted.items()) if not _is_comparable(array)), None)
    if wrong is not None or given.ndim != 4 or not len(given) or given.shape[1:] != manifest.input.shape[1:]:
        what = f"{wrong!r} holds no finite floats" if wrong else f"its input is {given.shape}"
        raise ManifestError(
            f"{path}: not a golden pair of a model that takes {manifest.input.shape} ({what}); export the model again"
        )
    return given.astype(np.float32, copy=False), wanted


def _is_comparable(array: npt.NDArray[Any]) -> bool:
    return array.dtype.kind == "f" and array.size > 0 and bool(np.isfinite(array).all())


def not_finite(outputs: Arrays) -> str | None:
    """Which output is not finite, in words, without making an array to find out; None if all are."""
    for name, array in outputs.items():
        if array.size and not (np.isfinite(array.min()) and np.isfinite(array.max())):
            return f"the network's output {name!r} is not finite; check the engine with `edge check`"
    return None
