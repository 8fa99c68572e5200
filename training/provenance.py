"""Which state of this code, on how much data and for how long, made a model."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[1]


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(_ROOT), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def source_state() -> dict[str, Any]:
    """`commit` (short, None outside of a git checkout) and `dirty`: training/ or edge/ differ from that commit."""
    commit = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--", "training", "edge")
    return {"commit": commit, "dirty": bool(changed)}


@dataclass(frozen=True)
class Origin:
    """The commit to name in a manifest, and lines for the card that say how a model was trained."""

    commit: str
    lines: tuple[str, ...]


def _commit_of(run: dict[str, Any]) -> str:
    commit = run.get("commit")
    return "" if not commit else f"{commit}-dirty" if run.get("dirty") else str(commit)


def _amounts(run: dict[str, Any]) -> str:
    words = {
        "rooms": "rooms to learn from",
        "validation_rooms": "rooms to validate on",
        "pictures": "pictures of other data sets to learn from",
        "validation_pictures": "to validate on",
        "panoramas": "panoramas of other data sets to learn from",
        "validation_panoramas": "to validate on",
        "pseudo": "pseudo-labelled pictures",
        "segmented": "segmented pictures, without shapes and cameras, to learn from",
        "things": "variants of things to learn from",
        "validation_things": "to validate on",
        "environments": "HDRIs to learn from",
        "validation_environments": "HDRIs to validate on",
    }
    return ", ".join(f"{run[key]} {what}" for key, what in words.items() if key in run)


def _averaged(run: dict[str, Any]) -> str:
    """What `edge-train average` did to the weights, if it did."""
    said = run.get("averaged")
    return f"then {said['share']:g} of the way to these weights from those of {said['with']}" if said else ""


def _line(number: int, run: dict[str, Any], before: dict[str, Any]) -> str:
    steps, minutes = run["steps"] - before.get("steps", 0), run["minutes"] - before.get("minutes", 0.0)
    start = f"from run {number - 1}" if number > 1 else f"from {run['weights']}" if "weights" in run else ""
    teachers = f"teachers: {', '.join(run['teachers'])}" if run.get("teachers") else ""
    parts = [f"{steps:,} steps in {minutes:.0f} minutes", start, _amounts(run), teachers, _averaged(run)]
    return f"- Run {number}: " + "; ".join(p for p in parts if p) + f"; commit {_commit_of(run) or 'not recorded'}."


def origin_of(runs: list[dict[str, Any]], *, counts: dict[str, int], said_commit: str | None = None) -> Origin:
    """What to say of the runs that made a checkpoint.

    Args:
        runs: the checkpoint's records, first to last.
        counts: amounts of data found now, said where the last run recorded none.
        said_commit: the commit that trained it, where somebody knows better than the record.
    """
    lines = [_line(i + 1, run, runs[i - 1] if i else {}) for i, run in enumerate(runs)]
    if runs and not _amounts(runs[-1]) and counts:
        lines.append(f"- The last run did not record its data; counted when exported: {_amounts(counts)}.")
    commit = said_commit or (_commit_of(runs[-1]) if runs else "")
    if said_commit:
        lines.append(f"- Trained by commit {said_commit}, as given to the exporter.")
    elif not commit:
        state = source_state()
        commit = _commit_of(state)
        lines.append(f"- The training commit was not recorded; {commit or 'no commit'} is that of the exporter.")
    if commit.endswith("-dirty"):
        lines.append("- `-dirty`: with changes in training/ or edge/ that were not committed when it was trained.")
    return Origin(commit, tuple(lines))
