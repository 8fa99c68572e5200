"""The model store: a folder of model folders, each verified before it serves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.errors import EngineError, ManifestError
from edge.inference.base import Arrays, Backend
from edge.inference.manifest import (
    MANIFEST_FILE,
    BoundaryCorners,
    FileRef,
    HorizonDepth,
    Manifest,
    Sh2PrescaledIrradiance,
    read_manifest,
    sha256_of,
)


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model folder whose files have the sha256 that its manifest says."""

    folder: Path
    manifest: Manifest

    @property
    def onnx(self) -> Path:
        """Path of the ONNX file."""
        return self.folder / self.manifest.onnx.file


@dataclass(frozen=True, slots=True)
class GoldenResult:
    """How far a backend is from the recorded output, per ONNX output."""

    difference: dict[str, float]
    tolerance: dict[str, float]

    @property
    def passed(self) -> bool:
        """Whether every output is within its tolerance."""
        return all(self.difference[n] <= t for n, t in self.tolerance.items())


class ModelStore:
    """Finds models by name under one folder."""

    def __init__(self, root: Path) -> None:
        """`root`: the folder of model folders, e.g. `engines/`."""
        self.root = root

    def names(self) -> list[str]:
        """Names of the folders that have a manifest."""
        return sorted(p.parent.name for p in self.root.glob(f"*/{MANIFEST_FILE}"))

    def find(self, name: str) -> StoredModel:
        """The model of that name with its files verified.

        Raises:
            EngineError: there is no such model.
            ManifestError: the manifest is wrong, or a file is missing or not the one the manifest names.
        """
        folder = self.root / name
        if not (folder / MANIFEST_FILE).is_file():
            have = ", ".join(self.names()) or "none"
            raise EngineError(f"no model {name!r} in {self.root} (there: {have}); use one of them")
        manifest = read_manifest(folder)
        for file in (manifest.onnx, *manifest.variants.values(), manifest.golden):
            if file is not None:
                self._verify(folder, file)
        return StoredModel(folder, manifest)

    def _verify(self, folder: Path, ref: FileRef) -> None:
        path = folder / ref.file
        if not path.is_file():
            raise ManifestError(f"{path} is missing; restore it, or export the model again")
        actual = sha256_of(path)
        if actual != ref.sha256:
            raise ManifestError(
                f"{path}: sha256 is {actual[:12]}…, the manifest says {ref.sha256[:12]}…: the file "
                "was changed or is incomplete; restore it, or export the model again"
            )


def check_outputs(model: StoredModel, outputs: Arrays) -> None:
    """Compare the shapes of a batch of one's outputs with what the manifest says they mean.

    Raises:
        ManifestError: one does not fit.
    """
    for task in model.manifest.parts:
        _check_outputs(model, model.manifest.part(task), outputs)


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
    else:
        shape = next(iter(shapes.values()))
        fits = len(shape) in (3, 4) and shape[0] == 1 and shape[1:-2] in ((), (1,)) and min(shape[-2:]) > 1
        wanted = "(1, 1, h, w) or (1, h, w)"
    if not fits:
        raise ManifestError(
            f"{model.onnx}: {output.kind} is {wanted}, the model gives {shapes}; correct `output` in the manifest"
        )


def check_golden(model: StoredModel, backend: Backend) -> GoldenResult | None:
    """Run the recorded input and compare, by what is allowed in the backend's precision; None without a golden pair.

    Raises:
        ManifestError: the golden file does not hold the arrays it must.
    """
    golden = model.manifest.golden
    if golden is None:
        return None
    path = model.folder / golden.file
    try:
        with np.load(path, allow_pickle=False) as z:
            arrays: Arrays = {k: z[k] for k in z.files}
        given = arrays[f"input:{model.manifest.input.name}"]
        wanted = {name: arrays[f"output:{name}"] for name in golden.tolerance}
    except (OSError, ValueError, KeyError) as e:
        raise ManifestError(f"{path}: not a golden pair ({e}); export the model again") from e
    got = backend.run(given)
    difference = {
        n: float(np.max(np.abs(got[n] - w))) if got[n].shape == w.shape else np.inf for n, w in wanted.items()
    }
    return GoldenResult(difference, model.manifest.tolerance_of(backend.precision))
