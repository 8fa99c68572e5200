"""Spherical harmonics in filament's pre-scaled irradiance convention."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import GeometryError
from edge.geometry import harmonics
from edge.geometry.panorama import rays, solid_angles
from edge.geometry.rigid import rotation_room_camera

RNG = np.random.default_rng(7)
angles = st.floats(-np.pi, np.pi)


def _smooth_environment(width: int = 128) -> np.ndarray:
    """A band-limited panorama (H, W, 3): exactly order 2, so that nothing is lost in projection."""
    return harmonics.polynomials(rays(width, width // 2)) @ RNG.normal(size=(9, 3))


def test_uniform_white_gives_one_and_zeros() -> None:
    """The convention's defining fact: uniform radiance 1 gives L00 = 1 and nothing else."""
    c = harmonics.project_panorama(np.ones((64, 128, 3)))
    assert c[0] == pytest.approx(1.0, abs=1e-12)
    assert np.abs(c[1:]).max() < 1e-12


def test_agrees_with_the_irradiance_integral() -> None:
    """For order-2 light, the polynomial equals the numeric integral of radiance times clamped cosine over pi."""
    environment = _smooth_environment(256) + 5.0
    c = harmonics.project_panorama(environment)
    directions, omega = rays(256, 128), solid_angles(256, 128)
    for normal in rays(8, 4).reshape(-1, 3):
        cosine = np.clip(directions @ normal, 0, None)
        expected = np.einsum("hw,hwc->c", cosine * omega, environment) / np.pi
        assert harmonics.irradiance_over_pi(c, normal) == pytest.approx(expected, abs=2e-3)


def test_filament_scale_factors() -> None:
    """The factors on the integral of radiance x polynomial are those of filament's CubemapSH."""
    c0, c1, c2 = np.pi, 2 * np.pi / 3, np.pi / 4
    factors = [c0 / (4 * np.pi**2), *[3 * c1 / (4 * np.pi**2)] * 3, *[15 * c2 / (4 * np.pi**2)] * 2]
    factors += [5 * c2 / (16 * np.pi**2), 15 * c2 / (4 * np.pi**2), 15 * c2 / (16 * np.pi**2)]
    directions, omega = rays(256, 128), solid_angles(256, 128)
    environment = RNG.random((128, 256, 1))
    integral = np.einsum("hwk,hw->k", harmonics.polynomials(directions), environment[..., 0] * omega)
    projected = harmonics.project_panorama(environment)[:, 0]
    assert projected == pytest.approx(integral * factors, abs=2e-4)


@given(yaw=angles, pitch=angles, roll=angles)
def test_rotation_moves_light_with_the_environment(yaw: float, pitch: float, roll: float) -> None:
    """Irradiance at R n in the turned environment equals irradiance at n in the first."""
    turn = rotation_room_camera(yaw, pitch, roll)
    c = np.random.default_rng(3).normal(size=(9, 3))
    normals = rays(8, 4).reshape(-1, 3)
    before = harmonics.irradiance_over_pi(c, normals)
    after = harmonics.irradiance_over_pi(harmonics.rotate(c, turn), normals @ turn.T)
    assert after == pytest.approx(before, abs=1e-9)


@given(columns=st.integers(0, 63))
def test_yaw_equals_rolling_the_panorama(columns: int) -> None:
    """Rolling the picture right by k columns is a positive yaw of k columns."""
    environment = np.random.default_rng(5).random((32, 64, 3))
    rolled = harmonics.project_panorama(np.roll(environment, columns, axis=1))
    turned = harmonics.rotate_yaw(harmonics.project_panorama(environment), columns / 64 * 2 * np.pi)
    assert turned == pytest.approx(rolled, abs=1e-9)


def test_radiance_conversion_is_an_inverse_pair_and_matches_three_js() -> None:
    """Uniform radiance 1 has the orthonormal L00 = 2 sqrt(pi) that three.js and ARCore use; the way back is exact."""
    c = np.zeros((9, 3))
    c[0] = 1.0
    assert harmonics.radiance_from_prescaled(c)[0] == pytest.approx(2 * np.sqrt(np.pi))
    random = RNG.normal(size=(9, 3))
    assert harmonics.prescaled_from_radiance(harmonics.radiance_from_prescaled(random)) == pytest.approx(random)


