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

import numpy as np
from scipy.spatial.transform import Rotation

from edge.errors import DataError
from training.arrays import Array, Lens
from training.config.values import Count, Positive
from training.data.mix.entries import Entry
from training.data.motion.footage import Footage
from training.data.sets.rgbd import depth_picture
from training.data.sets.video import MOST_FRAMES, frames_of
from training.data.vary.perspective import DepthPicture

UNITS_PER_M = 5000.0
FOCAL_PX = {"freiburg1": (517.3, 516.5), "freiburg2": (520.9, 521.0), "freiburg3": (535.4, 539.2)}
"""fx, fy at 640x480 of the publisher's own calibration."""
CENTRE_PX = {"freiburg1": (318.6, 255.3), "freiburg2": (325.1, 249.7), "freiburg3": (320.1, 247.6)}
_LARGEST_POSE_GAP_S = 0.02


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


def _sequences(folder: Path) -> list[tuple[Path, str]]:
    """Sequences, and the camera of each."""
    found = [folder] if (folder / "rgb.txt").is_file() else sorted(p.parent for p in folder.glob("*/rgb.txt"))
    if not found:
        raise DataError(f"{folder}: expected rgb.txt and depth.txt there or in its sub-folders; unpack the sequences")
    out = []
    for sequence in found:
        camera = re.search(r"freiburg[123]", sequence.name)
        if camera is None:
            raise DataError(f"{sequence}: its camera (freiburg1, 2 or 3) is not in the name; keep the published name")
        out.append((sequence, camera.group()))
    return out


def read(folder: Path, *, every: Count = 10, largest_gap_s: Positive = 0.02) -> list[Entry[DepthPicture]]:
    """One of `every` pairs of each sequence.

    Raises:
        DataError: the folder is laid out otherwise; names what was expected where.
    """
    entries = []
    for sequence, camera in _sequences(folder):
        pairs = associated(_stamped(sequence / "rgb.txt"), _stamped(sequence / "depth.txt"), largest_gap_s)
        for colour, depth in pairs[::every]:
            load = partial(
                depth_picture, sequence / colour, sequence / depth, FOCAL_PX[camera], units_per_m=UNITS_PER_M
            )
            entries.append(Entry(f"{sequence.name}/{Path(colour).stem}", camera, load))
    return entries


def _poses(path: Path, times: list[float]) -> tuple[Array, list[bool]]:
    """World from camera (N, 4, 4) nearest in time to each picture, and whether one is near enough."""
    try:
        rows = np.loadtxt(path, ndmin=2)
    except (OSError, ValueError) as e:
        raise DataError(f"{path}: expected lines `time tx ty tz qx qy qz qw` ({e}); unpack the sequence again") from e
    if rows.shape[1] != 8:
        raise DataError(f"{path}: expected 8 numbers a line, got {rows.shape[1]}; unpack the sequence again")
    nearest = np.abs(rows[:, :1] - np.asarray(times)).argmin(axis=0)
    T = np.tile(np.eye(4), (len(times), 1, 1))
    T[:, :3, :3] = Rotation.from_quat(rows[nearest, 4:]).as_matrix()
    T[:, :3, 3] = rows[nearest, 1:4]
    return T, (np.abs(rows[nearest, 0] - times) < _LARGEST_POSE_GAP_S).tolist()


def _footage(sequence: Path, camera: str, every: int, poses: bool) -> Footage:
    stamped = _stamped(sequence / "rgb.txt")[::every][:MOST_FRAMES]
    lens: Lens = (*FOCAL_PX[camera], *CENTRE_PX[camera])
    T = None
    if poses:
        T, near = _poses(sequence / "groundtruth.txt", [time for time, _ in stamped])
        stamped = [s for s, known in zip(stamped, near, strict=True) if known]
        T = T[np.array(near)]
    paths = [sequence / name for _, name in stamped]
    apart_s = float(np.median(np.diff([time for time, _ in stamped]))) if len(stamped) > 1 else 1.0
    return Footage(sequence.name, partial(frames_of, paths), lens, 1 / max(apart_s, 1e-3), T)


def footage(folder: Path, *, every: Count = 3, poses: bool = False) -> list[Entry[Footage]]:
    """The sequences as footage, of every so many frames; with `poses` those of groundtruth.txt, in metres.

    Raises:
        DataError: the folder is laid out otherwise; names what was expected where.
    """
    return [
        Entry(sequence.name, camera, partial(_footage, sequence, camera, every, poses))
        for sequence, camera in _sequences(folder)
    ]
