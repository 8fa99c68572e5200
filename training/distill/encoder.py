"""Narrower encoders from a wide pretrained one: the narrow one learns to give what the wide one gives.

Through a 1x1 convolution at each resolution, as in FitNets (Romero et al., ICLR 2015); these are thrown away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge.errors import DataError
from edge.scene import ImageArray
from training.data.vary.photometric import sensor
from training.nets.encoders import MobileNetEncoder, load_mobilenet_weights

_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)
_SMALLEST_CROP = 0.4


def _crop(image: ImageArray, rng: np.random.Generator, size_px: int) -> npt.NDArray[np.float32]:
    """(3, size, size) normalised: a square cut at random, mirrored at times, as some camera would show it."""
    h, w = image.shape[:2]
    side = max(2, round(min(h, w) * float(rng.uniform(_SMALLEST_CROP, 1.0))))
    top, left = int(rng.integers(h - side + 1)), int(rng.integers(w - side + 1))
    cut = image[top : top + side, left : left + side]
    how = cv2.INTER_AREA if side > size_px else cv2.INTER_LINEAR
    square = np.asarray(cv2.resize(cut, (size_px, size_px), interpolation=how), dtype=np.uint8)
    if rng.random() < 0.5:
        square = square[:, ::-1]
    seen = sensor(np.ascontiguousarray(square), rng, 1.0).astype(np.float32) / 255
    return np.asarray(np.moveaxis((seen - _MEAN) / _STD, -1, 0), dtype=np.float32)


class Imitation(nn.Module):
    """A narrow encoder and what lifts its feature maps to a wide one's channels."""

    def __init__(self, wide: MobileNetEncoder, width: float) -> None:
        """`width`: of the narrow one, which begins with random weights."""
        super().__init__()
        self.wide = wide.eval().requires_grad_(False)
        self.narrow = MobileNetEncoder(width)
        pairs = zip(self.narrow.channels, wide.channels, strict=True)
        self.lifts = nn.ModuleList([nn.Conv2d(a, b, 1) for a, b in pairs])

    def train(self, mode: bool = True) -> Imitation:
        """Training mode for the narrow one alone."""
        super().train(mode)
        self.wide.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Mean over resolutions of the squared error, in units of the wide features' variance: 1 = nothing learnt."""
        with torch.no_grad():
            wanted = self.wide(x)
        losses = []
        for narrow, lift, target in zip(self.narrow(x), self.lifts, wanted, strict=True):
            spread = target.var(dim=(0, 2, 3), keepdim=True).mean().clamp(min=1e-6)
            losses.append(F.mse_loss(lift(narrow), target) / spread)
        return torch.stack(losses).mean()


def narrow_encoder(
    pictures: Sequence[ImageArray],
    weights: Path,
    width: float,
    out: Path,
    *,
    steps: int,
    batch_size: int = 16,
    size_px: int = 160,
    lr: float = 2e-3,
    seed: int = 0,
    progress: Callable[[int, int, float], None] | None = None,
) -> float:
    """Train a narrow MobileNetV2 encoder and write its weights for `fit --weights`; returns the last mean loss.

    Args:
        pictures: any, of any size; more kinds are better.
        weights: .npz of the wide encoder (width 1.0).
        width: of the narrow one, 0..1.
        out: the .npz to write.
        steps: training steps; the learning rate falls to 0 over them.
        batch_size: pictures a step.
        size_px: side of the squares cut from the pictures.
        lr: largest learning rate.
        seed: of weights and cuts.
        progress: called with step, steps and the running loss.

    Raises:
        DataError: no pictures are given, or the weights file does not fit.
    """
    if not pictures:
        raise DataError("an encoder learns from pictures: give --pictures a folder with some")
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    wide = MobileNetEncoder()
    load_mobilenet_weights(wide, weights)
    task = Imitation(wide, width).train()
    learnt = [p for p in task.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learnt, lr=lr, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    running = 1.0
    for step in range(steps):
        cuts = [_crop(pictures[int(rng.integers(len(pictures)))], rng, size_px) for _ in range(batch_size)]
        loss = task(torch.from_numpy(np.stack(cuts)))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learnt, 5.0)
        optimizer.step()
        schedule.step()
        running += (float(loss.detach()) - running) * max(0.05, 1 / (step + 1))
        if progress is not None:
            progress(step + 1, steps, running)
    out.parent.mkdir(parents=True, exist_ok=True)
    state = {k: v.numpy().astype(np.float16 if v.ndim > 1 else np.float32) for k, v in task.narrow.state_dict().items()}
    np.savez(out, **{k: v for k, v in state.items() if not k.endswith("num_batches_tracked")})
    return running
