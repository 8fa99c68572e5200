"""Furniture made from numbers: closed pieces, one canonical frame (y up, front +z), another shape for every number.

Each thing is boxes and turned profiles that touch or overlap. Sizes are in metres; whoever renders fits them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Made = tuple[Floats, npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]
"""Vertices (V, 3), faces (F, 3), part of each face (F,), linear colours (parts, 3)."""
_SIDES = 14
"""Of a turned profile."""
_BOX_FACES = np.array(
    [(0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1), (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4),
     (1, 5, 7), (1, 7, 3)], np.int64
)  # fmt: skip
_CORNERS = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])


@dataclass
class Pieces:
    """What a thing is put together from; `rng` draws its numbers."""

    rng: np.random.Generator
    vertices: list[Floats] = field(default_factory=list)
    faces: list[npt.NDArray[np.int64]] = field(default_factory=list)
    part: list[npt.NDArray[np.int64]] = field(default_factory=list)

    def between(self, low: float, high: float) -> float:
        """A number from that range."""
        return float(self.rng.uniform(low, high))

    def chance(self, share: float) -> bool:
        """True so often."""
        return bool(self.rng.random() < share)

    def parts(self, count: int) -> Floats:
        """(count + 1,) the ends of so many unequal parts of 0..1."""
        ends = np.cumsum(self.rng.uniform(0.6, 1.4, count))
        return np.concatenate([[0.0], ends / ends[-1]])

    def add(self, part: int, vertices: Floats, faces: npt.NDArray[np.int64]) -> None:
        """A closed piece of that part."""
        offset = sum(len(v) for v in self.vertices)
        self.vertices.append(vertices)
        self.faces.append(faces + offset)
        self.part.append(np.full(len(faces), part, np.int64))

    def box(
        self, part: int, middle: tuple[float, float, float], size: tuple[float, float, float], tilt: float = 0.0
    ) -> None:
        """A box; `tilt`: about the x axis through its middle, its top backwards (radians)."""
        c, s = np.cos(-tilt), np.sin(-tilt)
        turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
        self.add(part, _CORNERS * np.array(size) @ turn.T + np.array(middle), _BOX_FACES)

    def turned(self, part: int, profile: list[tuple[float, float]], at: tuple[float, float] = (0.0, 0.0)) -> None:
        """A profile of (radius, height), bottom to top, turned about the vertical through x, z; its ends are closed."""
        angle = 2 * np.pi * np.arange(_SIDES) / _SIDES
        ring = np.stack([np.cos(angle), np.zeros(_SIDES), np.sin(angle)], axis=1)
        rows = [ring * (r, 0, r) + (at[0], y, at[1]) for r, y in profile]
        ends = [np.array([[at[0], y, at[1]]]) for y in (profile[0][1], profile[-1][1])]
        i, j = np.arange(_SIDES), (np.arange(_SIDES) + 1) % _SIDES
        faces = []
        for k in range(len(profile) - 1):
            a, b, c, d = k * _SIDES + i, k * _SIDES + j, (k + 1) * _SIDES + i, (k + 1) * _SIDES + j
            faces += [np.stack([a, c, b], 1), np.stack([b, c, d], 1)]
        bottom, last = len(profile) * _SIDES, (len(profile) - 1) * _SIDES
        faces += [np.stack([i, j, np.full(_SIDES, bottom)], 1)]
        faces += [np.stack([last + j, last + i, np.full(_SIDES, bottom + 1)], 1)]
        self.add(part, np.concatenate([*rows, *ends]), np.concatenate(faces))

    def legs(self, part: int, half_x: float, half_z: float, height: float, thick: float) -> None:
        """Four legs, square or turned, their outsides at those half widths."""
        round_, end = self.chance(0.4), self.between(0.5, 1.0)
        for x in (-half_x + thick / 2, half_x - thick / 2):
            for z in (-half_z + thick / 2, half_z - thick / 2):
                if round_:
                    self.turned(part, [(end * thick / 2, 0.0), (thick / 2, height)], (x, z))
                else:
                    self.box(part, (x, height / 2, z), (thick, height, thick))


def _chair(p: Pieces) -> None:
    w, d, seat, back = p.between(0.4, 0.56), p.between(0.4, 0.56), p.between(0.38, 0.5), p.between(0.3, 0.6)
    thick, tilt = p.between(0.03, 0.09), p.between(0.0, 0.2)
    if p.chance(0.25):
        p.turned(1, [(0.3, 0.0), (0.28, 0.04), (0.035, 0.07), (0.035, seat)])
    else:
        p.legs(1, w / 2, d / 2, seat, p.between(0.03, 0.06))
    p.box(0, (0, seat + thick / 2, 0), (w, thick, d))
    middle, z = seat + thick + back / 2, -d / 2 + 0.02 - 0.5 * back * np.sin(tilt)
    kind = int(p.rng.integers(3))
    if kind == 0:
        p.box(0, (0, middle, z), (w, back, p.between(0.03, 0.07)), tilt)
    else:
        posts = [-w / 2 + 0.02, w / 2 - 0.02] if kind == 1 else list(np.linspace(-w / 2 + 0.02, w / 2 - 0.02, 5))
        for x in posts:
            p.box(1, (x, middle, z), (0.035, back, 0.035), tilt)
        for share in (0.48, 0.1)[: 2 if kind == 1 else 1]:
            p.box(0, (0, middle + share * back * 0.9 - 0.02, z - share * back * np.sin(tilt) * 0.9), (w, 0.09, 0.04))
    if p.chance(0.35):
        up = seat + p.between(0.16, 0.26)
        for x in (-w / 2 + 0.02, w / 2 - 0.02):
            p.box(1, (x, up, 0), (0.045, 0.04, d))
            p.box(1, (x, (seat + up) / 2, d / 2 - 0.03), (0.04, up - seat, 0.04))


def _sofa(p: Pieces) -> None:
    seats = int(p.rng.integers(1, 4))
    w, d, seat, back = seats * p.between(0.55, 0.72), p.between(0.75, 0.95), p.between(0.34, 0.46), p.between(0.3, 0.5)
    arm, up, foot = p.between(0.08, 0.24), p.between(0.08, 0.3), p.between(0.02, 0.14)
    p.legs(1, w / 2, d / 2, foot, 0.06)
    p.box(0, (0, foot + (seat - foot) * 0.3, 0), (w, (seat - foot) * 0.6, d))
    each = (w - (0 if up < 0.1 else 2 * arm)) / seats
    for k in range(seats):
        x = (k - (seats - 1) / 2) * each
        p.box(2, (x, seat - 0.08, 0.08), (each * 0.97, 0.16, d - 0.16))
    thick = p.between(0.14, 0.26)
    p.box(0, (0, (foot + seat + back) / 2, -d / 2 + thick / 2), (w, seat + back - foot, thick), p.between(0, 0.12))
    if up >= 0.1:
        for x in (-w / 2 + arm / 2, w / 2 - arm / 2):
            p.box(0, (x, (foot + seat + up) / 2, 0), (arm, seat + up - foot, d))
    if seats > 1 and p.chance(0.3):
        side = 1 if p.chance(0.5) else -1
        p.box(2, (side * (w / 2 - each / 2), seat / 2 + foot / 2, d * 0.75), (each, seat - foot, d * 0.9))


def _table(p: Pieces) -> None:
    w, d, high, top = p.between(0.5, 1.9), p.between(0.5, 1.0), p.between(0.35, 0.8), p.between(0.025, 0.08)
    if p.chance(0.35):
        r = p.between(0.22, 0.65)
        p.turned(0, [(r * p.between(0.8, 1.0), high - top), (r, high - top / 2), (r * p.between(0.8, 1.0), high)])
        if p.chance(0.6):
            foot, middle, belly = p.between(0.4, 0.95) * r, p.between(0.25, 0.75) * high, p.between(0.03, 0.5) * r
            p.turned(1, [(foot, 0.0), (foot * 0.9, p.between(0.04, 0.12)), (0.05, 0.13), (belly, middle),
                         (p.between(0.03, 0.1), high - top)])  # fmt: skip
        else:
            out, thick = r * p.between(0.5, 0.95), p.between(0.04, 0.1)
            p.legs(1, out, out * p.between(0.6, 0.72), high - top, thick)
            if p.chance(0.5):
                at = high * p.between(0.15, 0.7)
                p.turned(1, [(out * 0.8, at), (out * 0.8, at + 0.04)])
        return
    p.box(0, (0, high - top / 2, 0), (w, top, d))
    thick = p.between(0.04, 0.1)
    if p.chance(0.3):
        for x in (-w / 2 + thick, w / 2 - thick):
            p.box(1, (x, (high - top) / 2, 0), (thick, high - top, d * 0.9))
    else:
        p.legs(1, w / 2 - 0.02, d / 2 - 0.02, high - top, thick)
    if p.chance(0.35):
        side = 1 if p.chance(0.5) else -1
        p.box(2, (side * (w / 2 - 0.24), high - top - 0.25, 0), (0.4, 0.5 * min(1.0, high), d * 0.85))
    elif p.chance(0.4):
        p.box(1, (0, high * p.between(0.2, 0.5), 0), (w * 0.9, 0.03, d * 0.8))


def _shade(p: Pieces, wide: float, narrow: float, low: float, high: float, at: tuple[float, float] = (0, 0)) -> None:
    """Wide below, narrow above, between them straight, hollow or full."""
    middle = p.between(0.2, 0.8)
    waist = (wide + middle * (narrow - wide)) * p.between(0.6, 1.3)
    p.turned(0, [(wide, low), (max(0.02, waist), low + middle * (high - low)), (narrow, high)], at)


def _lamp(p: Pieces) -> None:
    high, wide = p.between(0.35, 1.7), p.between(0.1, 0.3)
    shade, pole = min(p.between(0.12, 0.4), 0.6 * high), p.between(0.015, 0.035) * (1 + 0.6 * (high > 1))
    kind = int(p.rng.integers(4))
    low, narrow = high - shade, p.between(0.2, 1.0) * wide
    if kind == 0:  # hangs
        cable = p.between(0.05, 0.8)
        p.turned(1, [(p.between(0.03, 0.12), high + cable - 0.03), (p.between(0.03, 0.12), high + cable)])
        p.turned(1, [(0.02, high - 0.02), (0.02, high + cable - 0.01)])
        _shade(p, wide, narrow, low, high)
        return
    foot, bulge = p.between(0.5, 1.2) * wide, p.between(0.15, 0.85)
    p.turned(1, [(foot, 0.0), (foot * p.between(0.3, 1.0), p.between(0.02, 0.1)), (pole, 0.12),
                 (pole + p.between(0.0, 0.5) * wide, bulge * low + 0.13), (pole, low + 0.14)])  # fmt: skip
    if kind == 1:  # bends forwards
        reach = p.between(0.15, 0.6)
        p.box(1, (0, low, reach / 2), (2 * pole, 2 * pole, reach))
        _shade(p, wide * 0.8, 0.04, low - shade * p.between(0.3, 0.8), low + 0.04, (0.0, reach))
    elif kind == 2:  # a ball
        tall = p.between(0.6, 1.4)
        ball = [(max(0.02, wide * 0.8 * float(np.sin(a))), low + tall * wide * 0.8 * (1 - float(np.cos(a))))
                for a in np.linspace(0.15, np.pi - 0.15, 8)]  # fmt: skip
        p.turned(0, ball)
    else:
        _shade(p, wide, narrow, low - 0.03, high)


def _cabinet(p: Pieces) -> None:
    w, d, high, wall = p.between(0.4, 1.4), p.between(0.28, 0.6), p.between(0.45, 2.1), p.between(0.02, 0.05)
    foot = p.between(0.0, 0.16) if p.chance(0.6) else 0.0
    if foot > 0.03:
        p.legs(1, w / 2, d / 2, foot + 0.01, 0.05)
    rows, across = int(p.rng.integers(2, 6)), int(p.rng.integers(1, 4))
    y, x = foot + p.parts(rows) * (high - foot), (p.parts(across) - 0.5) * w
    p.box(0, (0, (foot + high) / 2, -d / 2 + wall / 2), (w, high - foot, wall))
    for at in x:
        p.box(0, (float(np.clip(at, -(w - wall) / 2, (w - wall) / 2)), (foot + high) / 2, 0), (wall, high - foot, d))
    for at in y:
        p.box(0, (0, float(np.clip(at, foot + wall / 2, high - wall / 2)), 0), (w, wall, d))
    for k, closed in enumerate(p.rng.permutation(rows * across) < rows * across * p.between(0.0, 0.8)):
        (left, right), (low, top) = x[k % across :][:2], y[k // across :][:2]
        wide, tall = float(right - left), float(top - low)
        if closed:  # a door or a drawer
            p.box(0, (left + wide / 2, low + tall / 2, 0), (wide, tall, d))
            p.box(2, (left + wide / 2, low + tall / 2, d / 2), (wide * 0.92, tall * 0.9, 0.035))
            p.box(1, (left + wide * p.between(0.3, 0.7), low + tall / 2, d / 2 + 0.03), (0.05, 0.03, 0.045))
        elif p.chance(0.5):  # something stands in it
            thick, up = p.between(0.2, 0.7) * wide, p.between(0.4, 0.8) * tall
            p.box(2, (left + thick / 2 + p.between(0, 1) * (wide - thick), low + up / 2, 0), (thick, up, d * 0.7))
    if p.chance(0.3):
        p.box(1, (0, high + 0.02, 0.01), (w + 0.05, 0.04, d + 0.06))


def _plant(p: Pieces) -> None:
    r, high, taper = p.between(0.1, 0.2), p.between(0.15, 0.35), p.between(0.6, 1.0)
    p.turned(0, [(r * taper, 0.0), (r, high), (r * 1.08, high), (r * 1.08, high + 0.03)])
    stem = high + p.between(0.05, 0.5)
    p.turned(1, [(0.025, high), (0.02, stem)])
    spread, leaf = p.between(0.15, 0.4), p.between(0.1, 0.22)
    for _ in range(int(p.rng.integers(4, 11))):
        angle, out, y = p.between(0, 2 * np.pi), p.between(0.0, 1.0) * spread, stem + p.between(-0.05, 0.5) * spread
        size = leaf * p.between(0.7, 1.4)
        profile = [(0.02, y - size / 2), (size * 0.5, y), (0.02, y + size * p.between(0.3, 0.9))]
        p.turned(2, profile, (out * float(np.cos(angle)), out * float(np.sin(angle))))
        p.turned(1, [(0.02, high), (0.02, y)], (out * 0.5 * float(np.cos(angle)), out * 0.5 * float(np.sin(angle))))


@dataclass(frozen=True)
class Maker:
    """Puts one kind of thing together; `hues` are the linear colours that its parts are near."""

    category: str
    build: Callable[[Pieces], None]
    hues: tuple[tuple[float, float, float], ...] = ((0.35, 0.25, 0.18), (0.2, 0.17, 0.15), (0.45, 0.42, 0.38))


MAKERS: dict[str, Maker] = {
    "chair": Maker("seat", _chair),
    "sofa": Maker("seat", _sofa),
    "table": Maker("table", _table),
    "lamp": Maker("lamp", _lamp, ((0.75, 0.7, 0.6), (0.2, 0.2, 0.2), (0.5, 0.5, 0.5))),
    "cabinet": Maker("case", _cabinet),
    "plant": Maker("plant", _plant, ((0.4, 0.25, 0.18), (0.2, 0.15, 0.08), (0.1, 0.35, 0.08))),
}
"""By kind."""


def make(kind: str, number: int) -> Made:
    """The triangles of a thing: kind and number alone decide."""
    pieces = Pieces(np.random.default_rng([zlib.crc32(kind.encode()), number]))
    MAKERS[kind].build(pieces)
    part = np.concatenate(pieces.part)
    hues = np.array(MAKERS[kind].hues)
    colours = np.clip(hues * pieces.rng.uniform(0.4, 1.7, (3, 1)) + pieces.rng.normal(0, 0.08, (3, 3)), 0.02, 0.9)
    return np.concatenate(pieces.vertices), np.concatenate(pieces.faces), part, colours
