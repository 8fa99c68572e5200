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

from edge.errors import DataError
from training.config.values import Count
from training.data.mix.entries import Entry, Part
from training.data.sets.rgbd import depth_picture
from training.data.vary.perspective import DepthPicture

FOCAL_PX = (585.0, 585.0)
UNKNOWN = 65535


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


def read(folder: Path, *, every: Count = 10) -> list[Entry[DepthPicture]]:
    """One of `every` frames of each sequence.

    Raises:
        DataError: the folder is laid out otherwise; names what was expected where.
    """
    sequences = sorted(folder.glob("*/seq-??"))
    if not sequences:
        raise DataError(f"{folder}: expected <scene>/seq-NN/frame-NNNNNN.color.png; unpack the scenes' inner zips too")
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