@given(lon=angles, lat=st.floats(-1.4, 1.4))
def test_dominant_direction_finds_a_lamp(lon: float, lat: float) -> None:
    """A single small lamp is found where it is, at full strength."""
    directions, omega = rays(256, 128), solid_angles(256, 128)
    from edge.geometry.panorama import direction_from_angles

    lamp = direction_from_angles(lon, lat)
    environment = np.exp(200 * (directions @ lamp - 1))[..., None].repeat(3, axis=-1) / omega.mean()
    found, strength = harmonics.dominant_direction(harmonics.project_panorama(environment))
    assert found @ lamp > np.cos(np.deg2rad(2))
    assert 0.9 < strength <= 1.0


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_strength_is_the_lamps_share_of_the_light(share: float) -> None:
    """A lamp that gives this share of the ambient light, before uniform walls that give the rest.

    The order-1 terms of a point light are 2 times its ambient term: (2/3 * 3/4pi) / (1/4pi).
    """
    lamp = harmonics.polynomials([0.6, 0.0, 0.8]) * [1, 2, 2, 2, 0, 0, 0, 0, 0]
    uniform = harmonics.project_panorama(np.ones((16, 32, 3)))
    light = share * lamp[:, None] + (1 - share) * uniform
    direction, strength = harmonics.dominant_direction(light)
    assert strength == pytest.approx(share)
    assert direction == pytest.approx([0.6, 0.0, 0.8])


def test_the_brighter_colour_leads() -> None:
    """Green counts 0.7152 of luminance, red 0.2126, blue 0.0722 (Rec. 709): three lamps of one colour each."""
    light = np.zeros((9, 3))
    light[0] = 1.0
    light[3, 0], light[1, 1], light[2, 2] = 0.5, 0.5, 0.5  # red from +x, green from +y, blue from +z
    direction, strength = harmonics.dominant_direction(light)
    rec709 = np.array([0.2126, 0.7152, 0.0722])
    assert direction == pytest.approx(rec709 / np.linalg.norm(rec709))
    assert strength == pytest.approx(0.25 * np.linalg.norm(rec709))


def test_darkness_has_no_direction() -> None:
    """Without ambient light, or with less than none, the direction is up and the strength 0."""
    for ambient in (0.0, -1.0):
        light = np.zeros((9, 3))
        light[0], light[1] = ambient, 0.5
        direction, strength = harmonics.dominant_direction(light)
        assert direction.tolist() == [0, 0, 1]
        assert strength == 0


def test_radiance_is_in_the_published_basis() -> None:
    """Radiance coefficients are integrals of radiance times the basis that Ramamoorthi and Hanrahan print (eq. 3)."""
    constants = np.array([0.282095, *[0.488603] * 3, *[1.092548] * 2, 0.315392, 1.092548, 0.546274])
    directions, omega = rays(256, 128), solid_angles(256, 128)
    environment = RNG.random((128, 256, 1))
    expected = constants * np.einsum("hwk,hw->k", harmonics.polynomials(directions), environment[..., 0] * omega)
    found = harmonics.radiance_from_prescaled(harmonics.project_panorama(environment))
    assert found[:, 0] == pytest.approx(expected, abs=1e-3)


def test_a_rotation_is_three_by_three() -> None:
    """Another shape is named."""
    with pytest.raises(GeometryError, match=r"\(4, 4\)"):
        harmonics.rotation_matrix(np.eye(4))


def test_no_direction_without_a_difference() -> None:
    """Uniform light has strength 0."""
    assert harmonics.dominant_direction(harmonics.project_panorama(np.ones((16, 32, 3))))[1] == pytest.approx(
        0, abs=1e-9
    )


def test_wrong_shapes_are_refused() -> None:
    """27 flat numbers and a square picture are named as what they are."""
    with pytest.raises(GeometryError, match="reshape"):
        harmonics.irradiance_over_pi(np.zeros(27), [0, 0, 1])
    with pytest.raises(GeometryError, match="reshape"):
        harmonics.irradiance_over_pi(np.zeros((8, 3)), [0, 0, 1])
    for shape in ((32, 32, 3), (32, 64)):
        with pytest.raises(GeometryError, match="2H"):
            harmonics.project_panorama(np.zeros(shape))
