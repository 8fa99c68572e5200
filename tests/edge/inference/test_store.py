"""Models are found, verified and proved before they serve."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.errors import EngineError, ManifestError
from edge.inference.manifest import InputSpec, Manifest, read_manifest, sha256_of, write_manifest
from edge.inference.options import InferenceOptions
from edge.inference.ort import OrtBackend
from edge.inference.proving import check_golden
from edge.inference.serving import load
from edge.inference.signature import Tensor, check_signature
from edge.inference.store import ModelStore
from tests.edge.inference.conftest import SIZE, write_model

Maker = Callable[..., Path]


def test_a_sound_model_reproduces_its_golden_output(model_folder: Maker) -> None:
    """Found, verified, loaded, and within tolerance of the recorded output."""
    folder = model_folder()
    model = ModelStore(folder.parent).find("depth")
    with load(model, InferenceOptions(threads=1)) as backend:
        result = check_golden(model, backend)
        assert result is not None
        assert result.passed
        assert backend.provider == "CPUExecutionProvider"


@pytest.mark.parametrize("batch", [1, "batch"])
def test_batches_run_whether_or_not_the_model_takes_them(model_folder: Maker, batch: int | str) -> None:
    """Three pictures give three answers, each as if alone, for a batch of 1 and a dynamic one."""
    model = ModelStore(model_folder(batch=batch).parent).find("depth")
    pictures = np.random.default_rng(1).random((3, 3, SIZE[1], SIZE[0]), dtype=np.float32)
    with load(model) as backend:
        got = backend.run(pictures)["depth"]
    assert got == pytest.approx(2 * pictures.mean(axis=1, keepdims=True), abs=1e-6)


def test_a_wrong_golden_output_is_seen(model_folder: Maker) -> None:
    """A model that computes something else than recorded does not pass."""
    folder = model_folder()
    write_model(folder / "model.onnx", gain=2.01)
    manifest = read_manifest(folder)
    ref = manifest.onnx.model_copy(update={"sha256": sha256_of(folder / "model.onnx")})
    write_manifest(folder, manifest.model_copy(update={"onnx": ref}))
    model = ModelStore(folder.parent).find("depth")
    with OrtBackend(model.onnx, model.manifest) as backend:
        result = check_golden(model, backend)
    assert result is not None
    assert not result.passed
    assert result.difference["depth"] > 1e-3
    with pytest.raises(EngineError, match="does not reproduce its golden output"):
        load(model)


@pytest.mark.parametrize("kept", [0.0, 0.5])
def test_a_truncated_golden_pair_is_refused(model_folder: Maker, kept: float) -> None:
    """Even with a fitting sha256, half a file is no golden pair, and neither is an empty one."""
    folder = model_folder()
    path = folder / "golden.npz"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    manifest = read_manifest(folder)
    assert manifest.golden is not None
    golden = manifest.golden.model_copy(update={"sha256": sha256_of(path)})
    write_manifest(folder, manifest.model_copy(update={"golden": golden}))
    with pytest.raises(ManifestError, match="not a golden pair"):
        load(ModelStore(folder.parent).find("depth"))


@pytest.mark.parametrize("file", ["model.onnx", "golden.npz"])
def test_a_changed_file_is_refused(model_folder: Maker, file: str) -> None:
    """One flipped byte changes the sha256, and the message says to restore the file."""
    folder = model_folder()
    data = bytearray((folder / file).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / file).write_bytes(data)
    with pytest.raises(ManifestError, match="restore it"):
        ModelStore(folder.parent).find("depth")


def test_a_missing_model_names_those_there(model_folder: Maker) -> None:
    """The message lists what could have been meant."""
    folder = model_folder("layout9")
    with pytest.raises(EngineError, match="layout9"):
        ModelStore(folder.parent).find("layout")


@pytest.mark.parametrize(
    ("override", "word"),
    [
        ({"input": {"name": "image", "width_px": 64, "height_px": 24, "projection": "perspective"}}, "width_px"),
        ({"input": {"name": "picture", "width_px": 32, "height_px": 24, "projection": "perspective"}}, "input.name"),
        ({"output": {"kind": "depth_metres", "depth": "disparity"}, "golden": None}, "disparity"),
    ],
)
def test_a_model_of_another_shape_is_refused(model_folder: Maker, override: dict[str, Any], word: str) -> None:
    """The manifest and the graph must agree; the message names what to correct."""
    model = ModelStore(model_folder(**override).parent).find("depth")
    with pytest.raises(ManifestError, match=word):
        load(model)


def test_a_truncated_model_is_refused(model_folder: Maker) -> None:
    """Even with a fitting sha256, half an ONNX file is no model."""
    folder = model_folder()
    path = folder / "model.onnx"
    path.write_bytes(path.read_bytes()[:100])
    manifest = read_manifest(folder)
    ref = manifest.onnx.model_copy(update={"sha256": sha256_of(path)})
    write_manifest(folder, manifest.model_copy(update={"onnx": ref}))
    with pytest.raises(EngineError, match="export or download it again"):
        load(ModelStore(folder.parent).find("depth"))


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"taks": "depth"}, "taks"),
        ({"task": "lighting"}, "task lighting gives"),
        ({"onnx": {"file": "../model.onnx", "sha256": "0" * 64}}, "onnx.file"),
        ({"onnx": {"file": "model.onnx", "sha256": "xyz"}}, "onnx.sha256"),
        ({"output": {"kind": "depth_miles", "depth": "depth"}}, "output"),
    ],
)
def test_a_wrong_manifest_names_the_key(model_folder: Maker, change: dict[str, Any], key: str) -> None:
    """Unknown keys, wrong values, kinds that do not fit the task, and paths that leave the folder are refused."""
    folder = model_folder()
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ManifestError, match=key):
        read_manifest(folder)


def test_no_manifest_at_all(tmp_path: Path) -> None:
    """A folder without one is told what it needs."""
    with pytest.raises(ManifestError, match=r"manifest\.json"):
        read_manifest(tmp_path)


def test_input_shape_counts_the_mask() -> None:
    """The mask is a fourth channel."""
    spec = InputSpec(name="x", width_px=64, height_px=32, projection="equirectangular", mask_channel=True)
    assert spec.shape == (1, 4, 32, 64)


@pytest.mark.parametrize(
    ("task", "projection", "size", "output"),
    [
        ("lighting", "equirectangular", (64, 32), {"kind": "sh2_prescaled_irradiance", "coefficients": "depth"}),
        ("layout", "equirectangular", (64, 32), {"kind": "boundary_corners", "boundary": "depth", "corners": "depth"}),
    ],
)
def test_outputs_of_another_shape_are_refused(
    model_folder: Maker, task: str, projection: str, size: tuple[int, int], output: dict[str, str]
) -> None:
    """A depth map passed off as light or layout is refused when loaded, not when the first frame comes."""
    given = {"name": "image", "width_px": size[0], "height_px": size[1], "projection": projection}
    folder = model_folder(task=task, input=given, output=output, golden=None)
    write_model(folder / "model.onnx", size=size)
    manifest = read_manifest(folder)
    ref = manifest.onnx.model_copy(update={"sha256": sha256_of(folder / "model.onnx")})
    write_manifest(folder, manifest.model_copy(update={"onnx": ref}))
    with pytest.raises(ManifestError, match="correct `output`"):
        load(ModelStore(folder.parent).find("depth"))


PANORAMIC = {"name": "image", "width_px": 64, "height_px": 32, "projection": "equirectangular"}
DEPTH_PART = {"kind": "depth_metres", "depth": "depth"}
LIGHT_PART = {"kind": "sh2_prescaled_irradiance", "coefficients": "coefficients"}


def test_a_joint_model_is_each_of_its_parts(model_folder: Maker) -> None:
    """Written and read again, a joint model names the outputs of all its parts, and each part is a whole manifest."""
    output = {"kind": "joint", "depth": DEPTH_PART, "lighting": LIGHT_PART}
    joint = read_manifest(model_folder(task="joint", input=PANORAMIC, output=output, golden=None))
    assert set(joint.parts) == {"depth", "lighting"}
    assert joint.output_names == ("depth", "coefficients")
    light = joint.part("lighting")
    assert (light.task, light.output_names) == ("lighting", ("coefficients",))
    assert Manifest.model_validate(light.model_dump(by_alias=True)) == light


def test_a_manifest_of_one_noun_is_its_own_part(model_folder: Maker) -> None:
    """What holds for scenes holds for single nouns."""
    manifest = read_manifest(model_folder())
    assert set(manifest.parts) == {"depth"}
    assert manifest.part("depth") == manifest


CUT_OUT = {"name": "image", "width_px": 96, "height_px": 96, "projection": "perspective", "mask_channel": True}
GRID = {"kind": "object_grid", "occupancy": "occupancy", "colour": "colour"}


def test_an_object_model_names_its_grid(model_folder: Maker) -> None:
    """Occupancy and colour are read; it is no task of pictures; level, cube and axes have the contract's defaults."""
    manifest = read_manifest(model_folder(task="objects", input=CUT_OUT, output=GRID, golden=None))
    assert manifest.output_names == ("occupancy", "colour")
    assert (manifest.parts, manifest.nouns) == ({}, ("objects",))
    assert manifest.output.model_dump() == GRID | {"level": 0.5, "extent": 1.0, "frame": "canonical_y_up"}


