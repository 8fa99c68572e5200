"""Lighting beside the picture's own projection and beside a constant light."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edge.geometry.harmonics import projection_weights
from edge.inference.base import Backend
from edge.inference.manifest import Manifest, Metric
from edge.perception.canvas import CanvasMap
from edge.perception.lighting import LightingReader
from training.data.evaluation import LightingCase
from training.metrics.lighting import ambient, lighting_metrics

Array = npt.NDArray[np.float64]
_TURNING_ROWS = [1, 3, 4, 5, 7, 8]
_NAMES = (
    ("si_irradiance_rmse", "scale-invariant irradiance RMSE", ""),
    ("direction_error_deg", "direction error", "°"),
    ("ambient_log_error", "ambient log error", ""),
)


def projected_coefficients(case: LightingCase, width_px: int = 256) -> Array:
    """The baseline that needs no learning: the linearised picture's own harmonics; the unseen is given its mean."""
    height_px = width_px // 2
    size = (case.image.shape[1], case.image.shape[0])
    canvas, mask = CanvasMap(case.camera, size, width_px, height_px).apply(case.image)
    linear = (canvas / 255.0) ** 2.2
    weights = projection_weights(width_px, height_px)
    area = weights[0] * mask
    mean = (linear * area[..., None]).sum(axis=(0, 1)) / area.sum()
    filled = np.where(mask[..., None], linear, mean)
    return np.asarray(np.tensordot(weights, filled, axes=([1, 2], [0, 1])))


def constant_light(truths: list[npt.NDArray[np.float32]]) -> Array:
    """(9, 3) the same answer to every picture, from training environments' coefficients.

    Its shape is the mean of them, each at ambient level 1 and turned all ways about the vertical; its level their
    median, which no constant beats in mean log error on them.
    """
    levels = np.array([ambient(t) for t in truths])
    shape = np.mean([t / level for t, level in zip(truths, levels, strict=True)], axis=0).astype(np.float64)
    shape[_TURNING_ROWS] = 0.0
    return np.asarray(shape * float(np.median(levels)))


def lighting_rows(
    manifest: Manifest, backend: Backend, cases: list[LightingCase], data: str, constant: Array | None
) -> list[Metric]:
    """Shape, direction and level of the light, each beside both baselines."""

    def model(case: LightingCase) -> npt.ArrayLike:
        reader = LightingReader(manifest, case.camera, smoothing_s=0.0)
        return reader.read(backend.run(reader.prepare(case.image)), 0.0).coefficients

    answers: dict[str, Callable[[LightingCase], npt.ArrayLike]] = {"projection of the picture": projected_coefficients}
    if constant is not None:
        answers["constant, the mean training light"] = lambda _: constant
    ours = _means(model, cases)
    bases = {name: _means(answer, cases) for name, answer in answers.items()}
    where = f"{data} ({len(cases)} pictures)"
    return [
        Metric(name=name, value=ours[key], unit=unit, data=where, baseline=base[key], baseline_name=what)
        for key, name, unit in _NAMES
        for what, base in bases.items()
    ]


def _means(answer: Callable[[LightingCase], npt.ArrayLike], cases: list[LightingCase]) -> dict[str, float]:
    rows = [lighting_metrics(answer(c), c.coefficients) for c in cases]
    return {key: float(np.mean([r[key] for r in rows])) for key in rows[0]}
