"""Things that are one body with another face count as one: clusters by overlap, and the split by cluster.

The split is written beside the shards. One that is there already holds: what is new joins the side of what it is like.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edge.errors import DataError

Side = Literal["train", "val", "wild", "test", "out"]
SIDES: tuple[Side, ...] = ("train", "val", "wild", "test")
ALIKE = 0.85
"""Overlap above which two things are one."""
SPLIT_FILE = "split.json"
_SHARES: dict[str, tuple[float, float, float, float]] = {
    "animal": (0.0, 0.0, 0.7, 0.3), "plant": (0.75, 0.0, 0.0, 0.25), "misc": (1.0, 0.0, 0.0, 0.0),
}  # fmt: skip
"""Category -> shares of its clusters by side; animals are a class that stage 1 never sees."""
_USUAL = (0.5, 0.1, 0.2, 0.2)
_OF_MADE = (0.88, 0.04, 0.0, 0.08)
"""Of things made here: every one is another shape, and stage 2 is about designs that no maker made."""


def overlaps(grids: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """(N, N) IoU of soft grids (N, G, G, G) at half full."""
    flat = (grids.reshape(len(grids), -1) >= 128).astype(np.float32)
    both, each = flat @ flat.T, flat.sum(1)
    return np.asarray(both / np.maximum(each[:, None] + each[None] - both, 1), dtype=np.float32)


def clusters_of(grids: npt.NDArray[np.uint8], alike: float = ALIKE) -> npt.NDArray[np.int64]:
    """(N,) number of each thing's cluster, that of its first member: whatever is alike is joined, chains too."""
    near = overlaps(grids) > alike
    label = np.arange(len(grids))
    while True:
        lower = np.where(near, label[None], len(grids)).min(1)
        new = np.minimum(label, lower)
        if np.array_equal(new, label):
            return label
        label = new


def _order(names: Sequence[str], seed: int) -> str:
    return hashlib.blake2b(f"{seed}:{min(names)}".encode(), digest_size=8).hexdigest()


def _side_of_next(counts: Mapping[Side, int], shares: Sequence[float]) -> Side:
    """The side that most lacks a cluster when one more comes; the earlier one of equals."""
    total = sum(counts[s] for s in SIDES) + 1
    lack = [share * total - counts[side] for side, share in zip(SIDES, shares, strict=True)]
    return SIDES[int(np.argmax(lack))]


def split(
    names: Sequence[str], categories: Sequence[str], made: Sequence[bool], cluster: npt.NDArray[np.int64],
    before: Mapping[str, Side] | None = None, seed: int = 0,
) -> dict[str, Side]:  # fmt: skip
    """The side of every thing by name; a cluster is on one side.

    What is new and like things of two sides is left `out`: it would tie learning and testing together.

    Args:
        names: of the things.
        categories: of the things; shares hold within a category, and a cluster is of its first member's.
        made: which were made from numbers.
        cluster: as of `clusters_of`.
        before: sides that hold already.
        seed: another one, another split.
    """
    known = before or {}
    sides: dict[str, Side] = {}
    members = [[i for i in range(len(names)) if cluster[i] == c] for c in np.unique(cluster)]
    counts: dict[tuple[str, bool], dict[Side, int]] = {}
    undecided = []
    for group in members:
        have = {known[names[i]] for i in group if names[i] in known} - {"out"}
        if not have:
            undecided.append(group)
            continue
        side: Side = next(iter(have)) if len(have) == 1 else "out"
        sides |= {names[i]: known.get(names[i], side) for i in group}
        tally = counts.setdefault((categories[group[0]], made[group[0]]), dict.fromkeys(SIDES, 0))
        for s in have:
            tally[s] += 1
    for group in sorted(undecided, key=lambda g: _order([names[i] for i in g], seed)):
        category, from_numbers = categories[group[0]], made[group[0]]
        tally = counts.setdefault((category, from_numbers), dict.fromkeys(SIDES, 0))
        shares = _OF_MADE if from_numbers else _SHARES.get(category, _USUAL)
        side = _side_of_next(tally, shares)
        tally[side] += 1
        sides |= {names[i]: side for i in group}
    return sides


def placed(
    names: Sequence[str], categories: Sequence[str], made: Sequence[bool], grids: npt.NDArray[np.uint8],
    before: Mapping[str, Side] | None = None, seed: int = 0,
) -> tuple[dict[str, Side], npt.NDArray[np.int64]]:  # fmt: skip
    """Sides of everything by name, and clusters (N,): files first, then what was made, which must not show the answer.

    What was made and is like a file that is held out is left out; where it is like one that is learnt from, it is
    learnt from too. `grids` (N, G, G, G) as of `overlaps`.
    """
    made_ = np.asarray(made, bool)
    files, own = np.flatnonzero(~made_), np.flatnonzero(made_)
    cluster = np.arange(len(names))
    cluster[files] = files[clusters_of(grids[files])] if len(files) else files

    def part(which: npt.NDArray[np.int64], given: Mapping[str, Side]) -> dict[str, Side]:
        picked = [names[i] for i in which], [categories[i] for i in which], [bool(made_[i]) for i in which]
        return split(*picked, cluster[which], given, seed)

    sides = part(files, before or {})
    if not len(own):
        return sides, cluster
    like = overlaps(grids) > ALIKE
    held = np.array([i for i in files.tolist() if sides[names[i]] not in ("train", "out")], np.int64)
    hidden = own[like[np.ix_(own, held)].any(1)]
    sides |= {names[i]: "out" for i in hidden.tolist()}
    learnt = np.array([i for i in files.tolist() if sides[names[i]] == "train"], np.int64)
    rest = np.concatenate([learnt, np.setdiff1d(own, hidden)])
    joined = rest[clusters_of(grids[rest])]
    apart = cluster.copy()
    cluster[rest] = joined
    new = part(rest, {n: s for n, s in sides.items() if n in {names[i] for i in learnt.tolist()}} | dict(before or {}))
    sides |= {names[i]: new[names[i]] for i in rest.tolist() if made_[i]}
    cluster[learnt] = apart[learnt]
    return sides, cluster


def write_split(
    path: Path, names: Sequence[str], categories: Sequence[str], cluster: npt.NDArray[np.int64],
    sides: Mapping[str, Side], seed: int,
) -> None:  # fmt: skip
    """Write who is alike and on which side."""
    rows = {
        n: {"category": c, "cluster": names[k], "side": sides[n]}
        for n, c, k in zip(names, categories, cluster, strict=True)
    }
    path.write_text(json.dumps({"seed": seed, "alike": ALIKE, "things": rows}, indent=1) + "\n", encoding="utf-8")


def read_split(path: Path, what: Literal["side", "cluster"] = "side") -> dict[str, Any]:
    """By name, the sides of a split file (or what cluster each thing is of); empty where there is none.

    Raises:
        DataError: the file is something else.
    """
    if not path.is_file():
        return {}
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["things"]
        return {name: row[what] for name, row in rows.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise DataError(f"{path}: no split of things ({e}); delete it and synthesize again") from e
