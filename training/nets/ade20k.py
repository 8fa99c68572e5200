"""Reader and executor of the published ADE20K segmenters: an .npz with the list of operations and their weights.

`meta` holds JSON: `inp` (the input's number), `inshape` (1, H, W, 3) the networks were made for, and `ops` in order,
each with its inputs `i`, outputs `o` and what the operation needs; `w<k>` and `b<k>` are the weights of its convolution
k. Values run as floats: the ranges of the quantised originals are not applied.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge.errors import DataError
from edge.perception.preprocess import resize

CLASSES = (
    "other", "wall", "building", "sky", "floor", "tree", "ceiling", "road", "bed", "window", "grass", "cabinet",
    "sidewalk", "person", "earth", "door", "table", "mountain", "plant", "curtain", "chair", "car", "water", "painting",
    "sofa", "shelf", "house", "sea", "mirror", "rug", "field", "armchair",
)  # fmt: skip
"""Order of the 32 output channels (MLPerf Mobile's merge of ADE20K)."""
SURFACES: dict[str, tuple[str, ...]] = {
    "wall": ("wall", "building", "house", "window", "door", "curtain", "painting", "mirror"),
    "floor": ("floor", "rug", "road", "sidewalk", "earth"),
    "ceiling": ("ceiling", "sky"),
}
"""What is a room's wall, floor or ceiling or lies flat on it; indoor surfaces are at times taken for outdoor ones."""
SIZE_STEP_PX = 128
"""Pictures are a multiple of this wide and high, so that every resize is by a whole factor."""
_FINEST_PX = 512
"""The shorter side that the networks were made for."""
Weights = dict[str, npt.NDArray[np.float32]]
Description = dict[str, Any]
_ACTIVATIONS: dict[int, Callable[[], nn.Module]] = {0: nn.Identity, 1: nn.ReLU, 3: nn.ReLU6}


class SamePadding(nn.Module):
    """TensorFlow's SAME: zeros so that ceil(size / stride) outputs remain, the odd one below and right."""

    def __init__(self, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]) -> None:
        """Of the convolution that follows, (height, width)."""
        super().__init__()
        self._reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
        self._stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> padded."""
        pads: list[int] = []
        for size, reach, stride in zip(x.shape[:1:-1], self._reach[::-1], self._stride[::-1], strict=True):
            lacking = max((-(-size // stride) - 1) * stride + reach - size, 0)
            pads += [lacking // 2, lacking - lacking // 2]
        return F.pad(x, pads)


class Enlarge(nn.Module):
    """TensorFlow's first bilinear resize: output i reads the input at i / factor, and past its end repeats the last."""

    def __init__(self, share_height: float, share_width: float) -> None:
        """The output's size as shares of the network's input."""
        super().__init__()
        self._shares = (share_height, share_width)

    def forward(self, x: Tensor, input_size: tuple[int, int]) -> Tensor:
        """(B, C, H, W) -> enlarged, for a network input of (height, width)."""
        wanted = [round(share * size) for share, size in zip(self._shares, input_size, strict=True)]
        factors = [n // size for n, size in zip(wanted, x.shape[2:], strict=True)]
        inner = [(size - 1) * f + 1 for size, f in zip(x.shape[2:], factors, strict=True)]
        # On that many samples, "align corners" reads exactly at i / factor.
        y = F.interpolate(x, size=inner, mode="bilinear", align_corners=True)
        return F.pad(y, (0, factors[1] - 1, 0, factors[0] - 1), mode="replicate")


class _Step(NamedTuple):
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def _convolution(op: Description, weights: Weights) -> nn.Module:
    weight, bias = (torch.from_numpy(weights[f"{name}{op['k']}"].astype(np.float32)) for name in "wb")
    outputs, inputs, *kernel = weight.shape
    groups = outputs if op["op"] == "DEPTHWISE_CONV_2D" else 1
    stride, dilation = tuple(op["stride"]), tuple(op["dil"])
    layer = nn.Conv2d(inputs * groups, outputs, tuple(kernel), stride, 0, dilation, groups)  # type: ignore[arg-type]
    with torch.no_grad():
        layer.weight.copy_(weight)
        cast(Tensor, layer.bias).copy_(bias)
    padding = SamePadding(tuple(kernel), stride, dilation) if op["same"] else nn.Identity()  # type: ignore[arg-type]
    return nn.Sequential(padding, layer, _ACTIVATIONS[op.get("act", 0)]())


def _pool(op: Description) -> nn.Module:
    if op["glob"]:
        return nn.AdaptiveAvgPool2d(1)
    return nn.AvgPool2d(tuple(op["kern"]), tuple(op["stride"]))


def _module(op: Description, weights: Weights, height_px: int, width_px: int) -> nn.Module:
    """What computes one operation; joining and splitting need no more than its kind and an activation."""
    kind = op["op"]
    if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return _convolution(op, weights)
    if kind == "AVERAGE_POOL_2D":
        return _pool(op)
    if kind == "RESIZE_BILINEAR":
        if op["align"] or op["half"]:
            raise DataError("resizes with aligned corners or half-pixel centres are not known here")
        return Enlarge(op["size"][0] / height_px, op["size"][1] / width_px)
    if kind not in ("ADD", "CONCATENATION", "SPLIT", "QUANTIZE"):
        raise DataError(f"operation {kind} is not known here")
    return _ACTIVATIONS[op.get("act", 0)]()


class Ade20kSegmenter(nn.Module):
    """(B, 3, H, W) RGB scaled to -1..1 -> (B, 32, H, W) logits of `CLASSES`; H and W near 512, multiples of 128."""

    def __init__(self, description: Description, weights: Weights) -> None:
        """Build from the parsed file; see the module."""
        super().__init__()
        _, height_px, width_px, _ = description["inshape"]
        ops = description["ops"]
        self._input = int(description["inp"])
        self._steps = [_Step(op["op"], tuple(op["i"]), tuple(op["o"])) for op in ops]
        self._last_use = {value: n for n, step in enumerate(self._steps) for value in step.inputs}
        self.layers = nn.ModuleList([_module(op, weights, height_px, width_px) for op in ops])

    def forward(self, x: Tensor) -> Tensor:
        """Logits at the picture's own size."""
        size = (x.shape[2], x.shape[3])
        if size[0] % SIZE_STEP_PX or size[1] % SIZE_STEP_PX:
            raise DataError(f"a picture of {size[1]}x{size[0]} px: resize to multiples of {SIZE_STEP_PX}, near 512")
        values = {self._input: x}
        y = x
        for n, (step, layer) in enumerate(zip(self._steps, self.layers, strict=True)):
            given = [values[i] for i in step.inputs]
            for i in step.inputs:
                if self._last_use[i] == n:
                    values.pop(i, None)
            if step.kind == "SPLIT":
                values.update(zip(step.outputs, given[0].chunk(len(step.outputs), 1), strict=True))
                continue
            y = self._result(step.kind, layer, given, size)
            values[step.outputs[0]] = y
        return y

    @staticmethod
    def _result(kind: str, layer: nn.Module, given: list[Tensor], size: tuple[int, int]) -> Tensor:
        if kind == "RESIZE_BILINEAR":
            return cast(Tensor, layer(given[0], size))
        if kind == "ADD":
            return cast(Tensor, layer(given[0] + given[1]))
        return cast(Tensor, layer(torch.cat(given, 1) if kind == "CONCATENATION" else given[0]))


def surface_probabilities(logits: Tensor) -> Tensor:
    """(B, 32, H, W) logits -> (B, 3, H, W) probabilities of wall, floor and ceiling."""
    share = logits.softmax(dim=1)
    return torch.stack([share[:, [CLASSES.index(c) for c in names]].sum(dim=1) for names in SURFACES.values()], dim=1)


def classes_in(segmenter: Ade20kSegmenter, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """(H, W) of an RGB picture (H, W, 3): the number in `CLASSES` of what each pixel most likely shows."""
    h, w = image.shape[:2]
    scale = _FINEST_PX / min(h, w)
    size = [max(SIZE_STEP_PX, round(n * scale / SIZE_STEP_PX) * SIZE_STEP_PX) for n in (w, h)]
    x = torch.from_numpy(resize(image, size[0], size[1]).astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
    with torch.no_grad():
        logits = F.interpolate(segmenter(x), size=(h, w), mode="bilinear", align_corners=False)
    return logits.argmax(dim=1)[0].numpy()


def read_segmenter(path: Path) -> Ade20kSegmenter:
    """A segmenter from its .npz, in evaluation mode.

    Raises:
        DataError: the file cannot be read, or is no such file.
    """
    try:
        with np.load(path) as z:
            description = json.loads(bytes(z["meta"]).decode())
            weights = {k: z[k] for k in z.files if k != "meta"}
        return Ade20kSegmenter(description, weights).eval().requires_grad_(False)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, DataError) as e:
        raise DataError(
            f"{path}: no segmenter ({e}); give one of the ADE20K .npz files with `meta`, w<k> and b<k> arrays"
        ) from e
