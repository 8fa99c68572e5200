"""Another party's network of relative inverse depth serves through the daemon by its manifest alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge.inference.manifest import Manifest, sha256_of, write_manifest
from tests.integration.conftest import PANORAMA, PERSPECTIVE, REPOSITORY, Served


@pytest.fixture
def engines(tmp_path: Path) -> Path:
    """The shipped engines, and `darkness`: what is dark is near, which no room bears out."""
    root = tmp_path / "engines"
    shutil.copytree(REPOSITORY / "engines", root)
    folder = root / "darkness"
    folder.mkdir()
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["image", "channel"], ["grey"], keepdims=0),
            helper.make_node("Sub", ["two", "grey"], ["inverse"]),
        ],
        "darkness",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 192, 256])],
        [helper.make_tensor_value_info("inverse", TensorProto.FLOAT, [1, 192, 256])],
        [numpy_helper.from_array(np.array([1]), "channel"), numpy_helper.from_array(np.float32(2), "two")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    said = {
        "schema": "edge.manifest/1",
        "name": "darkness",
        "version": "1",
        "task": "depth",
        "onnx": {"file": "model.onnx", "sha256": sha256_of(folder / "model.onnx")},
        "input": {"name": "image", "width_px": 256, "height_px": 192, "projection": "perspective"},
        "output": {"kind": "inverse_depth_relative", "inverse_depth": "inverse"},
        "provenance": {"recipe": "https://example.org/darkness", "created": "2026-01-01", "licence": "CC0-1.0"},
    }
    write_manifest(folder, Manifest.model_validate(said))
    return root


def test_what_no_room_bears_out_is_published_as_relative(engines: Path, serve: Callable[..., Served]) -> None:
    """On a perspective camera and a panorama, with a layout beside it: the messages hold no metre."""
    served = serve(
        3,
        cameras=[{**PERSPECTIVE, "tasks": ["depth", "layout"]}, {**PANORAMA, "tasks": ["depth", "layout"]}],
        tasks={"depth": {"engine": "darkness"}},
        inference={"engines": str(engines)},
    )
    for camera in (PERSPECTIVE, PANORAMA):
        message = served.last(f"{camera['name']}/depth")
        assert message["model"]["name"] == "darkness"
        assert (message["scale"], message["metric"], message["aligned_to_layout"]) == ("relative", None, None)
        assert message["relative"]["median"] > 0
        assert message["image"]["unit"] == "relative"
