"""A network asked also about mirrored and turned pictures, by what its manifest says."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError

from edge.inference.manifest import InputSpec, Manifest
from edge.perception.averaging import averaged
from edge.perception.layout import LayoutReader
from edge.perception.readers import reader_of
from edge.scene import CameraModel, RoomLayout
from tests.edge.perception.test_depth import manifest as depth_manifest

CAMERA = CameraModel("equirectangular", camera_height_m=1.6)
PICTURE = np.random.default_rng(0).integers(0, 255, (128, 256, 3), dtype=np.uint8)


def manifest(tta: str | None) -> Manifest:
    """Of a layout network on small panoramas."""
    spec = InputSpec(name="image", width_px=256, height_px=128, projection="equirectangular")
    data = depth_manifest({"kind": "depth_metres", "depth": "d"}).model_dump(mode="json", by_alias=True)
    output = {"kind": "boundary_corners", "boundary": "boundary", "corners": "corners"}
    data |= {"task": "layout", "input": spec.model_dump(mode="json"), "output": output, "tta": tta}
    return Manifest.model_validate(data)


def network(rows: npt.NDArray[np.float32], *, ramp: float = 0.0) -> dict[str, npt.NDArray[np.float32]]:
    """Edges that follow the brightness of each column, and an error that grows from left to right."""
    edge = 0.5 + 0.2 * rows.mean(axis=(1, 2)) + ramp * np.linspace(-1, 1, 256, dtype=np.float32)
    boundary = np.stack([-edge, edge], axis=1).astype(np.float32)
    return {"boundary": boundary, "corners": np.full((len(rows), 1, 256), -3.0, np.float32)}


def room(tta: str | None, ramp: float = 0.0) -> RoomLayout:
    """What the reader makes of it."""
    reader = averaged(LayoutReader(manifest(tta), CAMERA, fit="raw"), manifest(tta))
    return reader.read(network(reader.prepare(PICTURE), ramp=ramp), 0.0)


@pytest.mark.parametrize(("tta", "rows"), [(None, 1), ("mirror", 2), ("mirror_and_turns", 8)])
def test_a_network_that_does_not_care_answers_the_same(tta: str | None, rows: int) -> None:
    """However often it is asked: each answer is mirrored and turned back to where it belongs."""
    reader = reader_of("layout", manifest(tta), CAMERA, fit="raw")
    assert reader.rows == rows
    given = np.empty((rows, 3, 128, 256), np.float32)
    assert reader.prepare(PICTURE, given) is given
    assert np.array_equal(given, reader.prepare(PICTURE))
    assert len({row.tobytes() for row in given}) == rows
    assert room(tta).floor_rad == pytest.approx(room(None).floor_rad, abs=1e-5)


@pytest.mark.parametrize("tta", ["mirror", "mirror_and_turns"])
def test_an_error_that_depends_on_the_side_cancels(tta: str) -> None:
    """What is too far on the left and too near on the right is right in the mean."""
    exact = room(None).floor_rad
    assert np.abs(room(None, ramp=0.1).floor_rad - exact).max() > 0.09
    assert np.abs(room(tta, ramp=0.1).floor_rad - exact).max() < 1e-3


def test_what_cannot_be_averaged_is_refused() -> None:
    """A perspective picture cannot be turned, and light is no map."""
    data = depth_manifest({"kind": "depth_metres", "depth": "d"}).model_dump(mode="json", by_alias=True)
    assert Manifest.model_validate(data | {"tta": "mirror"}).tta == "mirror"
    with pytest.raises(ValidationError, match="only panoramas"):
        Manifest.model_validate(data | {"tta": "mirror_and_turns"})
    light = manifest(None).model_dump(mode="json", by_alias=True)
    light |= {"task": "lighting", "output": {"kind": "sh2_prescaled_irradiance", "coefficients": "sh"}, "tta": "mirror"}
    with pytest.raises(ValidationError, match="not lighting"):
        Manifest.model_validate(light)
