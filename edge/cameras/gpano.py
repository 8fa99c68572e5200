"""What a panorama says of itself: Google's Photo Sphere metadata (XMP, GPano), as 360 degree cameras write into stills.

It names the part of the sphere that the picture covers, and how the camera was held: heading from north, pitch above
the horizon, and roll, with which the horizon turns counter-clockwise in the picture. Both are undone, so that a picture
with metadata gives a level panorama whose middle is north (if there is a heading), with a mask where it is only a part.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from edge.cameras.base import View
from edge.cameras.composer import Composer
from edge.errors import ImageError
from edge.scene import BoolArray, CameraModel, ImageArray, PanoramaPart

_WITHIN_BYTES = 1 << 20
_KEY = re.compile(rb"""GPano:(\w+)(?:\s*=\s*["']([^"'<>]{0,64})["']|\s*>([^<]{0,64})</GPano:)""")
_PART = ("FullPanoWidthPixels", "FullPanoHeightPixels", "CroppedAreaImageWidthPixels", "CroppedAreaImageHeightPixels")
_CORNER = ("CroppedAreaLeftPixels", "CroppedAreaTopPixels")
_POSE = ("PoseHeadingDegrees", "PosePitchDegrees", "PoseRollDegrees")
_REMEDY = "Correct or remove it (`exiftool -XMP-GPano:all= picture.jpg`), or set gpano: false"
_WHOLE_PX = 1.0


@dataclass(frozen=True, slots=True)
class Sphere:
    """Which part of the sphere a picture is, and how its camera was held."""

    part: PanoramaPart | None = None
    """None: the whole sphere."""
    heading_rad: float = 0.0
    pitch_rad: float = 0.0
    roll_rad: float = 0.0


def sphere_of(data: bytes) -> Sphere | None:
    """What a picture file says of itself; None: nothing, or that it is a level whole sphere.

    Raises:
        ImageError: what it says cannot be, or it is no equirectangular picture.
    """
    head = data[:_WITHIN_BYTES]
    if b"GPano:" not in head:
        return None
    said = {key.decode(): (one or other).decode("ascii", "replace").strip() for key, one, other in _KEY.findall(head)}
    projection = said.get("ProjectionType", "equirectangular")
    if projection.lower() != "equirectangular":
        raise ImageError(f"says that its projection is {projection}, which is not read. Export it as equirectangular")
    heading, pitch, roll = (math.radians(_number(said, key, 0.0)) for key in _POSE)
    found = Sphere(_part_of(said), heading, pitch, roll)
    return None if found == Sphere() else found


def _number(said: dict[str, str], key: str, default: float) -> float:
    try:
        value = float(said.get(key, default))
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or abs(value) > 1e6:
        raise ImageError(f"says {key} {said[key]!r} of itself, which is no number. {_REMEDY}")
    return value


def _part_of(said: dict[str, str]) -> PanoramaPart | None:
    if not all(key in said for key in _PART):
        return None
    full_w, full_h, width, height = (_number(said, key, 0.0) for key in _PART)
    left, top = (_number(said, key, 0.0) for key in _CORNER)
    inside = left >= 0 and top >= 0 and left + width <= full_w + _WHOLE_PX and top + height <= full_h + _WHOLE_PX
    if not (inside and width > 0 and height > 0 and full_h >= 1 and abs(full_w / full_h - 2) < 0.02):
        raise ImageError(
            f"says that it is {width:g}x{height:g} px at {left:g}, {top:g} of a sphere of {full_w:g}x{full_h:g}, which "
            f"cannot be. {_REMEDY}"
        )
    if width >= full_w - _WHOLE_PX and height >= full_h - _WHOLE_PX:
        return None
    across, up = 2 * math.pi / full_w, math.pi / full_h
    start = left * across - math.pi
    return PanoramaPart(start, start + min(width, full_w) * across, _latitude(top + height, up), _latitude(top, up))


def _latitude(row: float, per_px: float) -> float:
    return max(math.pi / 2 - row * per_px, -math.pi / 2)


class Leveller:
    """Lays pictures with metadata into level panoramas; the tables are made once for those that say the same."""

    def __init__(self) -> None:
        self._sphere: Sphere | None = None
        self._composer: Composer | None = None

    def level(self, image: ImageArray, data: bytes) -> tuple[ImageArray, BoolArray | None]:
        """The picture as its file's metadata say it lies on the sphere, and what of that is seen; None: all.

        Raises:
            ImageError: see `sphere_of`.
        """
        sphere = sphere_of(data)
        if sphere is None:
            return image, None
        if self._composer is None or sphere != self._sphere:
            model = CameraModel(
                "equirectangular",
                part=sphere.part,
                yaw_rad=sphere.heading_rad,
                pitch_rad=sphere.pitch_rad,
                roll_rad=sphere.roll_rad,
            )
            self._sphere, self._composer = sphere, Composer([[View(model)]], match_exposure=False)
        return self._composer.compose([image], 0.0)
