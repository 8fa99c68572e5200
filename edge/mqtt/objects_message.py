"""The message on <camera>/objects: what was reconstructed of single things, how sure that is, and where they stand."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edge.mqtt.values import Count, Fraction, Message, Name, Part, Timestamp, Vector2, Vector3
from edge.scene import Scale

Box = Annotated[tuple[Fraction, Fraction, Fraction, Fraction], Field(strict=False)]
Polygon = Annotated[
    tuple[Annotated[tuple[Fraction, Fraction], Field(strict=False)], ...],
    Field(min_length=3, max_length=64, strict=False),
]
Class = Annotated[str, Field(min_length=1, max_length=64)]


class ObjectInRoom(Part):
    """One thing. `size_m`, `position_m` and `yaw_deg` are null unless they are known in metres."""

    name: Name = Field(description="Of its node in the GLB; unique among the camera's.")
    class_: Class | None = Field(alias="class", description="What it was called when it was asked about.")
    box: Box = Field(description="Left, top, right, bottom of its mask, in fractions of the picture's size.")
    confidence: Fraction = Field(
        description="IoU of its mask with that of its mesh as the camera would see it; under 0.5 there is no mesh."
    )
    mesh: bool = Field(description="Whether it is in the GLB on <camera>/objects/model.")
    scale: Scale = Field(description="metric: its size is known; relative: its cube's side is 1.")
    size_m: Vector3 | None = Field(description="Width, depth and height.")
    placement: Literal["floor", "unplaced"]
    position_m: Vector3 | None = Field(description="The middle of its underside, room frame.")
    footprint_m: tuple[Vector2, ...] | None = Field(description="Corners of its box on the floor, in order.")
    yaw_deg: float | None = Field(
        ge=-180, le=180, description="The bearing that its front faces: 0 = forward, positive to the right."
    )
    other_yaw_deg: float | None = Field(
        ge=-180, le=180, description="One that its mask agrees with as well, a quarter turn or more away; null: none."
    )
    note: str = Field(description="Why it has no mesh, size or place; empty if it has all.")
    seen_at: Timestamp

    @model_validator(mode="after")
    def _consistent(self) -> ObjectInRoom:
        placed = self.placement == "floor"
        if placed != (self.position_m is not None) or placed != (self.yaw_deg is not None):
            raise ValueError("what stands on the floor has a position and a yaw, and nothing else has")
        if (self.scale == "metric") != (self.size_m is not None):
            raise ValueError(f"scale is {self.scale!r}: only what is metric has a size in metres")
        return self


class ObjectsMessage(Message):
    """All things that were reconstructed of what a camera sees, newest last."""

    schema_: Literal["edge.objects/1"] = Field(default="edge.objects/1", alias="schema")
    device: Name
    camera: Name
    at: Timestamp = Field(description="Of the newest picture that one was asked about in.")
    model: Name = Field(description="The network's name.")
    sha256: str = Field(pattern=r"^[0-9a-f]{12}$", description="First 12 digits of its ONNX file's SHA-256.")
    count: Count = Field(description="Of those with a mesh.")
    objects: tuple[ObjectInRoom, ...]
