"""A room as every format writes it: its shape, its openings, its light, and the picture on its walls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edge.derive.mesh import Array, Edge, Surface, outline, room_surfaces
from edge.derive.objects import standing
from edge.derive.openings import Opening, openings_of
from edge.derive.texture import Texture, paint
from edge.geometry.panorama import longitudes
from edge.geometry.polygon import area_m2, counter_clockwise, wall_distances
from edge.geometry.view import lens, rotation
from edge.scene import BoolArray, CameraModel, FoundObject, ImageArray, Lighting, RoomLayout, Scale

Unit = Literal["m", "camera_heights"]


@dataclass(frozen=True, slots=True)
class View:
    """Where the camera is, which way it looks, and how wide."""

    projection: str
    rotation: Array
    """(3, 3) room vectors from camera (OpenCV) vectors."""
    height: float
    vfov_rad: float | None = None
    """Of a perspective camera."""
    aspect: float | None = None
    """Width over height of its picture."""


@dataclass(frozen=True, slots=True)
class RoomModel:
    """A room with everything that is known of it. Lengths are in `unit`, in the room frame."""

    polygon: Array
    """(N, 2) counter-clockwise seen from above; no two corners are the same."""
    ceiling_height: float
    scale: Scale
    extent: Literal["room", "visible"]
    view: View
    openings: tuple[Opening, ...] = ()
    lighting: Lighting | None = None
    texture: Texture | None = None
    confidence: float | None = None
    wall_confidence: tuple[float | None, ...] = ()
    """Of each wall, in order; None where the camera does not see it, or nothing is known."""
    about: dict[str, Any] = field(default_factory=dict)
    """Of which device, camera and frame, when, by which model, fitted how: as the messages say it."""
    objects: tuple[FoundObject, ...] = ()
    """What stands in it; none where its size is not known in metres."""

    @property
    def unit(self) -> Unit:
        """What a length of 1 is."""
        return "m" if self.scale == "metric" else "camera_heights"

    @property
    def edges(self) -> list[Edge]:
        """The sides of the outline."""
        return outline(self.polygon, self.extent)

    @property
    def walls(self) -> list[Edge]:
        """The sides that are walls."""
        return [edge for edge in self.edges if not edge.cut]

    @property
    def surfaces(self) -> tuple[Surface, ...]:
        """Floor, ceiling and sides.

        Raises:
            GeometryError: the outline is none of a room.
        """
        return room_surfaces(self.polygon, self.ceiling_height, self.extent)

    @property
    def area(self) -> float:
        """Of the floor, in the square of the unit."""
        return area_m2(self.polygon)

    @property
    def volume(self) -> float:
        """In the cube of the unit."""
        return self.area * self.ceiling_height

    @property
    def camera(self) -> str:
        """The camera's name; "room" where none is known."""
        return str(self.about.get("camera") or "room")

    def confidence_of(self, edge: Edge) -> float | None:
        """How sure the layout is of a wall, 0..1."""
        return None if edge.cut or edge.index >= len(self.wall_confidence) else self.wall_confidence[edge.index]


def wall_confidences(layout: RoomLayout) -> tuple[float | None, ...]:
    """Of each wall, the mean confidence of the panorama columns that show it; None where none does."""
    edges = outline(layout.polygon_m, layout.extent)
    at = longitudes(len(layout.column_confidence))
    corners = np.array([edge.start for edge in edges])
    reach = wall_distances(corners, at)
    seen: npt.NDArray[np.bool_] = np.isfinite(reach) & (layout.column_confidence > 0)
    reach = np.where(seen, reach, 0.0)
    points = np.stack([np.sin(at), np.cos(at)], axis=-1) * reach[:, None]
    found: list[float | None] = []
    for edge in edges:
        if edge.cut:
            continue
        away = points - edge.start
        along = away @ (edge.end - edge.start) / edge.length**2
        on = seen & (np.abs(away @ edge.inwards) < 1e-6 * (1 + reach)) & (along >= 0) & (along <= 1)
        found.append(round(float(layout.column_confidence[on].mean()), 4) if on.any() else None)
    return tuple(found)


def view_of(camera: CameraModel, height: float, image_wh: tuple[int, int]) -> View:
    """The camera's view for a picture of that size.

    Raises:
        GeometryError: a perspective camera whose lens is not known, or does not fit the picture.
    """
    width, tall = image_wh
    vfov_rad: float | None = None
    if camera.projection == "perspective":
        vfov_rad = float(2 * np.arctan(tall / 2 / lens(camera, width, tall).fy_px))
    return View(camera.projection, rotation(camera), height, vfov_rad, width / tall)


def model_of(
    layout: RoomLayout,
    camera: CameraModel,
    image: ImageArray,
    *,
    lighting: Lighting | None = None,
    textured: bool = True,
    hidden: BoolArray | None = None,
    max_bytes: int = 2_000_000,
    about: dict[str, Any] | None = None,
    objects: Sequence[FoundObject] = (),
) -> RoomModel:
    """The model of a room that was inferred from `image`.

    Args:
        layout: the room.
        camera: its lens, how it hangs, and the openings that are known.
        image: what it saw.
        lighting: the room's light, if it is known.
        textured: whether the picture is laid on the walls.
        hidden: (H, W) True where the picture was painted over.
        max_bytes: of the texture.
        about: see `RoomModel`.
        objects: what the camera sees; those with a place stand in the room.

    Raises:
        GeometryError: the layout is no room that can be built.
    """
    polygon = np.array([edge.start for edge in outline(counter_clockwise(layout.polygon_m), layout.extent)])
    surfaces = room_surfaces(polygon, layout.ceiling_height_m, layout.extent)
    height = layout.camera_height_m
    texture = paint(surfaces, polygon, height, image, camera, hidden=hidden, max_bytes=max_bytes) if textured else None
    return RoomModel(
        polygon,
        layout.ceiling_height_m,
        layout.scale,
        layout.extent,
        view_of(camera, height, (image.shape[1], image.shape[0])),
        openings_of(layout, camera.openings),
        lighting,
        texture,
        round(layout.confidence, 4),
        wall_confidences(layout),
        {"fit": layout.fit, "fit_reason": layout.fit_reason} | (about or {}),
        standing(objects) if layout.scale == "metric" else (),
    )
