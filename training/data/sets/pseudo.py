"""Pseudo-labels: what teachers say of unlabelled pictures, kept in files.

A folder holds one .npz a picture: `noun` (layout, depth or lighting), `picture` (the bytes of a PNG), the noun's
labels, and `origin` (JSON: which picture, which teachers with the sha256 of their files, which commit). Layout and
lighting pictures are panoramas, those of a perspective camera laid into one, black where `mask` is False:

    layout    edges_rad (2, W) positive down, edge_weight (2, W), corners (1, W), corner_weight (1, W); mask (H, W)
    depth     depth_m (H, W) float16, z, 0 = unknown; focal_px (2,)
    lighting  coefficients (9, 3) in units of the picture's white; mask (H, W)
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from edge.errors import DataError
from edge.scene import BoolArray, ImageArray
from training.arrays import Floats

Number = TypeVar("Number", np.float32, np.float64)


@dataclass(frozen=True)
class PseudoLayout:
    """A panorama, its edges (2, W) and corners (1, W) with weights 0..1, and where it was seen."""

    image: ImageArray
    edges_rad: Floats
    edge_weight: Floats
    corners: Floats
    corner_weight: Floats
    mask: BoolArray


def at_columns(labels: npt.NDArray[Number], columns: int) -> npt.NDArray[Number]:
    """Labels (..., w) at another number of columns, nearest."""
    return labels[..., (np.arange(columns) * 2 + 1) * labels.shape[-1] // (2 * columns)]


@dataclass(frozen=True)
class PseudoDepth:
    """A perspective picture, z-depth (0 = unknown) and its focal lengths (2,)."""

    image: ImageArray
    depth_m: Floats
    focal_px: Floats


@dataclass(frozen=True)
class PseudoLighting:
    """A panorama, the light around it (9, 3), and where it was seen."""

    image: ImageArray
    coefficients: Floats
    mask: BoolArray


Pseudo = PseudoLayout | PseudoDepth | PseudoLighting
_NOUNS: dict[str, type[Pseudo]] = {"layout": PseudoLayout, "depth": PseudoDepth, "lighting": PseudoLighting}


def noun_of(pseudo: Pseudo) -> str:
    """The noun that a label is of: layout, depth or lighting."""
    return next(noun for noun, kind in _NOUNS.items() if isinstance(pseudo, kind))


def write_pseudo(path: Path, pseudo: Pseudo, origin: dict[str, Any]) -> None:
    """Write one file; it appears whole, by a rename.

    Raises:
        DataError: it cannot be written.
    """
    arrays = {f.name: getattr(pseudo, f.name) for f in fields(pseudo) if f.name != "image"}
    if "depth_m" in arrays:
        arrays["depth_m"] = arrays["depth_m"].astype(np.float16)
    packed = cv2.imencode(".png", pseudo.image[..., ::-1])[1]
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            np.savez_compressed(file, noun=noun_of(pseudo), picture=packed, origin=json.dumps(origin), **arrays)
        os.replace(part, path)
    except OSError as e:
        raise DataError(f"{path}: cannot be written ({e.strerror}); choose a folder that can") from e


def read_pseudo(path: Path) -> tuple[Pseudo, dict[str, Any]]:
    """One file's picture with its labels, and their origin.

    Raises:
        DataError: no such file of ours.
    """
    try:
        with path.open("rb") as file, np.load(file) as z:
            kind = _NOUNS[str(z["noun"])]
            arrays = {f.name: z[f.name] for f in fields(kind) if f.name != "image"}
            image = cv2.imdecode(z["picture"], cv2.IMREAD_COLOR)
            origin = json.loads(str(z["origin"]))
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as e:
        raise DataError(f"{path}: no pseudo-labels ({e}); write them with `edge-train distill label`") from e
    if image is None:
        raise DataError(f"{path}: its picture is damaged; write it again with `edge-train distill label`")
    given = {k: a.astype(np.float32) if a.dtype == np.float16 else a for k, a in arrays.items()}
    return kind(image=np.ascontiguousarray(image[..., ::-1], np.uint8), **given), origin


def read_all(folder: Path, noun: str) -> tuple[list[Pseudo], list[str]]:
    """Every picture of a folder with labels of that noun that say something, and the names of its teachers' files.

    Raises:
        DataError: there is none with anything known, so there is nothing to learn.
    """
    found = [read for path in sorted(folder.glob("*.npz")) if noun_of((read := read_pseudo(path))[0]) == noun]
    known = [(pseudo, origin) for pseudo, origin in found if _says_something(pseudo)]
    if not known:
        raise DataError(
            f"{folder}: {len(found)} pictures with pseudo-labels of {noun}, and none of them says anything; label "
            "more or other pictures with `edge-train distill label`, or drop --pseudo"
        )
    return [pseudo for pseudo, _ in known], sorted({t for _, origin in known for t in origin.get("teachers", ())})


def _says_something(pseudo: Pseudo) -> bool:
    if isinstance(pseudo, PseudoLayout):
        return bool((pseudo.edge_weight > 0).any())
    return bool((pseudo.depth_m > 0).any()) if isinstance(pseudo, PseudoDepth) else True
