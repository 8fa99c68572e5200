"""Another party's ONNX becomes a model folder that proves itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge.errors import DataError, ManifestError
from edge.inference.manifest import read_manifest
from edge.inference.proving import check_golden
from edge.inference.serving import load
from edge.inference.store import ModelStore
from training.export.published.foreign import import_onnx

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)


def _onnx(path: Path, *, external: bool = False) -> np.ndarray:
    """A 1x1 convolution to one channel, of any batch; returns its three weights."""
    weight = np.array([0.2, 0.5, -0.3], np.float32).reshape(1, 3, 1, 1)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["pixels", "w"], ["answer"])],
        "other",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 3, 24, 32])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["N", 1, 24, 32])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path, save_as_external_data=external, size_threshold=0, location=f"{path.stem}.data")
    return weight.reshape(3)


def _manifest(path: Path, **change: Any) -> Path:
    data = {
        "name": "other",
        "version": "2",
        "task": "depth",
        "input": {"name": "pixels", "width_px": 32, "height_px": 24, "projection": "perspective", "colour": "bgr"}
        | {"mean": MEAN, "std": STD},
        "output": {"kind": "inverse_depth_relative", "inverse_depth": "answer"},
        "provenance": {"recipe": "https://example.org/other", "licence": "MIT"},
    }
    path.write_text(json.dumps(data | change), encoding="utf-8")
    return path


@pytest.mark.parametrize("external", [False, True])
def test_the_golden_pair_is_what_the_model_computes(external: bool, tmp_path: Path) -> None:
    """The recorded answer is the convolution of the normalised BGR picture, worked out here; weights come along."""
    weight = _onnx(tmp_path / "other.onnx", external=external)
    picture = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "picture.png"), picture[..., ::-1])
    out = tmp_path / "engines" / "other"
    manifest = _manifest(tmp_path / "manifest.json")
    import_onnx(tmp_path / "other.onnx", manifest, out, picture=tmp_path / "picture.png")
    (tmp_path / "other.data").unlink(missing_ok=True)
    with np.load(out / "golden.npz") as golden:
        normalised = (picture[..., ::-1] / 255 - MEAN) / STD
        np.testing.assert_allclose(golden["output:answer"][0, 0], normalised @ weight, atol=1e-5)
    stored = ModelStore(out.parent).find("other")
    with load(stored) as model:
        result = check_golden(stored, model)
    assert result is not None
    assert result.passed
    card = (out / "card.md").read_text(encoding="utf-8")
    assert "https://example.org/other" in card
    assert "Not measured." in card
    assert "3 parameters" in card


def test_a_picture_of_ours_serves_where_none_is_given(tmp_path: Path) -> None:
    """Without --picture the golden pair is of a demo clip, and not of a constant."""
    _onnx(tmp_path / "other.onnx")
    import_onnx(tmp_path / "other.onnx", _manifest(tmp_path / "manifest.json"), tmp_path / "other")
    golden = read_manifest(tmp_path / "other").golden
    assert golden is not None
    assert golden.tolerance["answer"] > 0


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    """A file that is no ONNX, a manifest of another shape or without a licence: each says what to correct."""
    path, out = tmp_path / "other.onnx", tmp_path / "out"
    _onnx(path)
    with pytest.raises(ManifestError, match=r"provenance\.licence"):
        manifest = _manifest(tmp_path / "m.json", provenance={"recipe": "https://example.org"})
        import_onnx(path, manifest, out)
    with pytest.raises(ManifestError, match="no output named"):
        output = {"kind": "depth_metres", "depth": "metres"}
        import_onnx(path, _manifest(tmp_path / "m.json", output=output), out)
    with pytest.raises(DataError, match="edge schema manifest"):
        import_onnx(path, tmp_path / "none.json", out)
    path.write_bytes(b"not a model")
    with pytest.raises(DataError, match=r"give the \.onnx"):
        import_onnx(path, _manifest(tmp_path / "m.json"), out)


def test_a_refused_import_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    """All of it or nothing; and what a manifest says of files that were not imported is left out."""
    _onnx(tmp_path / "other.onnx")
    out = tmp_path / "engines" / "other"
    half = {"fp16": {"file": "model.fp16.onnx", "sha256": "0" * 64}}
    made = import_onnx(tmp_path / "other.onnx", _manifest(tmp_path / "m.json", variants=half), out)
    assert made.precisions == ("fp32",)
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    with pytest.raises(ManifestError, match="colour"):
        import_onnx(tmp_path / "other.onnx", _manifest(tmp_path / "m.json", colour="grey"), out)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before
    assert [p.name for p in out.parent.iterdir()] == ["other"]
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match=r"file: cannot be written .*--out"):
        import_onnx(tmp_path / "other.onnx", _manifest(tmp_path / "m.json"), tmp_path / "file")


def test_answers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    """A standard deviation that overflows is noticed before anything is served."""
    _onnx(tmp_path / "other.onnx")
    spec = json.loads(_manifest(tmp_path / "m.json").read_text())["input"] | {"std": (1e-40, 1e-40, 1e-40)}
    with pytest.raises(DataError, match="not finite"), np.errstate(over="ignore"):
        import_onnx(tmp_path / "other.onnx", _manifest(tmp_path / "m.json", input=spec), tmp_path / "out")


@pytest.mark.parametrize("location", ["../secret.bin", "{tmp}/secret.bin", "nothing.bin"])
def test_weights_are_taken_from_beside_the_model_alone(location: str, tmp_path: Path) -> None:
    """A model that names a file elsewhere gets nothing of it into the copy."""
    folder = tmp_path / "download"
    folder.mkdir()
    _onnx(folder / "other.onnx", external=True)
    (tmp_path / "secret.bin").write_bytes(bytes(12))
    model = onnx.load(folder / "other.onnx", load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = location.format(tmp=tmp_path)
    (folder / "other.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(DataError, match=r"other\.onnx: no ONNX model that can be copied into one file"):
        import_onnx(folder / "other.onnx", _manifest(tmp_path / "m.json"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_model_that_was_not_downloaded_is_said(tmp_path: Path) -> None:
    """What a clone without Git LFS has in its place."""
    path = tmp_path / "other.onnx"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    with pytest.raises(ManifestError, match="git lfs pull"):
        import_onnx(path, _manifest(tmp_path / "m.json"), tmp_path / "out")
