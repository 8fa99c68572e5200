"""Lighting: 27 numbers of a network -> ambient light as spherical harmonics in the room frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.geometry import harmonics
from edge.inference.manifest import Manifest, Sh2PrescaledIrradiance
from edge.perception.canvas import CanvasInput
from edge.perception.smoothing import ExponentialSmoother
from edge.scene import BoolArray, CameraModel, ImageArray, Lighting, RoomLayout


def lighting_from_coefficients(coefficients: npt.ArrayLike) -> Lighting:
    """Describe pre-scaled irradiance coefficients (9, 3) given in the room frame.

    The ambient term is kept above 0: no real place has none, and integrators divide by it.
    """
    c = np.asarray(coefficients, dtype=np.float64).copy()
    c[0] = np.maximum(c[0], 1e-4)
    direction, strength = harmonics.dominant_direction(c)
    return Lighting(
        coefficients=c.astype(np.float32),
        convention=harmonics.CONVENTION,
        ambient=(float(c[0, 0]), float(c[0, 1]), float(c[0, 2])),
        dominant_direction=(float(direction[0]), float(direction[1]), float(direction[2])),
        dominant_strength=strength,
    )


class LightingReader:
    """Lighting of one camera: prepares its pictures and reads the network's answers."""

    def __init__(
        self, manifest: Manifest, camera: CameraModel, *, smoothing_s: float = 0.0, canvas: CanvasInput | None = None
    ) -> None:
        """`smoothing_s`: time constant on the coefficients, 0 = none; `canvas`: one shared with other readers."""
        assert isinstance(manifest.output, Sh2PrescaledIrradiance)
        self._output, self._input = manifest.output, canvas or CanvasInput(manifest.input, camera)
        self._to_room = harmonics.rotation_matrix(self._output.room_from_model)
        self._smoother = ExponentialSmoother(smoothing_s)

    rows = 1
    """Pictures of the network that one of the camera's becomes."""

    def prepare(
        self, image: ImageArray, out: npt.NDArray[np.float32] | None = None, seen: BoolArray | None = None
    ) -> npt.NDArray[np.float32]:
        """(1, C, H, W) input for a picture of any size; written into `out` if given; `seen`: see `Frame`."""
        return self._input.prepare(image, out, seen)

    def read(
        self, outputs: dict[str, npt.NDArray[np.float32]], at_s: float, layout: RoomLayout | None = None
    ) -> Lighting:
        """The lighting, from the answer to the last `prepare`d picture."""
        raw = outputs[self._output.coefficients].reshape(9, 3).astype(np.float64)
        if self._output.colour == "bgr":
            raw = raw[:, ::-1]
        return lighting_from_coefficients(self._smoother.update(self._to_room @ raw, at_s))

    def reset(self) -> None:
        """Forget the past: the scene was cut."""
        self._smoother.reset()
