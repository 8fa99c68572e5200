"""Which part of a data set each scene belongs to: one, always the same, and written down.

A scene is what pictures must share to be too alike for an honest test: a room, a home, a drive, the place of an HDRI.
The publisher's own split is honoured where he made one that keeps scenes apart; else a stable hash of the scene's name
decides, so that adding data moves nothing, and two sets that name a scene alike put it into the same part.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from edge.errors import DataError
from training.data.mix.entries import PARTS, Entry, Part, part_of

T = TypeVar("T")
Policy = Literal["auto", "publisher", "scene"]
Parts = dict[Part, list[Entry[T]]]
_LOG = logging.getLogger(__name__)


def by_scene(entries: Sequence[Entry[T]], seed: int) -> Parts[T]:
    """Every entry in its scene's part; publishers are not asked."""
    return {part: [e for e in entries if part_of(e.scene, seed) == part] for part in PARTS}


def by_publisher(entries: Sequence[Entry[T]], seed: int) -> Parts[T]:
    """Every entry that the publisher placed; where he set none aside to validate on, scenes of train are, by hash."""
    parts: Parts[T] = {part: [e for e in entries if e.part == part] for part in PARTS}
    if not parts["val"]:
        held = {e.scene for e in parts["train"] if part_of(e.scene, seed) == "val"}
        parts["val"] = [e for e in parts["train"] if e.scene in held]
        parts["train"] = [e for e in parts["train"] if e.scene not in held]
    return parts


def shared_scenes(parts: Mapping[Part, Iterable[Entry[Any]]]) -> list[str]:
    """Scenes that are in more than one part."""
    where = Counter(scene for entries in parts.values() for scene in {e.scene for e in entries})
    return sorted(scene for scene, count in where.items() if count > 1)


def parted(
    entries: Sequence[Entry[T]],
    seed: int = 0,
    policy: Policy = "auto",
    name: str = "the set",
    held: Collection[str] = (),
) -> Parts[T]:
    """The entries' parts.

    Args:
        entries: of one data set.
        seed: another seed, another hash.
        policy: `publisher` takes his split even if scenes are in several of its parts; `scene` never asks him; `auto`
            takes it if it keeps scenes apart.
        name: of the set, for messages.
        held: scenes that are validated on, whatever publisher and hash say.

    Raises:
        DataError: the publisher's split is asked for and there is none.
    """
    parts = _parted([e for e in entries if e.scene not in held], seed, policy, name)
    return {**parts, "val": [*parts["val"], *(e for e in entries if e.scene in held)]}


def _parted(entries: Sequence[Entry[T]], seed: int, policy: Policy, name: str) -> Parts[T]:
    published = any(e.part is not None for e in entries)
    if policy == "publisher" and not published:
        raise DataError(f"{name}: its publisher's split is not there; add his lists, or set split: scene")
    if policy == "scene" or not published:
        return by_scene(entries, seed)
    parts = by_publisher(entries, seed)
    shared = shared_scenes(parts)
    if shared and policy == "auto":
        _LOG.warning(
            "%s: its publisher's split has %d scenes in several parts (%s): split by scene instead; set split: "
            "publisher to take his",
            name,
            len(shared),
            ", ".join(shared[:3]),
        )
        return by_scene(entries, seed)
    return parts


def record(kind: str, path: str, parts: Mapping[Part, Sequence[Entry[Any]]]) -> dict[str, Any]:
    """What `write` keeps of one data set: by part, how many entries each scene has."""
    out: dict[str, Any] = {"kind": kind, "path": path}
    for part in PARTS:
        out[part] = dict(sorted(Counter(e.scene for e in parts.get(part, ())).items()))
    return out


def check_apart(records: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a scene that two sets of one kind put into different parts, also if they are one folder split twice.

    Raises:
        DataError: names it, and both sets.
    """
    seen: dict[tuple[str, str], tuple[Part, int]] = {}
    for number, entry in enumerate(records):
        for part in PARTS:
            for scene in entry[part]:
                other, first = seen.setdefault((entry["kind"], scene), (part, number))
                if other != part and first != number:
                    raise DataError(
                        f"{scene} is in {other} of {records[first]['path']} and in {part} of {entry['path']}; leave "
                        "one of them out, or split both alike"
                    )


def write(path: Path, records: Sequence[Mapping[str, Any]], seed: int) -> None:
    """The file that says which scenes a run learnt from, chose by, and left alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"seed": seed, "sources": list(records)}, indent=1) + "\n", encoding="utf-8")
