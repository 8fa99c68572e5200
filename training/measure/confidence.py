"""What a model's signs of doubt mean: learnt on pictures that it has not learnt from, checked on others.

A sign is read through the device's own readers, with a confidence that is this sign alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import cv2
import numpy as np
from scipy.stats import spearmanr

from edge.errors import DataError, GeometryError
from edge.geometry.polygon import wall_distances
from edge.inference.base import Backend
from edge.inference.manifest import (
    BoundaryCorners,
    DepthConfidence,
    DepthMetres,
    DepthSign,
    JointOutputs,
    LayoutConfidence,
    LayoutSign,
    Manifest,
    NounOutput,
)
from edge.perception.averaging import averaged
from edge.perception.canvas import CanvasInput
from edge.perception.depth import DepthReader
from edge.perception.layout import LayoutReader
from edge.scene import Task
from training.arrays import Array
from training.data.evaluation import DepthCase, LayoutCase, view_case, view_longitudes
from training.data.mix.entries import Entry
from training.metrics.boxes import wedge
from training.metrics.depth import known
from training.metrics.layout import iou_2d

_LEAST_PICTURES = 20
_LEAST_RANKED = 10
_RIDGE = 0.02
"""Weight of the squared weights of normalised signs against a picture's own loss: few pictures, few signs."""
_STEPS = 50


@dataclass(frozen=True)
class Signs:
    """Signs of doubt (N, K) of N pictures, and how right the model was on each: 2D IoU, or mean relative error."""

    values: Array
    truth: Array


def rank_correlation(expected: Sequence[float], found: Sequence[float]) -> float:
    """Spearman's; nan where either is all alike or there are fewer than ten."""
    if len(expected) < _LEAST_RANKED or np.ptp(expected) == 0 or np.ptp(found) == 0:
        return float("nan")
    return float(spearmanr(expected, found)[0])


def _with(manifest: Manifest, confidence: LayoutConfidence | DepthConfidence) -> Manifest:
    return manifest.model_copy(update={"output": manifest.output.model_copy(update={"confidence": confidence})})


def _rooms_and_views(entries: Sequence[Entry[LayoutCase]]) -> Iterator[tuple[LayoutCase, Array]]:
    """Cases with the floor that is to be found."""
    lon = view_longitudes()
    for index, entry in enumerate(entries):
        case = entry.read()
        yield case, case.polygon_m
        view = view_case(case, index % 4)
        yield view, wedge(wall_distances(view.polygon_m, lon), lon)


def layout_signs(manifest: Manifest, backend: Backend, entries: Sequence[Entry[LayoutCase]]) -> Signs:
    """Of every room that gets an answer, from its panorama and from one 90-degree view in it."""
    lines = [LayoutConfidence(bias=0, weights={name: 1.0}, pictures=1, data="") for name in get_args(LayoutSign)]
    rows, truth = [], []
    for case, true in _rooms_and_views(entries):
        canvas = CanvasInput(manifest.input, case.camera)
        readers = [
            averaged(LayoutReader(_with(manifest, line), case.camera, canvas=canvas), manifest) for line in lines
        ]
        outputs = backend.run(readers[0].prepare(case.image))
        try:
            rooms = [reader.read(outputs, 0.0) for reader in readers]
        except GeometryError:
            continue
        rows.append([np.log(r.confidence / (1 - r.confidence)) for r in rooms])
        truth.append(iou_2d(rooms[0].polygon_m, true))
    return Signs(np.array(rows), np.array(truth))


def depth_signs(manifest: Manifest, backend: Backend, entries: Sequence[Entry[DepthCase]]) -> Signs:
    """Of every picture whose depth is known anywhere."""
    lines = [DepthConfidence(bias=0, weights={name: 1.0}, pictures=1, data="") for name in get_args(DepthSign)]
    rows, truth = [], []
    for case in (entry.read() for entry in entries):
        readers = [averaged(DepthReader(_with(manifest, line), case.camera), manifest) for line in lines]
        given = [reader.prepare(case.image) for reader in readers]
        outputs = backend.run(given[0])
        maps = [reader.read(outputs, 0.0) for reader in readers]
        height, width = case.depth_m.shape
        found = cv2.resize(maps[0].depth, (width, height), interpolation=cv2.INTER_LINEAR)
        p, t = known(found, case.depth_m)
        if not len(t):
            continue
        rows.append([np.log(m.expected_error or 1.0) for m in maps])
        truth.append(float((np.abs(p - t) / t).mean()))
    return Signs(np.array(rows), np.array(truth))