@pytest.mark.parametrize(
    ("given", "output", "word"),
    [
        (CUT_OUT | {"mask_channel": False}, GRID, "mask_channel"),
        (CUT_OUT | {"width_px": 128}, GRID, "square"),
        (PANORAMIC | {"mask_channel": True}, GRID, "projection"),
        (CUT_OUT, GRID | {"colour": "occupancy"}, "its own"),
        (CUT_OUT, GRID | {"level": 1.0}, "level"),
        (CUT_OUT, GRID | {"frame": "z_up"}, "frame"),
    ],
)
def test_an_object_model_that_cannot_be_read(
    model_folder: Maker, given: dict[str, Any], output: dict[str, Any], word: str
) -> None:
    """A cut-out is square and has a mask; a grid has two outputs, a level between 0 and 1, known axes."""
    folder = model_folder(task="objects", input=CUT_OUT, output=GRID, golden=None)
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"input": given, "output": output}))
    with pytest.raises(ManifestError, match=word):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("task", "given", "output", "word"),
    [
        ("joint", PANORAMIC, {"kind": "joint", "depth": DEPTH_PART}, "at least two"),
        ("joint", PANORAMIC, DEPTH_PART, "task joint gives"),
        ("depth", PANORAMIC, {"kind": "joint", "depth": DEPTH_PART, "lighting": LIGHT_PART}, "task depth gives"),
        (
            "joint",
            PANORAMIC | {"projection": "perspective"},
            {"kind": "joint", "depth": DEPTH_PART, "lighting": LIGHT_PART},
            "equirectangular",
        ),
        (
            "joint",
            PANORAMIC,
            {"kind": "joint", "depth": DEPTH_PART, "lighting": LIGHT_PART | {"coefficients": "depth"}},
            "same ONNX output",
        ),
    ],
)
def test_a_joint_model_that_makes_no_sense_is_refused(
    model_folder: Maker, task: str, given: dict[str, Any], output: dict[str, Any], word: str
) -> None:
    """One part alone, parts of another task, an ordinary picture, or one output read twice."""
    with pytest.raises(ValueError, match=word):
        model_folder(task=task, input=given, output=output, golden=None)


