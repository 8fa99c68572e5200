"""Lighting beside the picture's own projection, a constant light and, where given, a published network."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from edge.geometry.harmonics import projection_weights
from edge.inference.base import Backend
from edge.inference.manifest import Manifest, Metric
from edge.perception.canvas import CanvasMap
from edge.perception.lighting import LightingReader
from edge.scene import ImageArray
from training.arrays import Array
from training.data.evaluation import LightingCase
from training.data.mix.entries import Entry
from training.drawing import lit_sphere
from training.measure.report import Measured, Scored, side_by_side
from training.metrics.lighting import ambient, lighting_metrics, sphere_exposure

Answer = Callable[[LightingCase], npt.ArrayLike]
Entries = Sequence[Entry[LightingCase]]
CONSTANT = "constant (the mean training light)"
_TURNING_ROWS = [1, 3, 4, 5, 7, 8]
_NAMES = (
    ("si_irradiance_rmse", "scale-invariant irradiance RMSE", ""),
    ("direction_error_deg", "direction error", "°"),
    ("ambient_log_error", "ambient log error", ""),
    ("coefficients_l1", "coefficients' L1", ""),
    ("sphere_psnr_db", "sphere PSNR", "dB"),
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
    """(9, 3) the same answer to every picture, from training environments' coefficients, at least one.

    Its shape is the mean of them, each at ambient level 1 and turned all ways about the vertical; its level their
    median, which no constant beats in mean log error on them.
    """
    levels = np.array([ambient(t) for t in truths])
    shape = np.mean([t / level for t, level in zip(truths, levels, strict=True)], axis=0).astype(np.float64)
    shape[_TURNING_ROWS] = 0.0
    return np.asarray(shape * float(np.median(levels)))


def answers_of(manifest: Manifest, backend: Backend) -> Answer:
    """What a network says of a case, through the device's own reader."""

    def answer(case: LightingCase) -> npt.ArrayLike:
        reader = LightingReader(manifest, case.camera, smoothing_s=0.0)
        return reader.read(backend.run(reader.prepare(case.image)), 0.0).coefficients

    return answer


def baselines(constant: Array | None, peer: tuple[str, Answer] | None) -> dict[str, Answer]:
    """By name, what a model is measured beside; `constant` (9, 3) and a published network where there are any."""
    answers: dict[str, Answer] = {"projection of the picture": projected_coefficients}
    if constant is not None:
        answers[CONSTANT] = lambda _: constant
    if peer is not None:
        answers[f"published network ({peer[0]})"] = peer[1]
    return answers


def measure_lighting(model: Answer, entries: Entries, data: str, beside: dict[str, Answer]) -> Measured:
    """Shape, direction and level of the light, each beside every baseline; means over pictures."""
    answers = {"model": model, **beside}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in answers}
    scored = []
    for entry in entries:
        case = entry.read()
        for name, answer in answers.items():
            found[name].append(lighting_metrics(answer(case), case.coefficients))
        mine = found["model"][-1]
        scored.append(Scored(entry.name, mine[_NAMES[0][0]], {name: mine[key] for key, name, _ in _NAMES[1:]}))
    means = {name: {key: float(np.mean([r[key] for r in rows])) for key in rows[0]} for name, rows in found.items()}
    where = f"{data} ({len(entries)} pictures)"
    rows = tuple(
        Metric(
            name=name, value=means["model"][key], unit=unit, data=where, baseline=means[what][key], baseline_name=what
        )
        for key, name, unit in _NAMES
        for what in beside
    )
    return Measured(
        data=where,
        rows=rows,
        details={"pictures": len(entries), "model": means["model"], "baselines": {n: means[n] for n in beside}},
        pictures=tuple(scored),
        ranked_by=_NAMES[0][1],
        draw=lambda i: _drawn(answers, entries[i].read()),
    )


def _drawn(answers: dict[str, Answer], case: LightingCase) -> ImageArray:
    """The picture, and spheres in the true light and in each answer's, all exposed for the true one."""
    truth = case.coefficients.astype(np.float64)
    exposure = sphere_exposure(truth)
    spheres = [("truth", lit_sphere(truth, exposure=exposure))]
    for name, answer in answers.items():
        found = np.asarray(answer(case), dtype=np.float64)
        error = lighting_metrics(found, truth)[_NAMES[0][0]]
        spheres.append((f"{name.split(' (')[0]}: {error:.3f}", lit_sphere(found, exposure=exposure)))
    return side_by_side([("picture", case.image), *spheres])
