"""ScanNet v2 (Dai et al. 2017), exported by its SensReader.

`scans/<scene>/color/<n>.jpg`, `depth/<n>.png` (16 bit, mm) and `intrinsic/intrinsic_color.txt` (4x4), the scenes also
directly in the folder; beside them, where the split is to be the publisher's, `scannetv2_{train,val,test}.txt`.
A scene is called `sceneNNNN_MM`: scan MM of place NNNN.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from edge.errors import DataError
from training.config.values import Count
from training.data.mix.entries import PARTS, Entry, Part
from training.data.sets.rgbd import depth_picture, matrix_file
from training.data.vary.perspective import DepthPicture


def _parts(folder: Path) -> dict[str, Part]:
    """By scene, what the publisher's lists say."""
    out: dict[str, Part] = {}
    for part in PARTS:
        path = folder / f"scannetv2_{part}.txt"
        if path.is_file():
            out |= {scene: part for scene in path.read_text(encoding="utf-8").split()}
    return out


def _frames(scene: Path, every: int) -> list[tuple[Path, Path]]:
    pairs = []
    for colour in sorted((scene / "color").glob("*.jpg"), key=lambda p: (len(p.stem), p.stem))[::every]:
        depth = scene / "depth" / f"{colour.stem}.png"
        if not depth.is_file():
            raise DataError(f"{depth}: not there, but its picture is; export the scan with --export_depth_images")
        pairs.append((colour, depth))
    if not pairs:
        raise DataError(f"{scene}: expected color/<n>.jpg there; export the scan with --export_color_images")
    return pairs


def read(folder: Path, *, every: Count = 20) -> list[Entry[DepthPicture]]:
    """One of `every` frames of each scan.

    Raises:
        DataError: the folder is laid out otherwise; names what was expected where.
    """
    root = folder / "scans" if (folder / "scans").is_dir() else folder
    scans = sorted(p for p in root.glob("scene????_??") if p.is_dir())
    if not scans:
        raise DataError(f"{folder}: expected scans/sceneNNNN_MM/ as SensReader exports them; give the folder above")
    parts = _parts(folder)
    entries = []
    for scan in scans:
        focal_px = matrix_file(scan / "intrinsic" / "intrinsic_color.txt", 4)[:2]
        for colour, depth in _frames(scan, every):
            load = partial(depth_picture, colour, depth, focal_px)
            place = scan.name.split("_")[0]
            entries.append(Entry(f"{scan.name}/{colour.stem}", place, load, parts.get(scan.name)))
    return entries
