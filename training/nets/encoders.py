"""Encoders from torchvision: the feature maps at 1/2, 1/4, 1/8, 1/16 and 1/32 of the picture."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torchvision
from torch import Tensor, nn

from edge.errors import DataError

IMAGENET = Path("imagenet")
"""In place of a weights file: what torchvision downloads."""
_MOBILENET_TAPS = (1, 3, 6, 13, 17)


class ResNetEncoder(nn.Module):
    """torchvision's ResNet without its classifier."""

    def __init__(self, name: str, *, early_stride: bool = False) -> None:
        """Build resnet18, resnet34 or resnet50 with random weights.

        `early_stride`: as the first paper and Caffe have it, a stage's first 1x1 convolution strides instead of its
        3x3 one, and pooling is padded at the far end alone; for pictures that are a multiple of 4 px either way.
        """
        super().__init__()
        net = getattr(torchvision.models, name)(weights=None)
        if early_stride:
            net.maxpool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
            for block in (net.layer2[0], net.layer3[0], net.layer4[0]):
                block.conv1.stride, block.conv2.stride = (2, 2), (1, 1)
        self.stem = nn.Sequential(net.conv1, net.bn1, net.relu)
        self.pool = net.maxpool
        self.stages = nn.ModuleList([net.layer1, net.layer2, net.layer3, net.layer4])
        base = 256 if name == "resnet50" else 64
        self.channels = (64, base, base * 2, base * 4, base * 8)

    def first(self, blocks: int) -> list[nn.Module]:
        """The stem and the first `blocks` - 1 stages."""
        return [self.stem, *self.stages][:blocks]

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> five feature maps at 1/2 to 1/32 of the picture, finest first, of `channels` each."""
        x = self.stem(x)
        out = [x]
        x = self.pool(x)
        for stage in self.stages:
            x = stage(x)
            out.append(x)
        return out


class MobileNetEncoder(nn.Module):
    """torchvision's MobileNetV2 up to its last bottleneck (the 1x1 convolution to 1280 channels is left out)."""

    def __init__(self, width: float = 1.0, blocks: int = 18) -> None:
        """Build the first `blocks` (8..18) blocks with random weights."""
        super().__init__()
        net = torchvision.models.mobilenet_v2(weights=None, width_mult=width)
        self.features = nn.Sequential(*list(net.features)[:blocks])
        self.taps = (*[t for t in _MOBILENET_TAPS if t < blocks - 1], blocks - 1)
        self.channels = tuple(_out_channels(self.features[t]) for t in self.taps)

    def first(self, blocks: int) -> list[nn.Module]:
        """The first `blocks` blocks, for freezing."""
        return list(self.features[:blocks])

    def forward(self, x: Tensor) -> list[Tensor]:
        """The feature maps at the end of each resolution, finest first."""
        out = []
        for i, block in enumerate(self.features):
            x = block(x)
            if i in self.taps:
                out.append(x)
        return out


def _out_channels(block: nn.Module) -> int:
    return [m.num_features for m in block.modules() if isinstance(m, nn.BatchNorm2d)][-1]


def build_encoder(name: str, width: float = 1.0, *, early_stride: bool = False) -> ResNetEncoder | MobileNetEncoder:
    """An encoder by its recipe name, with random weights; `early_stride` is for ResNets."""
    return MobileNetEncoder(width) if name == "mobilenet_v2" else ResNetEncoder(name, early_stride=early_stride)


def add_mask_channel(encoder: ResNetEncoder | MobileNetEncoder) -> None:
    """Give the first convolution a fourth input channel with weights of zero, in place."""
    parent = cast(nn.Sequential, encoder.stem if isinstance(encoder, ResNetEncoder) else encoder.features[0])
    old = cast(nn.Conv2d, parent[0])
    new = nn.Conv2d(4, old.out_channels, old.kernel_size, old.stride, old.padding, bias=False)  # type: ignore[arg-type]
    with torch.no_grad():
        new.weight.zero_()
        new.weight[:, :3] = old.weight
    parent[0] = new


