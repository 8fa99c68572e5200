"""Published checkpoints of other projects -> checkpoints of ours, with the same answers.

Names of tensors were read in sunset1995/HorizonNet (model.py), dontLoveBugs/FCRN_pytorch (network/FCRN.py),
iro-cp/FCRN-DepthPrediction (tensorflow/models) and dwofk/fast-depth (models.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from edge.errors import DataError
from edge.inference.manifest import sha256_of
from training.config.file import recipe_from_mapping
from training.config.recipe import Recipe
from training.export.published.pickles import read_numpy_dict, read_torch, state_dict_of
from training.provenance import source_state
from training.tasks.build import build_task

Kind = Literal["horizonnet", "fcrn", "fcrn-tensorflow", "fastdepth"]
Tensors = dict[str, Tensor]

_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_EPSILON = 1e-4, 1e-5
"""What the TensorFlow port and torch add to a variance."""


@dataclass(frozen=True)
class _Work:
    """What is known of a project: where it is, its licence, its pictures, and a word of its tensors' names."""

    task: Literal["depth", "layout"]
    source: str
    licence: str
    size_wh: tuple[int, int]
    sign: str


WORKS: dict[Kind, _Work] = {
    "horizonnet": _Work(
        "layout", "https://github.com/sunset1995/HorizonNet", "MIT (code)", (1024, 512), "reduce_height_module"
    ),
    "fcrn": _Work("depth", "https://github.com/dontLoveBugs/FCRN_pytorch", "none stated", (304, 228), "upSample.layer"),
    "fcrn-tensorflow": _Work(
        "depth", "https://github.com/iro-cp/FCRN-DepthPrediction", "BSD-2-Clause", (304, 228), "_br1_ConvA"
    ),
    "fastdepth": _Work("depth", "https://github.com/dwofk/fast-depth", "MIT", (224, 224), "decode_conv"),
}
_STRANGERS = {"linear_depth_output": "LGT-Net", "pretrained.": "MiDaS or Depth Anything", "fc.weight": "a classifier"}

_RESNET = tuple((rf"^layer{n}\.", f"encoder.stages.{n - 1}.") for n in range(1, 5))
_UP = r"^upSample\.layer(\d)\."
_RULES: dict[str, tuple[tuple[str, str], ...]] = {
    "horizonnet": (
        (r"^feature_extractor\.encoder\.", ""),
        (r"^conv1\.1\.", "encoder.stem.0.1."),
        (r"^bn1\.", "encoder.stem.1."),
        *_RESNET,
        (r"^reduce_height_module\.ghc_lst\.(\d)\.layer\.(\d)\.layers\.", r"squeezes.\1.layers.\2."),
        (r"^bi_rnn\.", "lstm."),
        (r"^linear\.", "answer."),
    ),
    "fcrn": (
        (r"^conv1\.", "encoder.stem.0."),
        (r"^bn1\.", "encoder.stem.1."),
        *_RESNET,
        (r"^conv2\.", "bridge.0."),
        (r"^bn2\.", "bridge.1."),
        (r"^conv3\.", "answer."),
        (_UP + r"deconv[23]\.", r"stages.-\1.0."),
        (_UP + r"deconv_norm\.", r"stages.-\1.1."),
        (_UP + r"conv\.", r"stages.-\1.convolution."),
        (_UP + r"batchnorm\.", r"stages.-\1.norm."),
        (_UP + r"upper_branch\.conv1\.", r"stages.-\1.upper.0."),
        (_UP + r"upper_branch\.batchnorm1\.", r"stages.-\1.upper.1."),
        (_UP + r"upper_branch\.conv2\.", r"stages.-\1.upper.3."),
        (_UP + r"upper_branch\.batchnorm2\.", r"stages.-\1.upper.4."),
        (_UP + r"bottom_branch\.conv\.", r"stages.-\1.shortcut.0."),
        (_UP + r"bottom_branch\.batchnorm\.", r"stages.-\1.shortcut.1."),
    ),
    "fastdepth": (
        (r"^conv(\d+)\.", r"encoder.\1."),
        (r"^decode_conv6\.", "answer."),
        (r"^decode_conv(\d)\.0\.([01])\.", r"decoder.-\1.\2."),
        (r"^decode_conv(\d)\.1\.0\.", r"decoder.-\1.3."),
        (r"^decode_conv(\d)\.1\.1\.", r"decoder.-\1.4."),
    ),
}


