"""An ONNX file that is none, or that needs another file, does not serve: the manifest's sha256 covers it alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edge.errors import ManifestError
from edge.inference.manifest import read_manifest, sha256_of, write_manifest
from edge.inference.onnx_file import check_whole
from edge.inference.serving import load
from edge.inference.store import ModelStore

Maker = Callable[..., Path]
GAIN = np.array([2.0], np.float32)


def _external(location: str = "weights.bin") -> TensorProto:
    """A tensor whose values are in another file."""
    tensor = numpy_helper.from_array(GAIN, "gain")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "4")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return tensor


def _model(
    nodes: list[onnx.NodeProto], initializers: list[TensorProto], functions: list[onnx.FunctionProto] | None = None
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "depth",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 24, 32])],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, [1, 3, 24, 32])],
        initializers,
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("mine", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9, functions=functions or [])


def _multiplied(by: str = "gain") -> list[onnx.NodeProto]:
    return [helper.make_node("Mul", ["image", by], ["depth"])]


def _constant(tensor: TensorProto) -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["gain"], value=tensor)


def _in_branches(tensor: TensorProto) -> onnx.ModelProto:
    """The tensor in a graph in a graph, as the value of a node."""

    def branch(nodes: list[onnx.NodeProto]) -> onnx.GraphProto:
        return helper.make_graph(nodes, "b", [], [helper.make_tensor_value_info("gain", TensorProto.FLOAT, [1])])

    inner = helper.make_node(
        "If", ["yes"], ["gain"], then_branch=branch([_constant(tensor)]), else_branch=branch([_constant(tensor)])
    )
    outer = helper.make_node("If", ["yes"], ["gain"], then_branch=branch([inner]), else_branch=branch([inner]))
    return _model([outer, *_multiplied()], [numpy_helper.from_array(np.array(True), "yes")])


def _sparse(tensor: TensorProto) -> onnx.ModelProto:
    model = _model(_multiplied(), [])
    sparse = model.graph.sparse_initializer.add()
    sparse.values.CopyFrom(tensor)
    sparse.indices.CopyFrom(numpy_helper.from_array(np.array([0], np.int64), "i"))
    sparse.dims.append(1)
    return model


def _sparse_indices(tensor: TensorProto) -> onnx.ModelProto:
    model = _sparse(numpy_helper.from_array(GAIN, "gain"))
    model.graph.sparse_initializer[0].indices.CopyFrom(tensor)
    return model


def _sparse_constant(tensor: TensorProto) -> onnx.ModelProto:
    model = _model([helper.make_node("Constant", [], ["gain"]), *_multiplied()], [])
    attribute = model.graph.node[0].attribute.add()
    attribute.name, attribute.type = "sparse_value", onnx.AttributeProto.SPARSE_TENSOR
    attribute.sparse_tensor.values.CopyFrom(tensor)
    return model


def _in_function(tensor: TensorProto) -> onnx.ModelProto:
    nodes = [_constant(tensor), helper.make_node("Mul", ["x", "gain"], ["y"])]
    function = helper.make_function("mine", "Gain", ["x"], ["y"], nodes, [helper.make_opsetid("", 18)])
    return _model([helper.make_node("Gain", ["image"], ["depth"], domain="mine")], [], [function])


def _in_a_list(tensor: TensorProto) -> onnx.ModelProto:
    model = _model([helper.make_node("Mine", ["image"], ["depth"], domain="mine")], [])
    attribute = model.graph.node[0].attribute.add()
    attribute.name, attribute.type = "many", onnx.AttributeProto.TENSORS
    attribute.tensors.extend([numpy_helper.from_array(GAIN, "a"), tensor])
    return model


def _training(tensor: TensorProto) -> onnx.ModelProto:
    model = _model(_multiplied(), [numpy_helper.from_array(GAIN, "gain")])
    model.training_info.add().algorithm.initializer.append(tensor)
    return model


PLACES: dict[str, Callable[[TensorProto], onnx.ModelProto]] = {
    "initializer": lambda t: _model(_multiplied(), [t]),
    "constant": lambda t: _model([_constant(t), *_multiplied()], []),
    "graph in a graph": _in_branches,
    "sparse initializer": _sparse,
    "indices of a sparse initializer": _sparse_indices,
    "sparse constant": _sparse_constant,
    "function": _in_function,
    "list of tensors": _in_a_list,
    "training": _training,
}


@pytest.mark.parametrize("place", PLACES)
def test_weights_in_another_file_are_refused_wherever_they_belong(place: str, tmp_path: Path) -> None:
    """And the same model with its weights inside is not."""
    path = tmp_path / "model.onnx"
    path.write_bytes(PLACES[place](numpy_helper.from_array(GAIN, "gain")).SerializeToString())
    check_whole(path)
    path.write_bytes(PLACES[place](_external()).SerializeToString())
    with pytest.raises(ManifestError, match=r"model\.onnx: keeps weights in another file.*edge-train import"):
        check_whole(path)


@pytest.mark.parametrize("location", ["weights.bin", "../../secret.bin", "/etc/passwd", ""])
def test_no_location_is_followed(location: str, tmp_path: Path) -> None:
    """Inside of the folder or out of it."""
    path = tmp_path / "model.onnx"
    path.write_bytes(_model(_multiplied(), [_external(location)]).SerializeToString())
    with pytest.raises(ManifestError, match="another file"):
        check_whole(path)


def test_a_location_or_a_mark_alone_is_refused(tmp_path: Path) -> None:
    """A runtime goes by either of the two."""
    path = tmp_path / "model.onnx"
    for field in ("data_location", "external_data"):
        tensor = _external()
        tensor.ClearField(field)
        path.write_bytes(_model(_multiplied(), [tensor]).SerializeToString())
        with pytest.raises(ManifestError, match="another file"):
            check_whole(path)


def test_compiled_code_in_another_file_is_refused(tmp_path: Path) -> None:
    """ONNX Runtime's EPContext names a file that it runs."""
    node = helper.make_node("EPContext", ["image"], ["depth"], domain="com.microsoft", ep_cache_context="x.engine")
    path = tmp_path / "model.onnx"
    path.write_bytes(_model([node], []).SerializeToString())
    with pytest.raises(ManifestError, match="keeps compiled code in another file"):
        check_whole(path)


