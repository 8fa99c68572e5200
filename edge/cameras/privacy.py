"""What nobody may see: painted over before a picture leaves the capture process."""

from __future__ import annotations

from edge.geometry.mask import covered
from edge.scene import BoolArray, ImageArray, Outline

GREY = 128
"""A flat grey: of all paints the one that a network and a mean take least for light or dark."""


class Privacy:
    """Paints over parts of pictures of any size."""

    def __init__(self, outlines: tuple[Outline, ...]) -> None:
        """`outlines`: what to paint over; corners in fractions of the picture."""
        self._outlines = outlines
        self._mask: BoolArray | None = None

    def paint(self, image: ImageArray) -> ImageArray:
        """The picture, painted in place."""
        if not self._outlines:
            return image
        if self._mask is None or self._mask.shape != image.shape[:2]:
            self._mask = covered(self._outlines, image.shape[1], image.shape[0])
        if not image.flags.writeable:
            image = image.copy()
        image[self._mask] = GREY
        return image