def _renamed(kind: str, name: str) -> str:
    """Our name of a tensor; `-N` in a rule is the published number from 1."""
    for pattern, ours in _RULES[kind]:
        name = re.sub(pattern, ours, name)
    return re.sub(r"\.-(\d+)\.", lambda m: f".{int(m[1]) - 1}.", name)


def _few(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _likely(names: list[str]) -> str:
    """What a file with these names of tensors probably is."""
    for kind, work in WORKS.items():
        if any(work.sign in name for name in names):
            return f"it looks like {kind}: import it as that"
    for sign, what in _STRANGERS.items():
        if any(sign in name for name in names):
            return f"it looks like {what}: export that to ONNX with its own code and import the ONNX"
    return "give a checkpoint of " + ", ".join(f"{k} ({w.source})" for k, w in WORKS.items())


def _check_kind(kind: Kind, names: list[str], path: Path) -> None:
    if not any(WORKS[kind].sign in name for name in names):
        raise DataError(f"{path}: no {kind} weights: nothing named like {WORKS[kind].sign!r}; {_likely(names)}")


# --- what each project's file says of its network -------------------------------------------------------------------


def _resnet(tensors: Tensors, prefix: str) -> str:
    """The encoder that these tensors are of, by its blocks."""
    deep = any(name.startswith(f"{prefix}layer1.0.conv3.") for name in tensors)
    blocks = sum(name.startswith(f"{prefix}layer3.") and name.endswith(".bn1.weight") for name in tensors)
    known = {(False, 2): "resnet18", (True, 6): "resnet50"}
    if (deep, blocks) not in known:
        raise DataError(
            f"its encoder is neither resnet18 nor resnet50 ({blocks} blocks in its third stage); these two can be "
            "imported, others by exporting ONNX with their own code"
        )
    return known[deep, blocks]


def _horizonnet(path: Path) -> tuple[dict[str, Any], Tensors]:
    tensors = state_dict_of(read_torch(path), path)
    _check_kind("horizonnet", list(tensors), path)
    if not any(name.startswith("bi_rnn.") for name in tensors):
        raise DataError(f"{path}: trained without its LSTM (--no_rnn); only networks with one can be imported")
    return {"net": "horizonnet", "encoder": _resnet(tensors, "feature_extractor.encoder.")}, tensors


def _fcrn(path: Path) -> tuple[dict[str, Any], Tensors]:
    tensors = state_dict_of(read_torch(path), path)
    _check_kind("fcrn", list(tensors), path)
    signs = {
        "deconv2": ".deconv2.", "deconv3": ".deconv3.", "upproj": ".upper_branch.conv1.", "upconv": "layer1.conv.",
    }  # fmt: skip
    names = [name for name in tensors if name.startswith("upSample.")]
    decoder = next((d for d, sign in signs.items() if any(sign in name for name in names)), None)
    if decoder is None:
        raise DataError(
            f"{path}: its decoder ({_few(names)}) is none of {', '.join(signs)}; `fasterupproj` mixes the channels of "
            "its four maps and has no equal here: train fast_upproj instead"
        )
    if decoder.startswith("deconv"):  # one published name, two places of ours
        tensors = {re.sub(r"(^upSample\.layer\d)\.batchnorm\.", r"\1.deconv_norm.", n): t for n, t in tensors.items()}
    net = {"net": "fcrn", "encoder": _resnet(tensors, ""), "decoder": decoder, "enlarge": True, "max_m": 100.0}
    return net, tensors


def _fastdepth(path: Path) -> tuple[dict[str, Any], Tensors]:
    tensors = state_dict_of(read_torch(path), path)
    _check_kind("fastdepth", list(tensors), path)
    try:
        encoder = [tensors["conv0.0.weight"], *(tensors[f"conv{i}.3.weight"] for i in range(1, 14))]
        decoder = [tensors[f"decode_conv{i}.1.0.weight"] for i in range(1, 6)]
    except KeyError as e:
        raise DataError(
            f"{path}: no tensor {e}; only MobileNet-NNConv5-dw with added skips (MobileNetSkipAdd) can be imported"
        ) from e
    net = {"net": "fast_depth", "encoder_channels": [len(t) for t in encoder]}
    return net | {"decoder_channels": [len(t) for t in decoder]}, tensors


# --- the TensorFlow port: other names, other order of axes, biases before normalisation -----------------------------


def _tensorflow_layers() -> Iterator[tuple[str, str | None, str, str]]:
    """(convolution, normalisation, our convolution, our normalisation) of the port's ResNet-50 with up-projection."""
    yield "conv1", "bn_conv1", "encoder.stem.0", "encoder.stem.1"
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for block in range(blocks):
            at, ours = f"{stage + 2}{'abcdef'[block]}_branch", f"encoder.stages.{stage}.{block}"
            for i, part in enumerate("abc", 1):
                yield f"res{at}2{part}", f"bn{at}2{part}", f"{ours}.conv{i}", f"{ours}.bn{i}"
            if block == 0:
                yield f"res{at}1", f"bn{at}1", f"{ours}.downsample.0", f"{ours}.downsample.1"
    yield "layer1", "layer1_BN", "bridge.0", "bridge.1"
    for i, size in enumerate(("2x", "4x", "8x", "16x")):
        for branch, part in (("br1", "first"), ("br2", "shortcut")):
            for k, letter in enumerate("ABCD"):
                ours = f"stages.{i}.{part}.parts.{k}"
                yield f"layer{size}_{branch}_Conv{letter}", f"layer{size}_{branch}_BN", f"{ours}.0", f"{ours}.1"
        yield f"layer{size}_Conv", f"layer{size}_BN", f"stages.{i}.second.0", f"stages.{i}.second.1"
    yield "ConvPred", None, "answer", ""


def _tensorflow(path: Path) -> tuple[dict[str, Any], Tensors]:
    layers = read_numpy_dict(path)
    _check_kind("fcrn-tensorflow", list(layers), path)
    plan = list(_tensorflow_layers())
    named = {name for row in plan for name in row[:2] if name}
    missing, extra = sorted(named - set(layers)), sorted(set(layers) - named)
    if missing or extra:
        raise DataError(f"{path}: layers missing: {_few(missing) or 'none'}; unknown: {_few(extra) or 'none'}")
    out: dict[str, np.ndarray] = {}
    for convolution, norm, ours, our_norm in plan:
        try:
            _add_layer(out, layers[convolution], layers[norm] if norm else None, ours, our_norm)
        except (KeyError, ValueError) as e:
            raise DataError(
                f"{path}: layer {convolution}: {e}; expected weights (h, w, in, out) and biases, and of its "
                "normalisation mean, variance, scale and offset: give the file as it was published"
            ) from e
    net = {"net": "fcrn", "encoder": "resnet50", "decoder": "fast_upproj", "port": "tensorflow", "max_m": 100.0}
    return net, {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in out.items()}


def _add_layer(
    out: dict[str, np.ndarray], layer: dict[str, np.ndarray], norm: dict[str, np.ndarray] | None, ours: str, bn: str
) -> None:
    """One convolution and its normalisation, under our names; a bias that ours lacks is taken from the mean."""
    out[f"{ours}.weight"] = layer["weights"].transpose(3, 2, 0, 1)
    keeps_bias = norm is None or ".parts." in ours
    if keeps_bias:
        out[f"{ours}.bias"] = layer["biases"]
    if norm is not None:
        out[f"{bn}.weight"], out[f"{bn}.bias"] = norm["scale"], norm["offset"]
        out[f"{bn}.running_mean"] = norm["mean"] - (0 if keeps_bias else layer.get("biases", 0))
        out[f"{bn}.running_var"] = norm["variance"] + (_EPSILON[0] - _EPSILON[1])


_READERS: dict[Kind, Callable[[Path], tuple[dict[str, Any], Tensors]]] = {
    "horizonnet": _horizonnet,
    "fcrn": _fcrn,
    "fcrn-tensorflow": _tensorflow,
    "fastdepth": _fastdepth,
}


# --- ours -----------------------------------------------------------------------------------------------------------


def _recipe(kind: Kind, net: dict[str, Any], name: str, licence: str | None, size_wh: tuple[int, int] | None) -> Recipe:
    work = WORKS[kind]
    width, height = size_wh or work.size_wh
    spec: dict[str, Any] = {"name": "image", "width_px": width, "height_px": height}
    spec["projection"] = "equirectangular" if work.task == "layout" else "perspective"
    if kind == "horizonnet":
        spec |= _IMAGENET
    if kind == "fcrn-tensorflow":
        spec["scale"] = 1.0
    mapping = {
        "name": name,
        "version": "published",
        "task": work.task,
        "licence": licence or work.licence,
        "source": work.source,
        "net": net,
        "input": spec,
        "optim": {"steps": 1, "ema_decay": 0},
    }
    return recipe_from_mapping(mapping, "import")


def _check_tensors(kind: Kind, path: Path, wanted: Tensors, given: Tensors) -> None:
    """Refuse a file that leaves a tensor out, has one too many, or one of another shape."""
    missing = [name for name in wanted if name not in given]
    extra = [name for name in given if name not in wanted]
    other = [
        f"{name} {tuple(given[name].shape)} for {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in given and given[name].shape != tensor.shape
    ]
    if missing or extra or other:
        raise DataError(
            f"{path}: its tensors are not those of {kind} (by our names: missing {_few(missing) or 'none'}; unknown "
            f"{_few(extra) or 'none'}; other shapes {_few(other) or 'none'}): another variant of it; "
            "export that to ONNX with its own code and import the ONNX"
        )


def import_checkpoint(
    kind: Kind,
    path: Path,
    out: Path,
    *,
    name: str | None = None,
    licence: str | None = None,
    size_wh: tuple[int, int] | None = None,
) -> Path:
    """Write `out`/final.ckpt, as `edge-train fit` would have, with a published checkpoint's weights.

    Args:
        kind: whose checkpoint it is.
        path: the file.
        out: the folder.
        name: of the model; the task's where None.
        licence: of the weights; that of the project's code where None.
        size_wh: px, of the pictures that these weights were trained on, where not the project's first data set's.

    Raises:
        DataError: the file is something else; the message says what it looks like.
    """
    net, tensors = _READERS[kind](path)
    if kind in _RULES:
        tensors = {_renamed(kind, n): t for n, t in tensors.items()}
    recipe = _recipe(kind, net, name or WORKS[kind].task, licence, size_wh)
    task = build_task(recipe).eval()
    wanted = task.net.state_dict()
    for counter in (n for n in wanted if n.endswith("num_batches_tracked")):  # older versions of torch had none
        tensors.setdefault(counter, wanted[counter])
    _check_tensors(kind, path, wanted, tensors)
    task.net.load_state_dict({n: t.to(wanted[n].dtype) for n, t in tensors.items()})
    if not all(bool(torch.isfinite(p).all()) for p in task.net.parameters()):
        raise DataError(f"{path}: weights are not finite; the training that wrote it had failed: take another file")
    out.mkdir(parents=True, exist_ok=True)
    final = out / "final.ckpt"
    weights = f"published weights, {path.name}, sha256 {sha256_of(path)[:12]}"
    run = {"steps": 0, "minutes": 0.0, "weights": weights} | source_state()
    content = {"recipe": recipe.model_dump(mode="json"), "state_dict": task.state_dict(), "global_step": 0}
    torch.save(content | {"trained_s": 0.0, "runs": [run]}, final)
    return final
