"""Surfaces of a picture by the ADE20K segmenters, averaged over segmenters, turns and mirror images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from edge.perception.canvas import CanvasMap
from edge.perception.preprocess import resize
from edge.scene import CameraModel, ImageArray
from training.data.sets.segmentation import Surfaces
from training.nets.ade20k import SIZE_STEP_PX, Ade20kSegmenter, surface_probabilities

PANORAMA_WH = (1024, 512)
_VIEW_PX = 512
_WRAP_PX = SIZE_STEP_PX


def _tensor(image: ImageArray) -> Tensor:
    return torch.from_numpy(image.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]


def _both_ways(segmenter: Ade20kSegmenter, x: Tensor) -> Tensor:
    """Probabilities (1, 3, H, W), mean of the picture's and its mirror image's."""
    mirrored = surface_probabilities(segmenter(x.flip(3))).flip(3)
    return (surface_probabilities(segmenter(x)) + mirrored) / 2


def _panorama(segmenters: Sequence[Ade20kSegmenter], image: ImageArray) -> Tensor:
    x = _tensor(resize(image, *PANORAMA_WH))
    width = PANORAMA_WH[0]
    total = torch.zeros(1, 3, *PANORAMA_WH[::-1])
    # Two half turns whose weights add to 1 and vanish at the seam of each: no seam is left.
    fade = torch.sin(torch.pi * (torch.arange(width) + 0.5) / width) ** 2 / len(segmenters)
    for shift in (0, width // 2):
        turned = x.roll(shift, dims=3)
        wide = torch.cat([turned[..., -_WRAP_PX:], turned, turned[..., :_WRAP_PX]], dim=3)
        for segmenter in segmenters:
            total += (_both_ways(segmenter, wide)[..., _WRAP_PX:-_WRAP_PX] * fade).roll(-shift, dims=3)
    return total


def _view(segmenters: Sequence[Ade20kSegmenter], image: ImageArray, camera: CameraModel) -> Tensor:
    """A perspective picture's surfaces laid into the panorama; 0 where the camera does not see."""
    h, w = image.shape[:2]
    scale = _VIEW_PX / min(h, w)
    size = [max(SIZE_STEP_PX, round(n * scale / SIZE_STEP_PX) * SIZE_STEP_PX) for n in (w, h)]
    x = _tensor(resize(image, size[0], size[1]))
    share = torch.stack([_both_ways(s, x) for s in segmenters]).mean(dim=0)
    levels = np.rint(np.moveaxis(share[0].numpy(), 0, -1) * 255).astype(np.uint8)
    canvas, _ = CanvasMap(camera, (w, h), *PANORAMA_WH).apply(resize(levels, w, h))
    return torch.from_numpy(np.moveaxis(canvas, -1, 0)[None] / np.float32(255))


@torch.inference_mode()
def surfaces_of(segmenters: Sequence[Ade20kSegmenter], image: ImageArray, camera: CameraModel) -> Surfaces:
    """Wall, floor and ceiling on a panorama of 1024 x 512, of whatever camera's picture."""
    whole = camera.projection == "equirectangular"
    share = (_panorama(segmenters, image) if whole else _view(segmenters, image, camera))[0].numpy()
    return Surfaces(*share)
