"""How far lengths of a plan are off, beside the confidence of its layout: what a heat loss takes them to be off by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge.errors import GeometryError
from edge.inference.base import Backend
from edge.inference.manifest import Manifest
from edge.perception.averaging import averaged
from edge.perception.canvas import CanvasInput
from edge.perception.layout import LayoutReader
from training.arrays import Array
from training.data.evaluation import LayoutCase
from training.data.mix.entries import Entry

BASE, DOUBT = 0.02, 1.0
"""A heat loss takes lengths to be off by `BASE` + `DOUBT` (1 - confidence), one standard deviation."""
_DOUBTS = np.arange(0.0, 3.001, 0.01)
_NINETY = 1.645
"""Standard deviations about the middle that hold nine of ten normal values."""


@dataclass(frozen=True)
class LengthSpread:
    """Lengths of N rooms along their two axes, as logarithms of found over true, and what they say."""

    confidence: Array
    errors: Array
    """(N, 2)"""

    @property
    def doubt(self) -> float:
        """The likeliest in the place of `DOUBT`, were the errors normal."""

        def unlikely(doubt: float) -> float:
            sigma = BASE + doubt * (1 - self.confidence[:, None])
            return float((np.log(sigma) + (self.errors / sigma) ** 2 / 2).sum())

        return float(min(_DOUBTS, key=unlikely))

    def within(self, deviations: float, doubt: float) -> float:
        """The share of lengths that are off by no more than so many of the standard deviations taken."""
        sigma = BASE + doubt * (1 - self.confidence[:, None])
        return float((np.abs(self.errors) <= deviations * sigma).mean())

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"lengths: {self.errors.size} of {len(self.errors)} rooms, off by {np.median(np.abs(self.errors)):.1%} at "
            f"the median, {np.sqrt((self.errors**2).mean()):.1%} RMS; of {BASE:g} + {DOUBT:g} (1 - confidence) "
            f"{self.within(1, DOUBT):.0%} are within one and {self.within(_NINETY, DOUBT):.0%} within {_NINETY} "
            f"deviations; likeliest {BASE:g} + {self.doubt:.2f} (1 - confidence)"
        )


def length_spread(manifest: Manifest, backend: Backend, entries: Sequence[Entry[LayoutCase]]) -> LengthSpread:
    """Of every room that gets an answer, how wide and deep its floor is beside the truth."""
    confidence, errors = [], []
    for case in (entry.read() for entry in entries):
        reader = averaged(
            LayoutReader(manifest, case.camera, canvas=CanvasInput(manifest.input, case.camera)), manifest
        )
        try:
            room = reader.read(backend.run(reader.prepare(case.image)), 0.0)
        except GeometryError:
            continue
        confidence.append(room.confidence)
        errors.append(np.log(np.ptp(room.polygon_m, axis=0) / np.ptp(case.polygon_m, axis=0)))
    return LengthSpread(np.array(confidence), np.array(errors).reshape(-1, 2))
