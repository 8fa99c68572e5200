"""The message on <base>/home/<name>: rooms placed beside each other as one home, and what they come to together."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edge.mqtt.values import Count, Fraction, Message, Name, NonNegative, Part, Positive, Timestamp, Vector2
from edge.scene import OpeningKind, OpeningSource

MOST_ROOMS = 60
HomeName = Annotated[
    str, Field(min_length=1, max_length=60, pattern=r"^[^/+#$\x00-\x1f\x7f]+$", description="A part of its topic.")
]
_Pair = Annotated[tuple[Count, ...], Field(min_length=2, max_length=2)]
_Place = Annotated[float, Field(ge=-1000, le=1000)]


class HomeOpening(Part):
    """A door, a window or a passage; `start_m` is its right end, seen from inside, in the room's own axes."""

    kind: OpeningKind
    wall: Count = Field(description="Which side of the polygon it is in, from corner `wall` to the next.")
    start_m: Vector2
    end_m: Vector2
    sill_m: NonNegative | None
    height_m: Positive | None
    source: OpeningSource


class HomeRoom(Part):
    """A room as it was when it was added, and where its camera is in the home (x right, y up on the plan)."""

    name: Annotated[str, Field(min_length=1, max_length=60)]
    device: Name
    camera: Name
    captured_at: Timestamp | None
    x_m: _Place
    y_m: _Place
    turn_deg: float = Field(ge=-180, le=180, description="Counter-clockwise, seen from above.")
    polygon_m: Annotated[tuple[Vector2, ...], Field(min_length=3, max_length=1024)] = Field(
        description="Counter-clockwise, in the room's own axes: the camera at [0, 0], y forward."
    )
    extent: Literal["room", "visible"]
    ceiling_height_m: Positive
    camera_height_m: Positive
    confidence: Fraction | None
    openings: tuple[HomeOpening, ...]
    area_m2: NonNegative


class HomeOverlap(Part):
    """Two rooms whose floors lie over each other: one of them is placed or measured wrongly."""

    rooms: _Pair
    area_m2: Positive


class HomeSharedWall(Part):
    """A wall between two rooms."""

    rooms: _Pair
    walls: _Pair = Field(description="Which of each room's walls.")
    length_m: Positive
    gap_m: float = Field(description="Between its two faces as they are placed.")


class HomePassage(Part):
    """A door or opening that two rooms share."""

    rooms: _Pair
    openings: _Pair
    width_m: Positive


class HomeMessage(Message):
    """A home. Rooms are where a person placed them; how thick walls between them are is assumed, not measured."""

    schema_: Literal["edge.home/1"] = Field(default="edge.home/1", alias="schema")
    name: HomeName
    saved_at: Timestamp
    wall_thickness_m: float = Field(ge=0, le=1, description="Assumed where rooms are snapped together.")
    rooms: Annotated[tuple[HomeRoom, ...], Field(max_length=MOST_ROOMS)]
    area_m2: NonNegative = Field(description="Of all floors together; what two rooms cover counts once.")
    rooms_area_m2: NonNegative = Field(description="Sum of the rooms' own.")
    volume_m3: NonNegative
    overlaps: tuple[HomeOverlap, ...]
    shared_walls: tuple[HomeSharedWall, ...]
    passages: tuple[HomePassage, ...]
