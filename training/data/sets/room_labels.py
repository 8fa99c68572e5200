"""What the label of every layout data set becomes: an entry that reads its panorama only when it is asked for."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.errors import DataError, GeometryError
from edge.geometry.polygon import contains, counter_clockwise, is_simple
from training.arrays import Array
from training.data.mix.entries import Entry, Part
from training.data.sets.pictures import read_picture
from training.data.vary.panoramic import Hidden, PanoramaRoom

CAMERA_HEIGHT_M = 1.6
"""HorizonNet's convention where nothing else is known."""
_PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"}
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class RoomLabel:
    """A room as labelled: floor corners (N, 2) in the room frame, and where the picture of it lies."""

    name: str
    scene: str
    picture: Path
    polygon_m: Array
    camera_height_m: float
    ceiling_height_m: float
    part: Part | None = None
    hidden: tuple[Hidden, ...] = ()

    @property
    def problem(self) -> str | None:
        """Why no network can learn from this label; None if one can."""
        if not is_simple(self.polygon_m):
            return "its outline crosses itself"
        if not contains(self.polygon_m):
            return "the camera is outside of its outline"
        if not 0 < self.camera_height_m < self.ceiling_height_m:
            return "the camera is not between its floor and its ceiling"
        return None

    def entry(self) -> Entry[PanoramaRoom]:
        """What reads the room.

        Raises:
            DataError: there is no picture.
        """
        if not self.picture.is_file():
            raise DataError(f"{self.name}: no picture {self.picture}; add it or remove the label")
        read = partial(
            read_room,
            self.picture,
            self.polygon_m,
            self.camera_height_m,
            ceiling_height_m=self.ceiling_height_m,
            hidden=self.hidden,
        )
        return Entry(self.name, self.scene, read, self.part)


def read_room(
    picture: Path,
    polygon_m: Array,
    camera_height_m: float,
    ceiling_height_m: float,
    hidden: tuple[Hidden, ...] = (),
) -> PanoramaRoom:
    """The panorama with its room.

    Raises:
        DataError: the picture cannot be read or is no panorama.
    """
    image = read_picture(picture)
    if image.shape[1] != 2 * image.shape[0]:
        raise DataError(
            f"{picture}: a panorama is twice as wide as high, this is {image.shape[1]}x{image.shape[0]}; "
            "replace or remove it"
        )
    return PanoramaRoom(image, polygon_m, camera_height_m, ceiling_height_m, hidden=hidden)


def usable(labels: Iterable[RoomLabel]) -> list[Entry[PanoramaRoom]]:
    """Entries of the labels that describe a room around the camera; how many others there are is logged.

    Publishers' sets hold some labels that cross themselves or do not contain their camera.
    """
    kept, problems = [], []
    for label in labels:
        problem = label.problem
        if problem is None:
            kept.append(label.entry())
        else:
            problems.append(f"{label.name}: {problem}")
    if problems:
        _LOG.warning("%d of %d labels are left out (%s ...)", len(problems), len(kept) + len(problems), problems[0])
    return kept


def outline(corners: npt.ArrayLike) -> Array:
    """Corners (N, 2) of a floor, counter-clockwise.

    Raises:
        DataError: they are not three or more pairs of finite numbers.
    """
    try:
        return counter_clockwise(np.asarray(corners, dtype=np.float64))
    except (GeometryError, TypeError, ValueError) as e:
        raise DataError(f"expected three or more corners of two numbers each ({e})") from e


def files_by_name(folder: Path) -> dict[str, Path]:
    """A folder's pictures by their names without ending; empty where there is no folder.

    Raises:
        DataError: two have one name.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix.lower() in _PICTURES and found.setdefault(path.stem, path) != path:
            raise DataError(f"{path}: {found[path.stem].name} has the same name; remove the one that is not labelled")
    return found


@contextmanager
def reading(path: Path, expected: str) -> Iterator[None]:
    """Whatever is wrong with a label's content becomes one message that names the file and what was expected.

    Raises:
        DataError: it cannot be read, or holds something else than `expected`.
    """
    try:
        yield
    except OSError as e:
        raise DataError(f"{path}: cannot be read ({e.strerror}); expected {expected}") from e
    except DataError as e:
        raise DataError(f"{path}: {e}; expected {expected}; correct or remove it") from e
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as e:
        raise DataError(f"{path}: {type(e).__name__} {e}; expected {expected}; correct or remove it") from e


def json_of(path: Path) -> Any:
    """What a JSON file holds; to be called within `reading`."""
    return json.loads(path.read_text(encoding="utf-8"))


def lines_of(path: Path) -> list[str]:
    """The lines of a text file that are not blank and no comment (#); to be called within `reading`."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]
