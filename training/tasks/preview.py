"""Validation pictures to look at while a network learns: what it is shown, what is true, what it says."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from edge.inference.manifest import InputSpec
from edge.scene import ImageArray
from training.data.vary.framing import nearest
from training.drawing import FOUND, TRUE, coloured_depth, lit_sphere

SHOWN = 4
"""Samples of a validation batch that are drawn."""


def picture_from_tensor(x: Tensor, spec: InputSpec) -> ImageArray:
    """The (H, W, 3) RGB picture that a network's (C, H, W) input was made from; what the mask hides is black."""
    values = x[:3].detach().cpu().float().numpy()
    mean, std = (np.asarray(v, np.float32)[:, None, None] for v in (spec.mean, spec.std))
    picture = np.rint(np.clip((values * std + mean) / spec.scale, 0, 255)).astype(np.uint8)
    if spec.mask_channel:
        picture *= (x[3:4].detach().cpu().numpy() > 0).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(picture if spec.colour == "rgb" else picture[::-1], 0, -1))


def depth_row(picture: ImageArray, truth_m: Tensor, found_m: Tensor) -> ImageArray:
    """Picture, true depth and the network's, (1, h, w) each, in the truth's colours."""
    height, width = picture.shape[:2]
    truth, found = (nearest(d[0].detach().cpu().float().numpy(), width, height) for d in (truth_m, found_m))
    known = truth[truth > 0]
    if not known.size:
        return picture
    near_m, far_m = (float(v) for v in np.percentile(known, (1, 99)))
    coloured = [coloured_depth(d, near_m, far_m * 1.001) for d in (truth, found)]
    return np.concatenate([picture, *coloured], axis=1)


def boundary_overlay(picture: ImageArray, truth_rad: Tensor, found_rad: Tensor) -> ImageArray:
    """The panorama with the true boundary (2, w; radians, positive down) and over it the network's."""
    out: ImageArray = picture.copy()
    height, width = out.shape[:2]
    columns = np.arange(width)
    for boundary, colour in ((truth_rad, TRUE), (found_rad, FOUND)):
        for line in boundary.detach().cpu().float().numpy():
            rows = np.clip((line[columns * len(line) // width] / np.pi + 0.5) * height, 0, height - 1).astype(int)
            out[rows, columns] = colour
    return out


def light_row(picture: ImageArray, truth: Tensor, found: Tensor) -> ImageArray:
    """Picture, and white spheres in the true light (9, 3) and in the network's, equally exposed."""
    a, b = (c.detach().cpu().float().numpy() for c in (truth, found))
    exposure = 0.6 / max(float(a[0].mean()), 1e-6)
    spheres = [lit_sphere(c, picture.shape[0], exposure) for c in (a, b)]
    return np.concatenate([picture, *spheres], axis=1)
