"""Rooms beside the room: what is behind its openings, furnished lightly and lit on its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from training.data.synthetic.assets import Catalog
from training.data.synthetic.description import Annex, Array, Opening, Room, moved, moved_pieces, wall_frame
from training.data.synthetic.furnish import furnish
from training.data.synthetic.lamps import ceiling_lamps
from training.data.synthetic.looks import Light, ceiling_covering, lit, surface, wall_covering
from training.data.synthetic.openings import Beyond, fits, leaf, window

USES = {"hall": ("hall",), "closet": ("clutter",)}
"""What halls and closets are furnished as; rooms as anything."""
OPEN_USES = ("kitchen", "kitchen", "dining", "living", "living", "office")
"""What rooms are furnished as that are open to the room."""


def _back(polygon: Array, o: Opening, beyond: Beyond) -> Opening:
    """The opening as its annex has it: in wall 0, which runs the other way."""
    a, u, _, _ = wall_frame(polygon, o.wall)
    start = float((beyond.polygon[0] - a) @ u)
    return Opening(0, "back", start - o.left_m - o.width_m, o.width_m, o.bottom_m, o.height_m, o.recess_m)


def _windows(
    rng: np.random.Generator, polygon: Array, beyond: Beyond, others: list[Beyond], catalog: Catalog
) -> list[Opening]:  # fmt: skip
    """Windows in the walls of an annex, none that look into another room."""
    out: list[Opening] = []
    room = Beyond("room", polygon, 0.0)
    for wall in (1, 2, 3):
        length_m = wall_frame(beyond.polygon, wall)[3]
        if length_m > 1.2 and rng.random() < (0.55 if beyond.kind == "room" else 0.12):
            pane = replace(window(rng, wall, length_m, beyond.height_m, catalog), curtain=None)
            if fits(beyond.polygon, out, [room, *others], pane):
                out.append(pane)
    return out


def annex(
    rng: np.random.Generator, polygon: Array, o: Opening, which: Beyond, others: list[Beyond], light: Light,
    catalog: Catalog, room: Room,
) -> Annex:  # fmt: skip
    """What is behind an opening, in the frame of the plan.

    Args:
        rng: decides everything.
        polygon: (N, 2) the room's own corners.
        o: the opening that leads there.
        which: its plan.
        others: plans of all else that is behind openings.
        light: by which the room is lit.
        catalog: what there is to choose from.
        room: whose coverings it mostly shares.
    """
    panes = lit(rng, _windows(rng, polygon, which, others, catalog), light)
    back = _back(polygon, o, which)
    on = rng.random() < (0.75 if light.lamps > 0 and not light.few else 0.25)
    level = (light.lamps or 1.0) * float(np.exp(rng.uniform(-1, 0.7))) * (0.15 if light.few else 1.0) if on else 0.0
    clear = [leaf(polygon, o).buffer(0.05)] if o.leaf_deg > 0 and not o.inwards else []
    uses = USES.get(which.kind, OPEN_USES if o.kind == "opening" else ())
    use = str(rng.choice(uses)) if uses else None
    pieces, _ = furnish(rng, which.polygon, which.height_m, [back, *panes], clear, catalog, level, use)
    pieces += ceiling_lamps(rng, which.polygon, which.height_m, catalog, level, needed=on and not panes)
    own_floor, own_walls = rng.random() < 0.5, rng.random() < 0.55
    mood = str(rng.choice(["white", "painted", "mixed"], p=[0.45, 0.4, 0.15]))
    return Annex(
        which.kind, tuple((float(x), float(y)) for x, y in which.polygon), which.height_m,
        surface(rng, catalog, "floor", float(rng.choice([0.0, 0.35, 0.7]))) if own_floor else room.floor,
        ceiling_covering(rng, catalog, mood) if own_walls else room.ceiling,
        wall_covering(rng, catalog, mood) if own_walls else room.walls[0],
        (back, *panes), tuple(pieces),
    )  # fmt: skip


def placed(one: Annex, center: Array, phi: float) -> Annex:
    """The annex in the room's frame."""
    corners = moved(center, phi, one.polygon)
    return replace(
        one, polygon_m=tuple((float(x), float(y)) for x, y in corners),
        pieces=moved_pieces(center, phi, list(one.pieces)),
    )  # fmt: skip


def as_room(room: Room, one: Annex) -> Room:
    """The annex as a room of its own, for whatever builds rooms."""
    return replace(
        room, polygon_m=one.polygon_m, height_m=one.height_m, floor=one.floor, ceiling=one.ceiling,
        walls=(one.wall, one.wall), accent_wall=-1, openings=one.openings, pieces=one.pieces, annexes=(), views=(),
    )  # fmt: skip