def _rewritten(folder: Path, content: bytes) -> None:
    """Another ONNX file, with a manifest of its sha256."""
    (folder / "model.onnx").write_bytes(content)
    manifest = read_manifest(folder)
    ref = manifest.onnx.model_copy(update={"sha256": sha256_of(folder / "model.onnx")})
    write_manifest(folder, manifest.model_copy(update={"onnx": ref}))


def test_weights_that_can_be_changed_behind_the_sha256_do_not_serve(model_folder: Maker) -> None:
    """A manifest that fits the file named in it is not enough where the weights are in another."""
    folder = model_folder()
    loaded = onnx.load(folder / "model.onnx")
    for tensor in loaded.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
    _rewritten(folder, loaded.SerializeToString())
    load(ModelStore(folder.parent).find("depth")).close()
    outside = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0}
    onnx.save(loaded, folder / "model.onnx", **outside)
    assert (folder / "weights.bin").is_file()
    _rewritten(folder, (folder / "model.onnx").read_bytes())
    with pytest.raises(ManifestError, match="another file"):
        ModelStore(folder.parent).find("depth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>404</html>", "web page.*download"),
        (b"PK\x03\x04 a zip archive", "no ONNX model.*download it again"),
        (b"\x08\x09", "no ONNX model .it has no graph.*download it again"),
        (b"\x3a\xff\xff\xff\xff\x0f", "cut short"),
    ],
)
def test_what_is_no_model_is_said(content: bytes, message: str, model_folder: Maker) -> None:
    """Even with a fitting sha256: a pointer, a page, something else, nothing."""
    folder = model_folder()
    _rewritten(folder, content)
    with pytest.raises(ManifestError, match=f"model.onnx: .*{message}"):
        ModelStore(folder.parent).find("depth")


@given(data=st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_damage_ends_in_another_exception(data: st.DataObject, tmp_path: Path) -> None:
    """Bytes changed, cut or added at random: a model is whole, or refused with the file named."""
    content = bytearray(_in_branches(numpy_helper.from_array(GAIN, "gain")).SerializeToString())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "model.onnx"
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))] + data.draw(st.binary(max_size=9)))
    try:
        check_whole(path)
    except ManifestError as e:
        assert "model.onnx" in str(e)