def test_every_part_of_a_joint_model_is_checked(model_folder: Maker) -> None:
    """A depth map passed off as light in a joint model is refused when loaded."""
    output = {"kind": "joint", "depth": DEPTH_PART, "lighting": LIGHT_PART}
    folder = model_folder(task="joint", input=PANORAMIC, output=output, golden=None)
    write_model(folder / "model.onnx", size=(64, 32), again="coefficients")
    manifest = read_manifest(folder)
    ref = manifest.onnx.model_copy(update={"sha256": sha256_of(folder / "model.onnx")})
    write_manifest(folder, manifest.model_copy(update={"onnx": ref}))
    with pytest.raises(ManifestError, match="sh2_prescaled_irradiance"):
        load(ModelStore(folder.parent).find("depth"))


def _with_golden(folder: Path, arrays: dict[str, np.ndarray] | bytes, tolerance: dict[str, float]) -> None:
    """Another golden pair, with a manifest that fits its bytes."""
    path = folder / "golden.npz"
    if isinstance(arrays, bytes):
        path.write_bytes(arrays)
    else:
        np.savez(path, **arrays)  # type: ignore[arg-type]
    data = json.loads((folder / "manifest.json").read_text())
    data["golden"] |= {"sha256": sha256_of(path), "tolerance": tolerance}
    (folder / "manifest.json").write_text(json.dumps(data))


