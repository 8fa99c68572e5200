"""Tiny real ONNX models with their manifests, made on the fly."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edge.inference.manifest import Manifest, sha256_of, write_manifest

SIZE = (32, 24)


def write_model(
    path: Path, *, size: tuple[int, int] = SIZE, gain: float = 2.0, batch: int | str = 1, again: str = ""
) -> None:
    """An ONNX file that says: depth = gain x mean over the channels; and says it again under a second name, if any."""
    w, h = size
    names = ["depth", *([again] if again else [])]
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["image", "axes"], ["mean"], keepdims=1),
            *(helper.make_node("Mul", ["mean", "gain"], [name]) for name in names),
        ],
        "depth",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, h, w])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, 1, h, w]) for name in names],
        [
            helper.make_tensor("axes", TensorProto.INT64, [1], [1]),
            helper.make_tensor("gain", TensorProto.FLOAT, [], [gain]),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


def made_model_folder(engines: Path, name: str = "depth", *, batch: int | str = 1, **overrides: Any) -> Path:
    """Make `<engines>/<name>` with model, golden pair and manifest; keyword arguments override manifest keys."""
    folder = engines / name
    folder.mkdir(parents=True)
    write_model(folder / "model.onnx", batch=batch)
    picture = np.random.default_rng(0).random((1, 3, SIZE[1], SIZE[0]), dtype=np.float32)
    np.savez(folder / "golden.npz", **{"input:image": picture, "output:depth": picture.mean(1, keepdims=True) * 2})
    data: dict[str, Any] = {
        "schema": "edge.manifest/1",
        "name": name,
        "version": "1",
        "task": "depth",
        "onnx": {"file": "model.onnx", "sha256": sha256_of(folder / "model.onnx")},
        "input": {"name": "image", "width_px": SIZE[0], "height_px": SIZE[1], "projection": "perspective"},
        "output": {"kind": "depth_metres", "depth": "depth"},
        "golden": {"file": "golden.npz", "sha256": sha256_of(folder / "golden.npz"), "tolerance": {"depth": 1e-5}},
        "provenance": {"recipe": "none", "created": "2026-01-01", "licence": "Apache-2.0"},
    }
    write_manifest(folder, Manifest.model_validate(data | overrides))
    return folder


@pytest.fixture
def model_folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes model folders below `<tmp>/engines`."""
    return partial(made_model_folder, tmp_path / "engines")
