"""A tiny object model, made on the fly: what the mask shows, drawn out along z, in one colour. Never shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from edge.inference.manifest import Manifest, sha256_of, write_manifest

CELLS, PX = 32, 96
_COLOUR = (0.8, 0.3, 0.1)


def write_extruder(folder: Path, **overrides: Any) -> Path:
    """`folder` with model, golden pair and manifest: every mask becomes a slab as thick as half the cube."""
    folder.mkdir(parents=True)
    profile = np.zeros((1, 1, 1, 1, CELLS), np.float32)
    profile[..., 8:24] = 1.0
    constants = {
        "profile": profile,
        "paint": np.array(_COLOUR, np.float32).reshape(1, 3, 1, 1, 1),
        "from": np.array([3], np.int64),
        "to": np.array([4], np.int64),
        "channel": np.array([1], np.int64),
        "last": np.array([-1], np.int64),
        "end": np.array([-CELLS - 1], np.int64),
        "rows": np.array([2], np.int64),
        "deep": np.array([4], np.int64),
    }
    nodes = [
        helper.make_node("Slice", ["image", "from", "to", "channel"], ["mask"]),
        helper.make_node("AveragePool", ["mask"], ["small"], kernel_shape=[3, 3], strides=[3, 3]),
        helper.make_node("Slice", ["small", "last", "end", "rows", "last"], ["upright"]),  # rows go down, y up
        helper.make_node("Transpose", ["upright"], ["face"], perm=[0, 1, 3, 2]),
        helper.make_node("Unsqueeze", ["face", "deep"], ["front"]),
        helper.make_node("Mul", ["front", "profile"], ["occupancy"]),
        helper.make_node("Add", ["occupancy", "paint"], ["bright"]),
        helper.make_node("Sub", ["bright", "occupancy"], ["colour"]),
    ]
    grid = [CELLS] * 3
    graph = helper.make_graph(
        nodes,
        "extruder",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 4, PX, PX])],
        [
            helper.make_tensor_value_info("occupancy", TensorProto.FLOAT, ["n", 1, *grid]),
            helper.make_tensor_value_info("colour", TensorProto.FLOAT, ["n", 3, *grid]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    path = folder / "model.onnx"
    onnx.save(model, path)
    image = np.random.default_rng(0).random((1, 4, PX, PX), np.float32)
    image[:, 3] = 0
    image[:, 3, 20:80, 30:60] = 1
    answers = onnxruntime.InferenceSession(str(path)).run(["occupancy", "colour"], {"image": image})
    recorded = {"input:image": image, "output:occupancy": answers[0], "output:colour": answers[1]}
    np.savez_compressed(folder / "golden.npz", **recorded)
    data: dict[str, Any] = {
        "schema": "edge.manifest/1",
        "name": folder.name,
        "version": "1",
        "task": "objects",
        "onnx": {"file": "model.onnx", "sha256": sha256_of(path)},
        "input": {
            "name": "image",
            "width_px": PX,
            "height_px": PX,
            "projection": "perspective",
            "mask_channel": True,
        },
        "output": {"kind": "object_grid", "occupancy": "occupancy", "colour": "colour"},
        "golden": {
            "file": "golden.npz",
            "sha256": sha256_of(folder / "golden.npz"),
            "tolerance": {"occupancy": 1e-3, "colour": 1e-3},
        },
        "provenance": {"recipe": "none", "created": "2026-11-28", "licence": "Apache-2.0"},
    }
    write_manifest(folder, Manifest.model_validate(data | overrides))
    return folder