def _bytes_of(folder: Path, how: str) -> bytes:
    """The golden pair, damaged or as another kind of file."""
    path = folder / "golden.npz"
    if how == "npy":
        np.save(folder / "one.npy", np.ones(3))
        return (folder / "one.npy").read_bytes()
    if how == "deflated":
        np.savez_compressed(path, **dict(np.load(path)))
        data = bytearray(path.read_bytes())
        data[len(data) // 3 : len(data) // 3 + 9] = b"damaged!!"
        return bytes(data)
    if how == "encrypted":
        data = bytearray(path.read_bytes())
        for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            start = data.find(mark)
            while start >= 0:
                data[start + at] |= 1
                start = data.find(mark, start + 4)
        return bytes(data)
    return b"" if how == "empty" else b"no archive"


@pytest.mark.parametrize("how", ["npy", "deflated", "encrypted", "empty", "text"])
def test_a_golden_pair_of_another_kind_of_file_is_refused(how: str, model_folder: Maker) -> None:
    """However it fails to be read, it is one kind of error, with the file and the remedy."""
    folder = model_folder()
    _with_golden(folder, _bytes_of(folder, how), {"depth": 1e-5})
    with pytest.raises(ManifestError, match=r"golden\.npz: not a golden pair .*export the model again"):
        load(ModelStore(folder.parent).find("depth"))


PICTURE = np.random.default_rng(0).random((1, 3, SIZE[1], SIZE[0]), dtype=np.float32)
ANSWER = PICTURE.mean(1, keepdims=True) * 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"output:depth": ANSWER * np.nan}, "'depth' holds no finite floats"),
        ({"output:depth": np.where(ANSWER > 1, np.nan, ANSWER)}, "'depth' holds no finite floats"),
        ({"output:depth": ANSWER[:0]}, "'depth' holds no finite floats"),
        ({"output:depth": ANSWER.astype(np.int64)}, "'depth' holds no finite floats"),
        ({"output:depth": np.array(["a"])}, "'depth' holds no finite floats"),
        ({"output:depth": np.array([{}], object)}, "not a golden pair"),
        ({"output:depth": None, "output:disparity": ANSWER}, "not a golden pair.*depth"),
        ({"input:image": None}, "not a golden pair.*image"),
        ({"input:image": PICTURE[:, :2]}, r"its input is \(1, 2, 24, 32\)"),
        ({"input:image": PICTURE[:0]}, "'input' holds no finite floats"),
        ({"input:image": PICTURE[0]}, r"its input is \(3, 24, 32\)"),
        ({"input:image": PICTURE * np.inf}, "'input' holds no finite floats"),
        ({"output:depth": ANSWER[:, :, :-1]}, "does not reproduce its golden output"),
        ({"output:depth": ANSWER + 1e-3}, "does not reproduce its golden output"),
    ],
)
def test_a_golden_pair_that_compares_nothing_is_refused(
    changed: dict[str, Any], message: str, model_folder: Maker
) -> None:
    """Wrong numbers, shapes, types and names: each is said, and none serves."""
    folder = model_folder()
    arrays = {"input:image": PICTURE, "output:depth": ANSWER} | changed
    _with_golden(folder, {k: v for k, v in arrays.items() if v is not None}, {"depth": 1e-5})
    with pytest.raises(EngineError, match=message):
        load(ModelStore(folder.parent).find("depth"))


