"""What a picture is like: each feature follows what it is named for, and hardly anything else."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from edge.perception.picture_features import FLOORS, PICTURE_FEATURES, REMEDIES, picture_features

RANDOM = np.random.default_rng(0)
SCENE = cv2.GaussianBlur(RANDOM.integers(30, 226, (240, 480, 3)).astype(np.uint8), (0, 0), 2.0)
SCENE = np.clip((SCENE.astype(np.float32) - 128) * 4 + 128, 20, 235).astype(np.uint8)


def changed(image: np.ndarray) -> dict[str, float]:
    """What became of each feature, in its floors."""
    before, after = picture_features(SCENE), picture_features(image)
    return {name: (after[name] - before[name]) / FLOORS[name] for name in PICTURE_FEATURES}


def test_every_feature_has_its_place() -> None:
    """All of them, finite, of any picture: also black, white and tiny ones."""
    for image in (SCENE, np.zeros_like(SCENE), np.full_like(SCENE, 255), SCENE[:16, :16]):
        values = picture_features(image)
        assert tuple(values) == PICTURE_FEATURES == tuple(FLOORS)
        assert np.isfinite(list(values.values())).all()
    assert {name for name, _ in REMEDIES} <= set(PICTURE_FEATURES)
    assert picture_features(np.zeros_like(SCENE))["dark"] == 1.0
    assert picture_features(np.full_like(SCENE, 255))["clipped"] == 1.0


@pytest.mark.parametrize(
    ("what", "image", "feature", "sign"),
    [
        ("blurred", cv2.GaussianBlur(SCENE, (0, 0), 4.0), "sharpness", -1),
        ("darker", (SCENE * 0.5).astype(np.uint8), "luminance", -1),
        ("misted", (SCENE * 0.4 + 76).astype(np.uint8), "contrast", -1),
        ("grey", np.repeat(SCENE.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8), "saturation", -1),
        ("red", np.clip(SCENE * [1.3, 1.0, 0.8], 0, 255).astype(np.uint8), "warmth", 1),
        ("noisy", np.clip(SCENE + RANDOM.normal(0, 25, SCENE.shape), 0, 255).astype(np.uint8), "noise", 1),
        ("covered", np.where(np.arange(480)[None, :, None] < 200, 0, SCENE).astype(np.uint8), "dark", 1),
    ],
)
def test_a_feature_follows_its_cause(what: str, image: np.ndarray, feature: str, sign: int) -> None:
    """Each spoiled picture moves the feature named for it, by more than its floor."""
    assert sign * changed(image)[feature] > 2, what


def test_the_size_of_the_picture_hardly_matters() -> None:
    """The same view at three times the size has the same light and colours; detail depends on how it was made."""
    large = cv2.resize(SCENE, None, fx=3, fy=3, interpolation=cv2.INTER_LINEAR)
    moved = changed(large)
    assert max(abs(moved[name]) for name in ("luminance", "saturation", "dark", "clipped", "warmth")) < 1.0


def test_it_costs_little() -> None:
    """A few milliseconds of one core a sample, of which there is one in ten minutes."""
    begun_s = time.thread_time()
    for _ in range(10):
        picture_features(SCENE)
    assert (time.thread_time() - begun_s) / 10 < 0.02
