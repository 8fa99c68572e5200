"""TUM RGB-D (Sturm et al. 2012): a sequence or a folder of them.

`rgb.txt` and `depth.txt` list `<timestamp> <file>`; a picture belongs to the depth nearest in time, within 20 ms, each
used once. Depth is 16 bit, 5000 a metre, 0 = unknown, and registered to colour. The lens is that of the sequence's
camera (freiburg1, 2 or 3), by the folder's name. Sequences of one camera were mostly taken in one hall, so that is the
scene.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from functools import partial
from pathlib import Path

from edge.errors import DataError
from training.config.values import Count, Positive
from training.data.mix.entries import Entry
from training.data.sets.rgbd import depth_picture
from training.data.vary.perspective import DepthPicture

UNITS_PER_M = 5000.0
FOCAL_PX = {"freiburg1": (517.3, 516.5), "freiburg2": (520.9, 521.0), "freiburg3": (535.4, 539.2)}
"""fx, fy at 640x480 of the publisher's own calibration."""


def _stamped(path: Path) -> list[tuple[float, str]]:
    """(time_s, file) of a list, in order of time."""
    try:
        rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line[:1] not in ("#", "")]
        return sorted((float(time), name) for time, name in rows)
    except OSError as e:
        raise DataError(f"{path}: not there; expected rgb.txt and depth.txt in each sequence as published") from e
    except ValueError as e:
        raise DataError(f"{path}: expected lines `<timestamp> <file>` ({e}); download the sequence again") from e


def associated(
    colour: list[tuple[float, str]], depth: list[tuple[float, str]], largest_gap_s: float
) -> list[tuple[str, str]]:
    """Pairs of files, nearest in time first, each file once; in order of the colour's time."""
    times = [t for t, _ in depth]
    near = [
        (abs(times[j] - t), i, j)
        for i, (t, _) in enumerate(colour)
        for j in range(bisect_left(times, t - largest_gap_s), bisect_right(times, t + largest_gap_s))
    ]
    taken: dict[int, int] = {}
    used: set[int] = set()
    for _, i, j in sorted(near):
        if i not in taken and j not in used:
            taken[i] = j
            used.add(j)
    return [(colour[i][1], depth[j][1]) for i, j in sorted(taken.items())]


def read(folder: Path, *, every: Count = 10, largest_gap_s: Positive = 0.02) -> list[Entry[DepthPicture]]:
    """One of `every` pairs of each sequence.

    Raises:
        DataError: the folder is laid out otherwise; names what was expected where.
    """
    sequences = [folder] if (folder / "rgb.txt").is_file() else sorted(p.parent for p in folder.glob("*/rgb.txt"))
    if not sequences:
        raise DataError(f"{folder}: expected rgb.txt and depth.txt there or in its sub-folders; unpack the sequences")
    entries = []
    for sequence in sequences:
        camera = re.search(r"freiburg[123]", sequence.name)
        if camera is None:
            raise DataError(f"{sequence}: its camera (freiburg1, 2 or 3) is not in the name; keep the published name")
        pairs = associated(_stamped(sequence / "rgb.txt"), _stamped(sequence / "depth.txt"), largest_gap_s)
        for colour, depth in pairs[::every]:
            load = partial(
                depth_picture, sequence / colour, sequence / depth, FOCAL_PX[camera.group()], units_per_m=UNITS_PER_M
            )
            entries.append(Entry(f"{sequence.name}/{Path(colour).stem}", camera.group(), load))
    return entries