@pytest.mark.parametrize(
    ("tolerance", "message"),
    [
        ({}, r"golden\.tolerance"),
        ({"depth": -1e-5}, r"golden\.tolerance\.depth.*greater than or equal to 0"),
        ({"depth": float("nan")}, r"golden\.tolerance\.depth"),
        ({"depth": float("inf")}, r"golden\.tolerance\.depth"),
        ({"disparity": 1e-5}, r"golden\.tolerance is of \['disparity'\], the model's outputs are \['depth'\]"),
        ({"depth": 1e-5, "more": 1}, r"golden\.tolerance is of \['depth', 'more'\]"),
        ({"depth": 5.0}, "would let an output of zeros pass; lower it"),
    ],
)
def test_a_tolerance_that_proves_nothing_is_refused(
    tolerance: dict[str, float], message: str, model_folder: Maker
) -> None:
    """Of no output, of another one, below zero, no number, or so wide that anything is within it."""
    folder = model_folder()
    _with_golden(folder, {"input:image": PICTURE, "output:depth": ANSWER}, tolerance)
    with pytest.raises(ManifestError, match=message):
        load(ModelStore(folder.parent).find("depth"))


@pytest.mark.parametrize(
    ("tolerance", "message"),
    [
        ({"disparity": 1e-5}, r"variants\.fp16\.tolerance is of \['disparity'\]"),
        ({"depth": -1.0}, r"variants\.fp16\.tolerance\.depth"),
        ({"depth": float("nan")}, r"variants\.fp16\.tolerance\.depth"),
    ],
)
def test_a_variants_tolerance_is_of_its_outputs(tolerance: dict[str, float], message: str, model_folder: Maker) -> None:
    """One that says nothing of an output has the golden pair's own."""
    folder = model_folder()
    data = json.loads((folder / "manifest.json").read_text())
    data["variants"] = {"fp16": data["onnx"] | {"tolerance": {}}}
    (folder / "manifest.json").write_text(json.dumps(data))
    assert read_manifest(folder).tolerance_of("fp16") == {"depth": 1e-5}
    data["variants"]["fp16"]["tolerance"] = tolerance
    (folder / "manifest.json").write_text(json.dumps(data))
    with pytest.raises(ManifestError, match=message):
        read_manifest(folder)


@pytest.mark.parametrize("gain", [float("nan"), float("inf")])
def test_a_model_that_gives_no_numbers_does_not_serve(gain: float, model_folder: Maker) -> None:
    """Also without a golden pair: an even picture must have an answer."""
    folder = model_folder(golden=None)
    write_model(folder / "model.onnx", gain=gain)
    manifest = read_manifest(folder)
    ref = manifest.onnx.model_copy(update={"sha256": sha256_of(folder / "model.onnx")})
    write_manifest(folder, manifest.model_copy(update={"onnx": ref}))
    with pytest.raises(EngineError, match="gives no numbers for an even picture.*export the model again"):
        load(ModelStore(folder.parent).find("depth"))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"image": [2, 3, 24, 32]}, "batch of 1"),
        ({"image": [0, 3, 24, 32]}, "batch of 1"),
        ({"image": [1, 24, 32, 3]}, "channels before height"),
        ({"image": [1, 3, 24, 33]}, "correct input.width_px"),
        ({"image": [3, 24, 32]}, "correct input.width_px"),
        ({"image": [1, 3, 24, 32], "scale": [1]}, "the others as constants"),
        ({"picture": [1, 3, 24, 32]}, "correct input.name"),
    ],
)
def test_the_remedy_fits_what_the_model_takes(inputs: dict[str, list[int]], message: str, model_folder: Maker) -> None:
    """Another batch, channels last, another size, more inputs, another name."""
    described = {name: Tensor(shape, "tensor(float)", True) for name, shape in inputs.items()}
    outputs = {"depth": Tensor([1, 1, 24, 32], "tensor(float)", True)}
    with pytest.raises(ManifestError, match=message):
        check_signature("x.onnx", read_manifest(model_folder()), described, outputs)
