"""Which reader answers for which noun. A new noun is a row here and one in `edge.publish.results`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edge.inference.base import Arrays
from edge.inference.manifest import Manifest
from edge.perception.averaging import averaged
from edge.perception.depth import DepthReader
from edge.perception.layout import LayoutReader
from edge.perception.lighting import LightingReader
from edge.scene import BoolArray, CameraModel, DepthMap, ImageArray, Lighting, RoomLayout, Task

Value = DepthMap | RoomLayout | Lighting


class Reader(Protocol):
    """One noun of one camera: prepares its pictures and reads the network's answers, in the order of the pictures."""

    @property
    def rows(self) -> int:
        """Pictures of the network that one of the camera's becomes."""
        ...

    def prepare(
        self, image: ImageArray, out: npt.NDArray[np.float32] | None = None, seen: BoolArray | None = None
    ) -> npt.NDArray[np.float32]:
        """(rows, C, H, W) input for a picture of any size; written into `out` if given; `seen`: see `Frame`."""
        ...

    def read(self, outputs: Arrays, at_s: float, layout: RoomLayout | None = None) -> Value:
        """The value, from the answer to the last `prepare`d picture.

        Args:
            outputs: this camera's rows of every output of the network.
            at_s: when the picture was taken, for smoothing.
            layout: the room that the camera is known to stand in, for nouns that are measured against it.
        """
        ...

    def reset(self) -> None:
        """Forget the past: the scene was cut."""
        ...


READERS: dict[Task, Callable[..., Reader]] = {
    "depth": DepthReader,
    "layout": LayoutReader,
    "lighting": LightingReader,
}


def reader_of(task: Task, manifest: Manifest, camera: CameraModel, **options: Any) -> Reader:
    """The reader of a noun for one camera, which asks as often as the manifest says.

    Args:
        task: the noun.
        manifest: of that noun alone, see `Manifest.part`.
        camera: the camera.
        options: `canvas` (an input shared with this camera's other readers, or None) and the noun's own: `smoothing_s`
            for all, `fit` for layout.
    """
    return averaged(READERS[task](manifest, camera, **options), manifest)
