"""How rooms look: paints, coverings of walls, floors and ceilings, and the light of their windows and lamps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from training.data.synthetic.assets import Catalog
from training.data.synthetic.description import Color, Opening, Surface

MOODS = {"white": 0.24, "painted": 0.27, "mixed": 0.35, "wood": 0.07, "dark": 0.07}
"""How a room looks as a whole -> share. Only `mixed` has brick, concrete or tiles on its walls."""
FEW_LAMPS_SHARE = 0.18
"""Share of rooms by night, or without a window, that one to three small lamps light alone."""


def paint(rng: np.random.Generator) -> Color:
    """A wall paint, linear: mostly off-white, sometimes a colour."""
    if rng.random() < 0.6:
        value, tint = rng.uniform(0.5, 0.9), rng.uniform(-0.04, 0.04, 3)
        r, g, b = np.clip(value + tint, 0.05, 0.92)
    else:
        r, g, b = np.clip(rng.uniform(0.12, 0.8) * (1 + rng.uniform(-0.55, 0.55, 3)), 0.03, 0.85)
    return float(r), float(g), float(b)


def surface(rng: np.random.Generator, catalog: Catalog, role: str, gloss: float) -> Surface:
    """A covering for floor, wall, ceiling, wood or fabric."""
    texture = catalog.pick_texture(rng, role)
    neutral = role in ("floor", "wood")
    color = (1.0, 1.0, 1.0) if neutral and rng.random() < 0.6 else paint(rng)
    return Surface(texture, color, float(rng.uniform(0.8, 2.2)), gloss)


def wall_covering(rng: np.random.Generator, catalog: Catalog, mood: str) -> Surface:
    """What is on the walls of a room of that mood; `dim` has an albedo of .2 to .6."""
    tile_m = float(rng.uniform(0.8, 2.2))
    if mood == "mixed":
        return surface(rng, catalog, "wall", 0.0)
    if mood == "wood":
        tone = float(np.exp(rng.uniform(np.log(0.06), np.log(0.4))))
        return Surface(catalog.pick_texture(rng, "wood"), (1.3 * tone, tone, 0.7 * tone), tile_m, 0.2)
    if mood == "painted":
        return Surface(None, paint(rng), tile_m, 0.0)
    if mood == "dim":
        tinted = rng.uniform(0.2, 0.6) * (1 + rng.uniform(-0.2, 0.2, 3))
        return Surface(None, (float(tinted[0]), float(tinted[1]), float(tinted[2])), tile_m, 0.0)
    value = rng.uniform(0.72, 0.9) if mood == "white" else np.exp(rng.uniform(np.log(0.03), np.log(0.2)))
    r, g, b = (float(v) for v in np.clip(value * (1 + rng.uniform(-0.04, 0.04, 3)), 0.02, 0.92))
    return Surface(None, (r, g, b), tile_m, 0.0)


def ceiling_covering(rng: np.random.Generator, catalog: Catalog, mood: str) -> Surface:
    """What the ceiling of a room of that mood is like."""
    if mood == "wood" and rng.random() < 0.5:
        return wall_covering(rng, catalog, mood)
    if rng.random() < 0.2:
        return surface(rng, catalog, "ceiling", 0.0)
    value = float(rng.uniform(0.6, 0.9))
    return Surface(None, (value, value, value), 1.0, 0.0)


# --- light ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Light:
    """What lights a room and those beside it."""

    night: bool
    sky: str | None
    level: float
    """Radiance of the windows."""
    lamps: float
    """How bright lamps are; 0: off."""
    few: bool
    """Whether one to three small lamps are all there is."""


def draw_light(rng: np.random.Generator, holes: list[Opening], catalog: Catalog) -> Light:
    """Day or night, and whether lamps are on: always where no window lights the room."""
    windows = any(o.kind == "window" for o in holes)
    few = bool(rng.random() < FEW_LAMPS_SHARE)
    night = bool(rng.random() < 0.3) or few
    sky = catalog.pick_sky(rng, night=night)
    level = float(np.exp(rng.uniform(np.log(0.01), np.log(0.3)) if night else rng.uniform(np.log(2), np.log(25))))
    lamps = float(np.exp(rng.uniform(np.log(0.4), np.log(3))))
    on = night or not windows or rng.random() < 0.4
    return Light(night, sky, 0.2 * level if few else level, lamps if on else 0.0, few)


def lit(rng: np.random.Generator, holes: list[Opening], light: Light) -> list[Opening]:
    """The openings, their windows with the sky's light and sometimes the sun's."""
    color = (0.05, 0.07, 0.12) if light.night else (0.85, 0.95, 1.1)
    return [
        replace(o, radiance=light.level * float(rng.uniform(0.8, 1.2)), color=color,
                sun=0.0 if light.night or rng.random() < 0.7 else light.level * float(rng.uniform(0.6, 4)))
        if o.kind == "window" else o
        for o in holes
    ]  # fmt: skip


def exposure_target(rng: np.random.Generator, few_lamps: bool = False) -> float:
    """What auto-exposure aims at, see `View.exposure`; with few lamps so that 1 to 4 % of the picture is clipped."""
    if few_lamps and rng.random() < 0.7:
        return -float(rng.uniform(0.9, 2.5))
    if rng.random() < 0.75:
        return float(np.clip(0.21 * 2.0 ** rng.normal(0.0, 0.6), 0.05, 0.6))
    return -float(np.clip(1.0 * 2.0 ** rng.normal(0.0, 0.35), 0.4, 2.5))


def of_temperature(kelvin: float) -> Color:
    """Linear sRGB of a black body of 1667 to 25000 K at luminance 1 (Kim et al.'s cubics for the Planckian locus)."""
    t = 1000.0 / kelvin
    x = 0.179910 + 0.8776956 * t - 0.2343589 * t**2 - 0.2661239 * t**3
    if kelvin > 4000:
        x = 0.240390 + 0.2226347 * t + 2.1070379 * t**2 - 3.0258469 * t**3
    y = -0.16748867 + 2.09137015 * x - 1.37418593 * x**2 - 0.9549476 * x**3
    if kelvin < 2222:
        y = -0.20219683 + 2.18555832 * x - 1.34811020 * x**2 - 1.1063814 * x**3
    elif kelvin > 4000:
        y = -0.37001483 + 3.75112997 * x - 5.87338670 * x**2 + 3.0817580 * x**3
    xyz = np.array([x / y, 1.0, (1 - x - y) / y])
    to_rgb = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
    r, g, b = np.maximum(to_rgb @ xyz, 0.0)
    return float(r), float(g), float(b)
