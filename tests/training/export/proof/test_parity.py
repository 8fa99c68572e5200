"""Parity is said in units that mean something, and a file beyond its tolerance is refused."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from edge.errors import EngineError
from edge.geometry.panorama import longitudes
from edge.geometry.polygon import boundary_latitudes
from edge.inference.base import Arrays
from edge.inference.manifest import Manifest, Parity
from edge.scene import CameraModel
from training.config.recipe import Recipe
from training.data.vary.panoramic import corner_target
from training.export.proof.parity import (
    QUANTITIES,
    Yardstick,
    badness,
    check_difference,
    described,
    golden_tolerances,
    require,
    variant_tolerances,
    worse_of,
)
from training.export.proof.runners import TorchBackend, manifest_of
from training.export.proof.views import View

ROOM = np.array([[-2.0, -1.5], [2.0, -1.5], [2.0, 2.5], [-2.0, 2.5]])
CAMERA_M, HEIGHT_M = 1.5, 2.7
AROUND = CameraModel("equirectangular", camera_height_m=CAMERA_M)


class Knowing(TorchBackend):
    """Gives these outputs to every picture."""

    def __init__(self, outputs: Arrays) -> None:
        self._outputs = MappingProxyType(outputs)

    def run(self, batch: Any) -> Arrays:
        """See `Backend.run`."""
        return dict(self._outputs)


def _view(camera: CameraModel) -> View:
    wh = (64, 128) if camera.projection == "equirectangular" else (64, 64)
    return View(np.full((*wh, 3), 90, np.uint8), camera)


def _layout(scale: float, ceiling_m: float = HEIGHT_M) -> Knowing:
    """The answer for the room above, every wall `scale` times as far away."""
    ceiling, floor = boundary_latitudes(ROOM * scale, longitudes(512), CAMERA_M, ceiling_m)
    logits = np.where(corner_target(ROOM, 512) > 0.9, 4.0, -4.0)
    edges = -np.stack([ceiling, floor])[None]
    return Knowing({"boundary": edges.astype(np.float32), "corners": logits[None].astype(np.float32)})


def _by_name(parity: tuple[Parity, ...]) -> dict[str, float]:
    return {f"{p.quantity} {p.unit}": p.difference for p in parity}


@pytest.fixture
def depth(small_recipe: Callable[..., Recipe]) -> Manifest:
    """A manifest of metres for a known lens."""
    return manifest_of(small_recipe("depth"))


def test_depth_is_compared_in_centimetres(depth: Manifest) -> None:
    """2 m against 2.02 m is 2 cm and 1 %; the same answer is no difference; the worst picture counts."""
    ahead = CameraModel("perspective", hfov_rad=2 * np.arctan(32 / 200.0))  # the canonical lens: no rescaling
    two = np.full((1, 1, 32, 32), 2.0, np.float32)
    yardstick = Yardstick(depth, Knowing({"depth": two}), [_view(ahead)] * 2)
    assert _by_name(yardstick.measure(Knowing({"depth": two}), "fp16")) == {"depth cm": 0.0, "depth %": 0.0}
    found = yardstick.measure(Knowing({"depth": two * np.float32(1.01)}), "fp16")
    assert _by_name(found) == {"depth cm": pytest.approx(2.0, rel=1e-2), "depth %": pytest.approx(1.0, rel=1e-2)}
    assert {p.pictures for p in found} == {2}


def test_layout_is_compared_as_a_room(small_recipe: Callable[..., Recipe]) -> None:
    """Walls 10 % farther: 1 - 1 / 1.1^2 of the plan, and its edges' mean turn in degrees; a ceiling 30 cm higher."""
    manifest = manifest_of(small_recipe("layout"))
    yardstick = Yardstick(manifest, _layout(1.0), [_view(AROUND)])
    assert badness(yardstick.measure(_layout(1.0), "fp32")) == 0.0
    wider = _by_name(yardstick.measure(_layout(1.1), "int8"))
    assert wider["floor plan 1 - IoU"] == pytest.approx(1 - 1 / 1.21, abs=0.01)
    edges = [np.stack(boundary_latitudes(ROOM * s, longitudes(512), CAMERA_M, HEIGHT_M)) for s in (1.0, 1.1)]
    assert wider["boundary °"] == pytest.approx(float(np.degrees(np.abs(edges[0] - edges[1]).mean())), rel=0.02)
    assert wider["ceiling height cm"] == pytest.approx(0.0, abs=0.5)
    higher = _by_name(yardstick.measure(_layout(1.0, HEIGHT_M + 0.3), "int8"))
    assert higher["ceiling height cm"] == pytest.approx(30.0, rel=0.02)


