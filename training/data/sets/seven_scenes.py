"""7-Scenes (Shotton et al. 2013).

`<scene>/seq-NN/frame-NNNNNN.color.png` and `.depth.png` (16 bit, mm, 65535 = unknown), and `TrainSplit.txt` and
`TestSplit.txt` in the scene's folder with a line `sequenceN` each. The publisher gives one lens for the depth camera
(585 px, centre 320 240) and did not register colour to it: edges are some pixels off.

The publisher's split is made for relocalisation: each room is in both of its parts.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np

from edge.errors import DataError
from training.config.values import Count
from training.data.mix.entries import Entry, Part
from training.data.motion.footage import Footage
from training.data.sets.rgbd import depth_picture
from training.data.sets.video import MOST_FRAMES, frames_of
from training.data.vary.perspective import DepthPicture

FOCAL_PX = (585.0, 585.0)
UNKNOWN = 65535
COLOUR_LENS_PX = (525.0, 525.0, 320.0, 240.0)
"""Of the colour camera, which the publisher does not give: a Kinect's nominal one."""


def _parts(scene: Path) -> dict[str, Part]:
    """By sequence folder, what the scene's two files say."""
    out: dict[str, Part] = {}
    files: tuple[tuple[str, Part], ...] = (("TrainSplit.txt", "train"), ("TestSplit.txt", "test"))
    for name, part in files:
        path = scene / name
        if not path.is_file():
            raise DataError(f"{path}: not there; expected <scene>/TrainSplit.txt and TestSplit.txt beside the seq-NN/")
        for word in path.read_text(encoding="utf-8").split():
            number = re.fullmatch(r"sequence(\d+)", word)
            if number is None:
                raise DataError(f"{path}: expected lines like sequence1, got {word!r}; download it as published")
            out[f"seq-{int(number.group(1)):02d}"] = part
    return out


def _sequences(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*/seq-??"))
    if not found:
        raise DataError(f"{folder}: expected <scene>/seq-NN/frame-NNNNNN.color.png; unpack the scenes' inner zips too")
    return found


def read(folder: Path, *, every: Count = 10) -> list[Entry[DepthPicture]]:
    """One of `every` frames of each sequence.

    Raises:
        DataError: the folder is laid out otherwise; names what was expected where.
    """
    sequences = _sequences(folder)
    entries = []
    parts = {scene: _parts(scene) for scene in sorted({s.parent for s in sequences})}
    for sequence in sequences:
        scene = sequence.parent
        for colour in sorted(sequence.glob("frame-*.color.png"))[::every]:
            depth = colour.with_name(colour.name.replace(".color.", ".depth."))
            if not depth.is_file():
                raise DataError(f"{depth}: not there, but its picture is; unpack {sequence.name} again")
            load = partial(depth_picture, colour, depth, FOCAL_PX, unknown=UNKNOWN)
            frame = colour.name.split(".")[0]
            name = f"{scene.name}/{sequence.name}/{frame}"
            entries.append(Entry(name, scene.name, load, parts[scene].get(sequence.name)))
    return entries


def _footage(sequence: Path, every: int, poses: bool) -> Footage:
    paths = sorted(sequence.glob("frame-*.color.png"))[::every][:MOST_FRAMES]
    T = None
    if poses:
        files = [p.with_name(p.name.replace(".color.png", ".pose.txt")) for p in paths]
        try:
            T = np.stack([np.loadtxt(file).reshape(4, 4) for file in files])
        except (OSError, ValueError) as e:
            raise DataError(f"{sequence}: expected a 4x4 frame-NNNNNN.pose.txt a frame ({e}); unpack it again") from e
    name = f"{sequence.parent.name}/{sequence.name}"
    return Footage(name, partial(frames_of, paths), COLOUR_LENS_PX, 30.0 / every, T)


def footage(folder: Path, *, every: Count = 3, poses: bool = False) -> list[Entry[Footage]]:
    """The sequences as footage, of every so many frames; with `poses` the publisher's, in metres.

    Raises:
        DataError: the folder is laid out otherwise; names what was expected where.
    """
    return [
        Entry(f"{s.parent.name}/{s.name}", s.parent.name, partial(_footage, s, every, poses))
        for s in _sequences(folder)
    ]
