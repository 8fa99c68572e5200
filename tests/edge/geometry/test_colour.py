"""The colour temperature of light, against the published ones of the CIE's illuminants."""

from __future__ import annotations

import numpy as np
import pytest

from edge.geometry import colour

# CIE 15: chromaticity (x, y) of the 2 degree observer, and the correlated colour temperature.
ILLUMINANTS = {
    "A": (0.44757, 0.40745, 2856),
    "D50": (0.34567, 0.35850, 5003),
    "D55": (0.33242, 0.34743, 5503),
    "D65": (0.31271, 0.32902, 6504),
    "D75": (0.29902, 0.31485, 7504),
    "F2": (0.37208, 0.37529, 4230),
    "F7": (0.31292, 0.32933, 6500),
    "F11": (0.38052, 0.37713, 4000),
}


@pytest.mark.parametrize("name", ILLUMINANTS)
@pytest.mark.parametrize("level", [1e-4, 1.0, 50.0])
def test_illuminants_have_their_published_temperature(name: str, level: float) -> None:
    """Within 0.3 %, at any brightness."""
    x, y, kelvin = ILLUMINANTS[name]
    rgb = np.linalg.solve(colour.XYZ_FROM_RGB, [x / y, 1.0, (1 - x - y) / y]) * level
    assert colour.correlated_colour_temperature_k(rgb) == pytest.approx(kelvin, rel=3e-3)


def test_the_white_of_a_screen_is_d65() -> None:
    """Equal parts of the primaries are daylight of 6504 K."""
    assert colour.correlated_colour_temperature_k((1, 1, 1)) == pytest.approx(6504, rel=1e-3)


@pytest.mark.parametrize("rgb", [(0, 0, 0), (0, 1, 0), (1, 0, 0), (0.2, 0.2, 1), (1, 0, 1), (np.nan, 1, 1), (-1, 0, 0)])
def test_what_is_no_glow_has_no_temperature(rgb: tuple[float, float, float]) -> None:
    """Darkness, saturated colours, and what is hotter or colder than the formula holds for."""
    assert colour.correlated_colour_temperature_k(rgb) is None


def test_warmer_light_is_redder() -> None:
    """Taking blue away lowers the temperature."""
    found = [colour.correlated_colour_temperature_k((1, 0.9, blue)) for blue in (0.9, 0.7, 0.5, 0.3)]
    assert None not in found
    assert found == sorted(found, reverse=True)  # type: ignore[type-var]