def test_light_is_compared_by_its_irradiance(small_recipe: Callable[..., Recipe]) -> None:
    """Light 5 % brighter everywhere is 5 % of the irradiance, however it is coloured and wherever it comes from."""
    manifest = manifest_of(small_recipe("lighting"))
    light = np.zeros((1, 9, 3), np.float32)
    light[0, 0], light[0, 2] = (1.0, 0.8, 0.6), (0.3, 0.2, 0.1)
    yardstick = Yardstick(manifest, Knowing({"coefficients": light}), [_view(AROUND)])
    found = yardstick.measure(Knowing({"coefficients": light * np.float32(1.05)}), "int8")
    assert found[0].difference == pytest.approx(5.0, rel=1e-3)


def test_an_answer_that_is_no_number_is_refused(depth: Manifest) -> None:
    """A file that answers NaN is as far off as can be, in every precision."""
    ahead = CameraModel("perspective", hfov_rad=1.0)
    ones = np.ones((1, 1, 32, 32), np.float32)
    yardstick = Yardstick(depth, Knowing({"depth": ones}), [_view(ahead)])
    found = yardstick.measure(Knowing({"depth": ones * np.float32(np.nan)}), "int8")
    assert badness(found) > 1e6
    with pytest.raises(EngineError, match="differs from the trained network"):
        require(found, "model.int8.onnx")


def test_a_file_too_far_off_is_refused_with_what_and_how_much() -> None:
    """The message names file, quantity, difference, tolerance and remedy; within tolerance nothing is raised."""
    near = Parity(quantity="depth", unit="cm", difference=0.4, tolerance=1.0, pictures=3)
    far = near.model_copy(update={"difference": 1.5})
    require([near], "model.fp16.onnx")
    with pytest.raises(EngineError, match=r"model.fp16.onnx: depth .* 1.5 cm .* allowed is 1; .*--precisions"):
        require([near, far], "model.fp16.onnx")
    assert badness([near, far]) == pytest.approx(1.5)
    assert worse_of([near], [far]) == (far,)
    assert described([near]) == "depth 0.4 cm"


def test_fewer_bits_may_be_farther_off() -> None:
    """Every noun has quantities, and each tolerates more the fewer the bits."""
    for quantities in QUANTITIES.values():
        assert quantities
        for quantity in quantities:
            t = quantity.tolerances
            assert 0 < t["fp32"] < t["fp16"] < t["int8"]


def test_a_wrong_export_is_refused() -> None:
    """A difference beyond rounding, by the range of the output, is an error and not a tolerance."""
    expected = np.array([[1.0, 3.0], [5.0, 5.5]], np.float32)
    check_difference("depth", expected, expected + np.float32(1e-4))
    with pytest.raises(EngineError, match="differs from torch"):
        check_difference("depth", expected, expected + np.float32(1e-3))
    with pytest.raises(EngineError, match="differs from torch"):
        check_difference("depth", expected, expected * np.float32(np.nan))
    assert golden_tolerances({"depth": expected})["depth"] == pytest.approx(0.005 * 0.5)


def test_a_single_number_is_measured_by_its_size() -> None:
    """An output of one value has no range: its tolerance is a share of the value, not 0."""
    expected = np.array([[0.7]], np.float32)
    check_difference("ratio", expected, expected + np.float32(1e-5))
    with pytest.raises(EngineError, match="differs from torch"):
        check_difference("ratio", expected, expected + np.float32(1e-3))
    assert golden_tolerances({"ratio": expected})["ratio"] == pytest.approx(0.005 * 0.7)


def test_a_variant_is_given_three_times_what_it_needs() -> None:
    """Its golden tolerance is three times the measured difference, and never below float32's."""
    expected = {"depth": np.array([[1.0, 3.0]], np.float32)}
    far, near = ({"depth": expected["depth"] + np.float32(d)} for d in (0.1, 1e-5))
    assert variant_tolerances(expected, far)["depth"] == pytest.approx(0.3, rel=1e-5)
    assert variant_tolerances(expected, near) == golden_tolerances(expected)
