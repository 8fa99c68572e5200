"""The authors' TensorFlow weights of FCRN, written here as they publish them, keep their answers when imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from edge.errors import DataError
from training.export.proof.runners import manifest_at
from training.export.published.published import import_checkpoint
from training.tasks.build import load_task

_CHANNELS = {"layer1": (1024, 2048), "2x": (512, 1024), "4x": (256, 512), "8x": (128, 256), "16x": (64, 128)}


class _Layers:
    """Layers as the TensorFlow port names and stores them: (h, w, in, out) weights."""

    def __init__(self) -> None:
        self.layers: dict[str, dict[str, np.ndarray]] = {}
        self.rng = np.random.default_rng(5)

    def conv(self, name: str, k: tuple[int, int], i: int, o: int, *, bias: bool = True) -> None:
        """A convolution."""
        weights = self.rng.normal(0, (1.6 / (k[0] * k[1] * i)) ** 0.5, (*k, i, o)).astype(np.float32)
        self.layers[name] = {"weights": weights}
        if bias:
            self.layers[name]["biases"] = self.rng.normal(0, 0.1, o).astype(np.float32)

    def norm(self, name: str, n: int) -> None:
        """A normalisation, with one variance so small that its epsilon shows."""
        draw = {"mean": (0, 0.1), "offset": (0, 0.1)}
        layer = {key: self.rng.normal(*value, n) for key, value in draw.items()}
        layer["variance"] = self.rng.uniform(0.5, 1.5, n)
        layer["variance"][0] = 0.01
        layer["scale"] = self.rng.uniform(0.7, 1.2, n)
        self.layers[name] = {key: value.astype(np.float32) for key, value in layer.items()}

    def block(self, name: str, i: int, width: int, *, first: bool) -> None:
        """A bottleneck, like 3b."""
        for part, k, a, b in (("2a", 1, i, width), ("2b", 3, width, width), ("2c", 1, width, 4 * width)):
            self.conv(f"res{name}_branch{part}", (k, k), a, b, bias=False)
            self.norm(f"bn{name}_branch{part}", b)
        if first:
            self.conv(f"res{name}_branch1", (1, 1), i, 4 * width, bias=False)
            self.norm(f"bn{name}_branch1", 4 * width)

    def up(self, name: str, i: int, o: int) -> None:
        """An up-projection, like 2x."""
        for branch in ("br1", "br2"):
            for letter, k in zip("ABCD", ((3, 3), (2, 3), (3, 2), (2, 2)), strict=True):
                self.conv(f"layer{name}_{branch}_Conv{letter}", k, i, o)
            self.norm(f"layer{name}_{branch}_BN", o)
        self.conv(f"layer{name}_Conv", (3, 3), o, o)
        self.norm(f"layer{name}_BN", o)


def _tensorflow_weights() -> dict[str, dict[str, np.ndarray]]:
    make = _Layers()
    make.conv("conv1", (7, 7), 3, 64)
    make.norm("bn_conv1", 64)
    inputs = 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for block in range(blocks):
            make.block(f"{stage + 2}{'abcdef'[block]}", inputs, 64 << stage, first=block == 0)
            inputs = 256 << stage
    make.conv("layer1", (1, 1), 2048, 1024)
    make.norm("layer1_BN", 1024)
    for name in ("2x", "4x", "8x", "16x"):
        o, i = _CHANNELS[name]
        make.up(name, i, o)
    make.conv("ConvPred", (3, 3), 64, 1)
    make.layers["ConvPred"]["biases"] += 1
    return make.layers


def _tf_conv(layer: dict[str, np.ndarray], x: Tensor, pads: tuple[int, int, int, int] | None = None, s: int = 1) -> Any:
    """`pads`: left, right, top, bottom; None = the same size for odd kernels."""
    weight = torch.from_numpy(layer["weights"]).permute(3, 2, 0, 1).contiguous()
    half = weight.shape[2] // 2
    bias = torch.from_numpy(layer["biases"]) if "biases" in layer else None
    return F.conv2d(F.pad(x, pads or (half, half, half, half)), weight, bias, stride=s)


def _tf_norm(layer: dict[str, np.ndarray], x: Tensor) -> Tensor:
    v = {k: torch.from_numpy(a)[:, None, None] for k, a in layer.items()}
    return (x - v["mean"]) / (v["variance"] + 1e-4).sqrt() * v["scale"] + v["offset"]


def _tf_interleaved(w: dict[str, dict[str, np.ndarray]], name: str, x: Tensor) -> Tensor:
    """A at even rows and columns, B at odd rows, C at odd columns, D at both; even kernels reach up and left."""
    b, _, h, width = x.shape
    out = x.new_zeros(b, w[f"{name}_ConvA"]["biases"].size, 2 * h, 2 * width)
    pads = {"A": (1, 1, 1, 1), "B": (1, 1, 1, 0), "C": (1, 0, 1, 1), "D": (1, 0, 1, 0)}
    for letter, (row, column) in zip("ABCD", ((0, 0), (1, 0), (0, 1), (1, 1)), strict=True):
        out[..., row::2, column::2] = _tf_conv(w[f"{name}_Conv{letter}"], x, pads[letter])
    return _tf_norm(w[f"{name}_BN"], out)


def _tensorflow(w: dict[str, dict[str, np.ndarray]], x: Tensor) -> Tensor:
    """The port's answer to a picture of 0..255 whose sides are multiples of 4 px."""
    x = F.relu(_tf_norm(w["bn_conv1"], _tf_conv(w["conv1"], x, s=2)))
    x = F.max_pool2d(F.pad(x, (0, 1, 0, 1)), 3, 2)
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for block in range(blocks):
            at, stride = f"{stage + 2}{'abcdef'[block]}_branch", 2 if stage and not block else 1
            y = F.relu(_tf_norm(w[f"bn{at}2a"], _tf_conv(w[f"res{at}2a"], x, s=stride)))
            y = F.relu(_tf_norm(w[f"bn{at}2b"], _tf_conv(w[f"res{at}2b"], y)))
            y = _tf_norm(w[f"bn{at}2c"], _tf_conv(w[f"res{at}2c"], y))
            if block == 0:
                x = _tf_norm(w[f"bn{at}1"], _tf_conv(w[f"res{at}1"], x, s=stride))
            x = F.relu(x + y)
    x = _tf_norm(w["layer1_BN"], _tf_conv(w["layer1"], x))
    for name in ("2x", "4x", "8x", "16x"):
        y = F.relu(_tf_interleaved(w, f"layer{name}_br1", x))
        y = _tf_norm(w[f"layer{name}_BN"], _tf_conv(w[f"layer{name}_Conv"], y))
        x = F.relu(y + _tf_interleaved(w, f"layer{name}_br2", x))
    return F.relu(_tf_conv(w["ConvPred"], x))


@pytest.mark.slow
def test_the_tensorflow_port_keeps_its_answers(tmp_path: Path) -> None:
    """From the pickled dictionary of layers: same metres for a picture of 0..255, half the size of the next 32 px."""
    layers, path = _tensorflow_weights(), tmp_path / "NYU_ResNet-UpProj.npy"
    np.save(path, np.array(layers, dtype=object))
    made = import_checkpoint("fcrn-tensorflow", path, tmp_path / "run")
    spec = manifest_at(made).input
    assert (spec.width_px, spec.height_px, spec.scale, spec.mean) == (304, 228, 1.0, (0, 0, 0))
    x = torch.rand(1, 3, 76, 100) * 255
    with torch.no_grad():
        expected = _tensorflow(layers, x)
        assert expected.shape == (1, 1, 48, 64)
        found = load_task(made).inference_net(x)
    span = float(expected.max() - expected.min())
    assert span > 1e-3
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) <= 1e-4 * span
    del layers["layer4x_br2_ConvB"]
    np.save(path, np.array(layers, dtype=object))
    with pytest.raises(DataError, match="layer4x_br2_ConvB"):
        import_checkpoint("fcrn-tensorflow", path, tmp_path / "run")