class _Wrap(torch.autograd.Function):
    """Wrapping with a backward pass in one sum; autograd's own would fill two maps with zeros for the two strips."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, pad: int) -> Tensor:
        ctx.pad = pad
        return torch.cat([x[..., -pad:], x, x[..., :pad]], dim=-1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        pad, g = ctx.pad, gradients[0]
        out = g[..., pad:-pad].clone(memory_format=torch.preserve_format)
        out[..., -pad:] += g[..., :pad]
        out[..., :pad] += g[..., -pad:]
        return out, None


class LeftRightWrap(nn.Module):
    """Pads `pad` columns on either side with those of the other side: a panorama has no edge."""

    def __init__(self, pad: int) -> None:
        """Set the number of columns."""
        super().__init__()
        self.pad = pad

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W + 2 pad)."""
        if self.training:
            return cast(Tensor, _Wrap.apply(x, self.pad))
        return torch.cat([x[..., -self.pad :], x, x[..., : self.pad]], dim=-1)


def wrap_convolutions(module: nn.Module) -> None:
    """Replace zero padding in width by wrapping, in every convolution below `module`, in place."""
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Conv2d) and int(child.padding[1]) > 0:
            pad = int(child.padding[1])
            child.padding = (int(child.padding[0]), 0)
            child._reversed_padding_repeated_twice = [0, 0, child.padding[0], child.padding[0]]
            setattr(module, name, nn.Sequential(LeftRightWrap(pad), child))
        else:
            wrap_convolutions(child)


def load_mobilenet_weights(encoder: MobileNetEncoder, path: Path) -> int:
    """Fill the whole encoder from a `.npz` of torchvision's MobileNetV2 keys; returns how many tensors that were.

    Works before `wrap_convolutions` and `add_mask_channel`; keys of blocks that the encoder lacks are ignored.

    Raises:
        DataError: the file cannot be read, or leaves a tensor of the encoder out.
    """
    try:
        with path.open("rb") as file, np.load(file) as z:
            state = {k: torch.from_numpy(z[k].astype(np.float32)) for k in z.files}
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as e:
        raise DataError(f"{path}: no weights file ({e}); give an .npz with torchvision's mobilenet_v2 keys") from e
    own = encoder.state_dict()
    fitting = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    wanted = [k for k in own if not k.endswith("num_batches_tracked")]  # a count, which files may leave out
    missing = [k for k in wanted if k not in fitting]
    if missing:
        raise DataError(
            f"{path}: fits {len(wanted) - len(missing)} of this encoder's {len(wanted)} tensors ({missing[0]} is "
            "missing or of another shape); set net.width to that of the weights (torchvision's: 1.0), or make weights "
            "for this width with `edge-train distill encoder`"
        )
    encoder.load_state_dict(fitting, strict=False)
    return len(fitting)


def load_torchvision_weights(encoder: ResNetEncoder | MobileNetEncoder, name: str) -> int:
    """Fill the encoder with torchvision's ImageNet weights, which torchvision downloads; returns how many tensors.

    Raises:
        DataError: the download failed, or the weights are for another width.
    """
    try:
        net = torchvision.models.get_model(name, weights="DEFAULT")
    except (OSError, RuntimeError) as e:
        raise DataError(
            f"torchvision's weights for {name} cannot be had ({e}); go online, or give --weights a file"
        ) from e
    state = net.state_dict()
    if isinstance(encoder, ResNetEncoder):
        state = {_resnet_key(k): v for k, v in state.items()}
    own = encoder.state_dict()
    fitting = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    if len(fitting) < len(own):
        raise DataError(f"torchvision's {name} fits {len(fitting)} of {len(own)} tensors; set net.width: 1.0")
    encoder.load_state_dict(fitting)
    return len(fitting)


def _resnet_key(key: str) -> str:
    """Torchvision's name of a tensor -> `ResNetEncoder`'s."""
    part, _, rest = key.partition(".")
    if part.startswith("layer"):
        return f"stages.{int(part[5:]) - 1}.{rest}"
    return f"stem.{ ({'conv1': 0, 'bn1': 1}.get(part, part)) }.{rest}"
