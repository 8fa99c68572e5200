"""What cameras do to pictures."""

from __future__ import annotations

import numpy as np
import pytest

from training.data.vary.photometric import random_gamma, response_table, sensor

RAMP = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)


def test_gamma_is_horizonnets() -> None:
    """The picture is raised to a power between 1 and the largest or its inverse, half of the time each."""
    rng, powers = np.random.default_rng(0), []
    for _ in range(200):
        out = random_gamma(RAMP, rng, 2.0)
        assert (out.shape, out.dtype) == (RAMP.shape, np.uint8)
        assert (out[0, 0, 0], out[0, 255, 0]) == (0, 255)
        powers.append(np.log(out[0, 128, 0] / 255) / np.log(128 / 255))
        np.testing.assert_allclose(out[0, :, 1], 255 * (np.arange(256) / 255) ** powers[-1], atol=2.5)
    assert 0.49 < min(powers) < 0.55
    assert 1.9 < max(powers) < 2.02
    assert 0.4 < np.mean(np.array(powers) > 1) < 0.6
    assert random_gamma(RAMP, rng, 1.0) is RAMP


def test_responses_differ_and_rise_from_black_to_white() -> None:
    """A response keeps the order of brightness; half of the cameras have a plain gamma of 2.2."""
    rng = np.random.default_rng(0)
    tables = [response_table(rng, 256).astype(int) for _ in range(100)]
    assert all((np.diff(t) >= 0).all() and (t[0], t[-1]) == (0, 255) for t in tables)
    plain = np.round(255 * np.linspace(0, 1, 256) ** (1 / 2.2))
    assert 30 < sum(np.array_equal(t, plain) for t in tables) < 70
    assert len({t.tobytes() for t in tables}) > 20


@pytest.mark.parametrize("tone", [True, False])
def test_white_balance_is_left_alone_where_level_is_learnt(tone: bool) -> None:
    """With `tone` the mean colour of a grey picture drifts; without it come blur, noise and JPEG, which keep it."""
    grey, rng = np.full((32, 48, 3), 128, np.uint8), np.random.default_rng(1)
    means = np.array([sensor(grey, rng, 1.0, tone=tone).mean(axis=(0, 1)) for _ in range(60)])
    spread = means.std(axis=0).mean()
    balance = (means - means.mean(axis=1, keepdims=True)).std()
    assert (spread > 15, balance > 4) == (tone, tone)
    assert tone or spread < 1.5
