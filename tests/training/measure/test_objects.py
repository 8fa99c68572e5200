from __future__ import annotations

import numpy as np

from training.measure.objects import spread


def test_the_spread_is_of_the_mean_that_is_reported() -> None:
    """Where one cluster has most of the pictures their mean lies within; with one cluster it is exact."""
    values = np.array([0.9] * 30 + [0.1, 0.2, 0.3, 0.2, 0.1], np.float32)
    clusters = ["much"] * 30 + ["a", "b", "c", "d", "e"]
    low, high = spread(values, clusters)
    assert low < values.mean() < high
    assert np.allclose(spread(values[:30], clusters[:30]), values[:30].mean())


def test_the_spread_narrows_with_clusters_and_not_with_pictures() -> None:
    """Ten times the pictures of the same designs say nothing new; ten times the designs do, by the root of ten."""
    rng = np.random.default_rng(1)
    of_design = rng.random(20)

    def width(designs: int, pictures: int) -> float:
        values = np.repeat(np.resize(of_design, designs), pictures).astype(np.float32)
        low, high = spread(values, [str(k // pictures) for k in range(designs * pictures)])
        return high - low

    few = width(20, 3)
    assert abs(width(20, 30) / few - 1) < 0.05
    assert 2.4 < few / width(200, 3) < 4.2