def logistic_line(signs: Signs) -> Array:
    """(K + 1,) bias and weights: the logistic function of signs gives the truth (0..1) with least cross entropy."""
    x, back = _normalised(signs.values)
    beta, eye = np.zeros(x.shape[1]), np.diag([0.0, *[_RIDGE * len(x)] * (x.shape[1] - 1)])
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-x @ beta))
        gradient = x.T @ (p - signs.truth) + eye @ beta
        beta = beta - np.linalg.solve(x.T @ (x * (p * (1 - p))[:, None]) + eye + 1e-9 * np.eye(len(beta)), gradient)
    return back(beta)


def exponential_line(signs: Signs) -> Array:
    """(K + 1,) bias and weights: the exponential function of signs gives the truth, by least squares of logs.

    The bias is the one with which the mean is right too.
    """
    x, back = _normalised(signs.values)
    eye = np.diag([0.0, *[_RIDGE * len(x)] * (x.shape[1] - 1)])
    beta = np.linalg.solve(x.T @ x + eye + 1e-9 * np.eye(x.shape[1]), x.T @ np.log(signs.truth))
    beta[0] += np.log(signs.truth.mean() / np.exp(x @ beta).mean())
    return back(beta)


def _normalised(values: Array) -> tuple[Array, Callable[[Array], Array]]:
    """A design matrix of signs of mean 0 and spread 1, and what brings its weights back to the signs as they are."""
    mean, spread = values.mean(axis=0), values.std(axis=0)
    spread = np.where(spread > 1e-6, spread, np.inf)  # a sign that never changes says nothing

    def back(beta: Array) -> Array:
        weights = beta[1:] / spread
        return np.concatenate([[beta[0] - weights @ mean], weights])

    return np.concatenate([np.ones((len(values), 1)), (values - mean) / spread], axis=1), back


def _named(names: tuple[str, ...], weights: Array) -> dict[str, float]:
    return {name: float(f"{w:.4g}") for name, w in zip(names, weights, strict=True) if w}


def learn_confidence(task: Task, signs: Signs, data: str) -> LayoutConfidence | DepthConfidence:
    """What the signs mean.

    Raises:
        DataError: there are too few pictures, or the noun has none.
    """
    if len(signs.truth) < _LEAST_PICTURES:
        raise DataError(f"{len(signs.truth)} pictures are too few to learn confidence from; give {_LEAST_PICTURES}")
    line = logistic_line(signs) if task == "layout" else exponential_line(signs)
    given = {"bias": float(f"{line[0]:.4g}"), "pictures": len(signs.truth), "data": data}
    if task == "layout":
        return LayoutConfidence.model_validate(given | {"weights": _named(get_args(LayoutSign), line[1:])})
    return DepthConfidence.model_validate(given | {"weights": _named(get_args(DepthSign), line[1:])})


def with_confidence(manifest: Manifest, found: Mapping[Task, LayoutConfidence | DepthConfidence]) -> Manifest:
    """The manifest with what was learnt for its nouns."""

    def noun(output: NounOutput, task: Task) -> NounOutput:
        if task in found and isinstance(output, BoundaryCorners | DepthMetres):
            return output.model_copy(update={"confidence": found[task]})
        return output

    if isinstance(manifest.output, JointOutputs):
        parts: dict[str, NounOutput] = {task: noun(part, task) for task, part in manifest.output.parts.items()}
        return manifest.model_copy(update={"output": manifest.output.model_copy(update=parts)})
    (task,) = manifest.parts
    return manifest.model_copy(update={"output": noun(manifest.output, task)})
