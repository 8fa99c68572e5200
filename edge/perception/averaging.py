"""A network asked several times about one picture, mirrored and turned, and its answers averaged (`tta` of a manifest).

A room's mirror image is a room, and a panorama may begin anywhere; a network that was not told so errs differently each
time. Every output that spans the picture's width is turned back before it is averaged.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from edge.inference.base import Arrays
from edge.inference.manifest import Manifest, TestTimeAveraging
from edge.scene import BoolArray, ImageArray, RoomLayout

Floats = npt.NDArray[np.float32]

R = TypeVar("R")
_TURNS = 4
WAYS: dict[TestTimeAveraging, tuple[tuple[bool, int], ...]] = {
    "mirror": ((False, 0), (True, 0)),
    "mirror_and_turns": tuple((mirrored, turn) for mirrored in (False, True) for turn in range(_TURNS)),
}
"""Of each way to ask: whether the picture is mirrored, and by how many quarters it is turned before."""


def _asked(picture: Floats, way: tuple[bool, int]) -> Floats:
    mirrored, turn = way
    turned = np.roll(picture, picture.shape[-1] * turn // _TURNS, axis=-1) if turn else picture
    return turned[..., ::-1] if mirrored else turned


def _turned_back(answer: Floats, way: tuple[bool, int]) -> Floats:
    mirrored, turn = way
    back = answer[..., ::-1] if mirrored else answer
    return np.roll(back, -(answer.shape[-1] * turn // _TURNS), axis=-1) if turn else back


class AveragedReader:
    """A reader whose network is asked in several ways; what it makes of the mean is what it makes of one answer."""

    def __init__(self, reader: Any, how: TestTimeAveraging) -> None:
        """`reader`: one of `edge.perception.readers`, of depth or layout."""
        self._reader, self._ways = reader, WAYS[how]

    @property
    def rows(self) -> int:
        """Pictures of the network that one of the camera's becomes."""
        return int(self._reader.rows) * len(self._ways)

    def prepare(self, image: ImageArray, out: Floats | None = None, seen: BoolArray | None = None) -> Floats:
        """(rows, C, H, W) input for a picture of any size; written into `out` if given; `seen`: see `Frame`."""
        count = int(self._reader.rows)
        first: Floats = self._reader.prepare(image, None if out is None else out[:count], seen)
        rows = np.empty((self.rows, *first.shape[1:]), np.float32) if out is None else out
        rows[:count] = first
        for i, way in enumerate(self._ways[1:], 1):
            rows[i * count : (i + 1) * count] = _asked(first, way)
        return rows

    def read(self, outputs: Arrays, at_s: float, layout: RoomLayout | None = None) -> Any:
        """The value, from the answers to the last `prepare`d picture; see `edge.perception.readers.Reader`."""
        count = int(self._reader.rows)
        means = {}
        for name, answers in outputs.items():
            parts = [_turned_back(answers[i * count : (i + 1) * count], way) for i, way in enumerate(self._ways)]
            means[name] = np.mean(parts, axis=0, dtype=np.float32)
        return self._reader.read(means, at_s, layout)

    def reset(self) -> None:
        """Forget the past: the scene was cut."""
        self._reader.reset()


def averaged(reader: R, manifest: Manifest) -> R:
    """The reader, asking as often as the manifest says; it is used in the same way."""
    return reader if manifest.tta is None else cast(R, AveragedReader(reader, manifest.tta))
