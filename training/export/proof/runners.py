"""A trained network behind the device's own `Backend` contract, and the manifest it will be served with."""

from __future__ import annotations

import datetime
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from edge.errors import DataError
from edge.inference.base import Arrays, Backend
from edge.inference.manifest import (
    BoundaryCorners,
    DataSource,
    DepthMetres,
    FileRef,
    HorizonDepth,
    JointOutputs,
    Manifest,
    Metric,
    ObjectGrid,
    Output,
    Precision,
    Provenance,
    Sh2PrescaledIrradiance,
    read_manifest,
)
from edge.inference.ort import OrtBackend
from edge.inference.store import ModelStore
from training.config.nets import FcrnConfig, HorizonNetConfig, JointConfig, Monodepth2Config, ObjectsConfig
from training.config.recipe import Recipe
from training.tasks.base import read_checkpoint
from training.tasks.build import load_task

_LAYOUT = BoundaryCorners(kind="boundary_corners", boundary="boundary", corners="corners")
_DISTANCE = HorizonDepth(kind="horizon_depth", distance="distance", ratio="ratio")
_LIGHTING = Sh2PrescaledIrradiance(kind="sh2_prescaled_irradiance", coefficients="coefficients")
_NO_FILE = FileRef(file="model.onnx", sha256="0" * 64)


def output_of(recipe: Recipe) -> Output:
    """What the network's outputs are; their names are in the order in which it gives them."""
    net = recipe.net
    if isinstance(net, JointConfig):
        spread = "depth_spread" if net.depth_spread else None
        depth = DepthMetres(kind="depth_metres", depth="depth", spread=spread)
        return JointOutputs(kind="joint", depth=depth, layout=_columns(net.layout), lighting=_LIGHTING)
    if isinstance(net, ObjectsConfig):
        return ObjectGrid(kind="object_grid", occupancy="occupancy", colour="colour")
    if isinstance(net, HorizonNetConfig):
        return _DISTANCE if net.head == "horizon_depth" else _columns(net)
    if isinstance(net, FcrnConfig):
        spread = "depth_spread" if net.spread else None
        focal = net.canonical_focal_px
        return DepthMetres(kind="depth_metres", depth="depth", canonical_focal_px=focal, spread=spread)
    if isinstance(net, Monodepth2Config):
        return DepthMetres(kind="depth_metres", depth="depth", canonical_focal_px=net.canonical_focal_px)
    return DepthMetres(kind="depth_metres", depth="depth") if recipe.noun == "depth" else _LIGHTING


def _columns(net: HorizonNetConfig) -> BoundaryCorners:
    """What a layout network says of columns."""
    further = {"openings": "openings", "extended": "extended", "spread": "spread"} if net.openings else {}
    return _LAYOUT.model_copy(update=further)


def manifest_of(
    recipe: Recipe,
    *,
    commit: str = "",
    data: tuple[DataSource, ...] = (),
    metrics: tuple[Metric, ...] = (),
    onnx: FileRef = _NO_FILE,
) -> Manifest:
    """The manifest of a recipe's model, without a golden pair."""
    stem = f"{recipe.name}_edge" if recipe.name == recipe.noun else recipe.name
    return Manifest(
        name=recipe.name,
        version=recipe.version,
        task=recipe.noun,
        onnx=onnx,
        input=recipe.input,
        output=output_of(recipe),
        provenance=Provenance(
            recipe=recipe.source or f"training/recipes/{stem}.yaml",
            commit=commit,
            created=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
            licence=recipe.licence,
            data=data,
            metrics=metrics,
        ),
    )


def output_names(recipe: Recipe) -> tuple[str, ...]:
    """Names of the ONNX outputs, in the order in which the network gives them."""
    return manifest_of(recipe).output_names


class TorchBackend:
    """A PyTorch network with the interface of the device's runtimes, so that the device's readers read it."""

    provider = "torch"
    precision: Precision = "fp32"
    max_batch = 64
    degraded: str | None = None

    def __init__(self, net: nn.Module, manifest: Manifest) -> None:
        """`manifest`: what the network will be served with."""
        self._net, self._names, self._shape = net.eval(), manifest.output_names, manifest.input.shape[1:]

    def allocate(self, rows: int) -> npt.NDArray[np.float32]:
        """See `Backend.allocate`."""
        return np.empty((rows, *self._shape), np.float32)

    def run(self, batch: npt.NDArray[np.float32]) -> Arrays:
        """See `Backend.run`."""
        with torch.inference_mode():
            out = self._net(torch.from_numpy(batch))
        tensors = out if isinstance(out, tuple) else (out,)
        return {name: t.numpy() for name, t in zip(self._names, tensors, strict=True)}

    def close(self) -> None:
        """Nothing to free."""

    def __enter__(self) -> TorchBackend:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to free."""


def manifest_at(path: Path) -> Manifest:
    """The manifest of a model folder, or the one that a checkpoint will be served with.

    Raises:
        DataError: the path is neither.
    """
    if path.is_dir():
        return read_manifest(path)
    if path.suffix != ".ckpt":
        raise DataError(f"{path}: give a checkpoint (.ckpt) or a model folder with manifest.json")
    return manifest_of(read_checkpoint(path)[0])


def open_model(path: Path, *, threads: int = 0) -> tuple[Manifest, Backend]:
    """A model to evaluate: a checkpoint of ours (.ckpt), or a folder with manifest.json and its ONNX.

    Raises:
        DataError: it is neither.
        EngineError: the folder's model cannot be loaded.
        ManifestError: the folder's manifest is wrong or of another ONNX.
    """
    manifest = manifest_at(path)
    if path.is_dir():
        folder = path.resolve()
        stored = ModelStore(folder.parent).find(folder.name)
        return manifest, OrtBackend(stored.onnx, manifest, threads=threads)
    task = load_task(path)
    return manifest, TorchBackend(task.inference_net, manifest)
