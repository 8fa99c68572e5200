from __future__ import annotations

import numpy as np
import pytest

from training.metrics.objects import distances, iou, overlaps_with, psnr, soft_iou, surface_of


def block(low: int, high: int) -> np.ndarray:
    """A cube of full cells."""
    grid = np.zeros((32, 32, 32), np.float32)
    grid[low:high, low:high, low:high] = 1
    return grid


def test_overlap_is_shared_cells_over_all_cells() -> None:
    """Two cubes of 8 and 4 cells a side, one within the other: 64 / 512; nothing and nothing agree."""
    assert soft_iou(block(8, 16), block(8, 12), 0.5) == pytest.approx(64 / 512)
    assert iou(np.zeros(3), np.zeros(3)) == 1.0
    filled = np.stack([block(8, 16).ravel(), np.zeros(32**3, np.float32)])
    assert overlaps_with(filled, block(8, 12)).tolist() == pytest.approx([64 / 512, 0])


def test_the_surface_of_a_cube_lies_on_its_faces() -> None:
    """Points lie on the six faces, as many on each."""
    points = surface_of(block(8, 24), 0.5, 6000)
    assert np.abs(points).max(axis=1) == pytest.approx(0.25, abs=0.02)
    face = np.abs(points).argmax(axis=1) * 2 + (points[np.arange(6000), np.abs(points).argmax(axis=1)] > 0)
    assert np.bincount(face, minlength=6) == pytest.approx(1000, rel=0.2)
    assert len(surface_of(block(0, 0), 0.5, 10)) == 0


def test_distance_of_a_moved_surface() -> None:
    """Spheres .03 apart have a Chamfer distance under .03, agree at .05 and do not at .01."""
    rng = np.random.default_rng(0)
    sphere = rng.normal(size=(4000, 3))
    sphere = (0.3 * sphere / np.linalg.norm(sphere, axis=1, keepdims=True)).astype(np.float32)
    grown = sphere * np.float32(1.1)
    chamfer, scores = distances(grown, sphere)
    assert chamfer == pytest.approx(0.03, abs=0.006)
    assert scores[0.01] == 0 and scores[0.05] > 0.99
    assert distances(grown[:0], sphere)[1][0.05] == 0


def test_psnr_of_a_known_error() -> None:
    """An error of .1 everywhere in the mask is 20 dB; outside nothing counts."""
    a, b = np.zeros((4, 4, 3), np.float32), np.full((4, 4, 3), 0.1, np.float32)
    where = np.zeros((4, 4), bool)
    where[:2] = True
    b[2:] = 1
    assert psnr(a, b, where) == pytest.approx(20)
