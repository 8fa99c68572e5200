"""Rendered pictures given the look of real ones: their low frequencies' amplitudes, or their colours' distribution.

Yang and Soatto, "FDA: Fourier Domain Adaptation for Semantic Segmentation" (CVPR 2020): the phases, which carry where
things are, stay; the amplitudes of the lowest frequencies, which carry light and colour, come from another picture.
"""

from __future__ import annotations

import numpy as np

from edge.errors import DataError
from edge.perception.preprocess import resize
from edge.scene import ImageArray
from training.config.recipe import Recipe
from training.data.samples.unlabelled import picture_files, read_unlabelled

_FDA_SHARE = 0.5
_LARGEST_WINDOW = 0.03
"""Half the side of the square of swapped frequencies, as a share of the shorter side."""


def with_amplitudes(image: ImageArray, style: ImageArray, window: float) -> ImageArray:
    """The picture with the amplitudes of another of its size, at frequencies up to `window` times the shorter side."""
    mine = np.fft.fft2(image.astype(np.float32), axes=(0, 1))
    amplitude = np.abs(mine)
    theirs = np.abs(np.fft.fft2(style.astype(np.float32), axes=(0, 1)))
    reach = int(window * min(image.shape[:2]))
    rows, columns = (np.arange(-reach, reach + 1) for _ in range(2))
    amplitude[np.ix_(rows, columns)] = theirs[np.ix_(rows, columns)]
    out = np.fft.ifft2(amplitude * np.exp(1j * np.angle(mine)), axes=(0, 1)).real
    return np.rint(out).clip(0, 255).astype(np.uint8)


def with_histogram(image: ImageArray, style: ImageArray, strength: float = 1.0) -> ImageArray:
    """The picture with each channel's values distributed as another's; `strength` 0..1 of the way."""
    out = np.empty_like(image)
    for c in range(3):
        mine = np.bincount(image[..., c].ravel(), minlength=256).cumsum() / image[..., c].size
        theirs = np.bincount(style[..., c].ravel(), minlength=256).cumsum() / style[..., c].size
        table = np.searchsorted(theirs, mine).clip(max=255)
        out[..., c] = np.rint(np.arange(256) + strength * (table - np.arange(256))).astype(np.uint8)[image[..., c]]
    return out


class Style:
    """Now and then gives a picture the look of one of a folder's."""

    def __init__(self, pictures: list[ImageArray], share: float) -> None:
        """`pictures` of any size; `share` 0..1 of the pictures are changed."""
        self._pictures, self._share = pictures, share

    def apply(self, image: ImageArray, rng: np.random.Generator) -> ImageArray:
        """The (H, W, 3) picture, or a new one with the look of one drawn from the folder's."""
        if not self._pictures or rng.random() >= self._share:
            return image
        style = resize(self._pictures[int(rng.integers(len(self._pictures)))], image.shape[1], image.shape[0])
        if rng.random() < _FDA_SHARE:
            return with_amplitudes(image, style, float(rng.uniform(0.004, _LARGEST_WINDOW)))
        return with_histogram(image, style, float(rng.uniform(0.3, 1.0)))


def style_of(recipe: Recipe) -> Style:
    """The recipe's.

    Raises:
        DataError: it asks for some but gives no folder, or one without pictures.
    """
    folder, share = recipe.data.style, recipe.augment.style_share
    if share == 0:
        return Style([], 0.0)
    if folder is None:
        raise DataError("augment.style_share needs pictures to look like: give --style a folder, or set it to 0")
    size = (recipe.input.width_px, recipe.input.height_px)
    return Style([resize(read_unlabelled(path), *size) for path in picture_files(folder)], share)
