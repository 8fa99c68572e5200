"""Whether what one camera says agrees with itself: rules that need no label and that flag a result for a look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

RuleName = Literal[
    "depth_against_shell",
    "floor_against_height",
    "layout_jumps",
    "gravity",
    "mirrored",
    "ceiling_height",
    "light_direction",
]


@dataclass(frozen=True, slots=True)
class Rule:
    """A quantity, and the range it has in a result that agrees with itself."""

    name: RuleName
    lowest: float
    highest: float
    unit: str
    meaning: str


RULES: tuple[Rule, ...] = (
    Rule("depth_against_shell", 0.0, 0.15, "of the shell", "depth on walls and floor is not that of the room's shell"),
    Rule("floor_against_height", 0.0, 0.10, "of the height", "the floor's depth is not that of the camera's height"),
    Rule("layout_jumps", 0.8, 1.0, "overlap", "the room changed between two pictures that are alike"),
    Rule("gravity", 0.0, 3.0, "degrees", "upright edges do not stand as pitch and roll say"),
    Rule("mirrored", 0.8, 1.0, "overlap", "the mirrored picture gives another room"),
    Rule("ceiling_height", 2.0, 4.5, "m", "the ceiling is as low or as high as hardly any"),
    Rule("light_direction", 0.0, 60.0, "degrees", "the light does not come from where the picture is brightest"),
)


@dataclass(frozen=True, slots=True)
class Reason:
    """A rule that a result broke."""

    rule: RuleName
    value: float
    threshold: float
    message: str


def broken(measured: Mapping[RuleName, float | None]) -> tuple[Reason, ...]:
    """The rules that these values break; what is None or not there was not measured, and breaks none."""
    reasons = []
    for rule in RULES:
        value = measured.get(rule.name)
        if value is None or not np.isfinite(value) or rule.lowest <= value <= rule.highest:
            continue
        threshold = rule.lowest if value < rule.lowest else rule.highest
        side = "below" if value < rule.lowest else "above"
        text = f"{rule.meaning}: {value:.2g}, {side} {threshold:g} {rule.unit}"
        reasons.append(Reason(rule.name, float(value), threshold, text))
    return tuple(reasons)


def depth_against(depth_m: npt.ArrayLike, shell_m: npt.ArrayLike) -> float | None:
    """Median difference from the shell's range, in shares of it, over pixels where both are known; None: nowhere."""
    depth, shell = np.asarray(depth_m, dtype=np.float64), np.asarray(shell_m, dtype=np.float64)
    both = np.isfinite(depth) & np.isfinite(shell) & (depth > 0) & (shell > 0)
    return float(np.median(np.abs(depth[both] - shell[both]) / shell[both])) if both.any() else None


def alike(one: npt.ArrayLike, other: npt.ArrayLike) -> float:
    """Normalised cross-correlation of two pictures of one size: 1 of the same, also if one is brighter."""
    a, b = (np.asarray(picture, dtype=np.float64).ravel() for picture in (one, other))
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else 1.0


ALIKE = 0.98
"""From here on two pictures show the same, so that their layouts must be the same too."""


def layout_jumps(pictures_alike: float, overlap: float) -> float | None:
    """The overlap of two rooms in a row if their pictures show the same, else None: then it says nothing."""
    return overlap if pictures_alike > ALIKE else None


def angle_deg(one: npt.ArrayLike, other: npt.ArrayLike) -> float | None:
    """Angle between two directions; None if one of them is none."""
    a, b = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.degrees(np.arccos(np.clip(a @ b / size, -1.0, 1.0)))) if size > 0 else None
