"""What a calibration finds of a lens, of any kind, and whether it is to be believed."""

from __future__ import annotations

from dataclasses import dataclass

from edge.scene import Fisheye, Intrinsics

FEWEST_VIEWS = 4
_WORST_LEFT_PX = 1.0
_WORST_FOCAL = 0.005
_LEAST_COVERED = {Intrinsics: 0.35, Fisheye: 0.7}
_WORST_PICTURE_PX = 2.0


@dataclass(frozen=True, slots=True)
class LensFound:
    """A lens, and how well it is known: one standard deviation."""

    lens: Intrinsics | Fisheye
    focal_error: float
    """Of 1."""
    left_px: float
    """By how much the corners miss: root mean square."""
    dropped: tuple[int, ...]
    """Views whose corners did not fit the others', by their place in what was given."""
    covered: float
    """Share that corners were seen over: of a perspective picture's area, of a fisheye's angle from its axis."""
    picture_error_px: float | None = None
    """Of a fisheye: by how much a direction's place in the picture is uncertain, over the directions seen."""


def doubts(found: LensFound) -> list[str]:
    """Why a lens is not to be believed, each with what to do; none where it is."""
    said = []
    if found.left_px > _WORST_LEFT_PX:
        said.append(
            f"corners miss their places by {found.left_px:.1f} px: hold the board still, and glue it to something flat"
        )
    if found.focal_error > _WORST_FOCAL:
        said.append(
            f"the focal length is known to {found.focal_error:.1%} only: take more pictures, with the board nearer and "
            "tilted to another side in each"
        )
    if found.picture_error_px is not None and found.picture_error_px > _WORST_PICTURE_PX:
        said.append(
            f"directions are known to {found.picture_error_px:.1f} px only: take more pictures, with the board nearer"
        )
    if found.covered < _LEAST_COVERED[type(found.lens)]:
        where = "of the way to the circle's rim" if isinstance(found.lens, Fisheye) else "of the picture"
        said.append(
            f"the board was seen over {found.covered:.0%} {where} only: hold it into the corners as well, where "
            "lenses distort most"
        )
    return said
