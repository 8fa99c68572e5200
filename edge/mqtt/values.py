"""Kinds of values in messages: numbers with limits, times, names; and what every part of a message is."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MAX_COLUMNS = 1024

Vector2 = Annotated[tuple[float, ...], Field(min_length=2, max_length=2)]
Vector3 = Annotated[tuple[float, ...], Field(min_length=3, max_length=3)]
Plane = Annotated[tuple[float, ...], Field(min_length=4, max_length=4)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Latitude = Annotated[float, Field(ge=-1.5708, le=1.5708)]
Columns = Field(min_length=1, max_length=MAX_COLUMNS)
Timestamp = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$",
        description="RFC 3339, UTC, microseconds.",
        examples=["2026-01-31T12:00:00.000000Z"],
    ),
]
Name = Annotated[str, Field(min_length=1)]


class Part(BaseModel):
    """Base of all: nothing unknown, nothing infinite, nothing changed afterwards."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        populate_by_name=True,
        json_schema_serialization_defaults_required=True,
    )


class Message(Part):
    """A whole payload."""

    def encoded(self) -> bytes:
        """The payload as UTF-8 JSON."""
        return self.model_dump_json(by_alias=True).encode()
