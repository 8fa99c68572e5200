"""The message on <camera>/drift: whether what a camera sees has changed, and whether its networks know such."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edge.mqtt.values import Count, Fraction, Message, Name, NonNegative, Part, Timestamp


class DriftFeature(Part):
    """What became of one feature since the camera's first days."""

    shift_sigma: float = Field(description="Of the last day's median, in standard deviations of the baseline.")
    slow_sigma: NonNegative = Field(description="Sum of the days' shifts beyond a quarter: drift that no day shows.")
    psi: NonNegative = Field(description="Population stability index of the last day.")
    p: Fraction = Field(description="How likely such a day is by chance.")
    changed: bool


class OutsideFeature(Part):
    """A feature that lies where the pictures a network was proved on hardly ever are."""

    side: Literal["below", "above"]
    rank: Fraction = Field(description="Share of those pictures below the last day's median.")
    share: Fraction = Field(description="Of the last day's samples that lie out there.")
    p: Fraction = Field(description="How likely one more room is as far out, of as many rooms as are known.")
    remedy: str | None


class TrainingRooms(Part):
    """What `out_of_training` is judged by: the reference in the manifest of the first task that has one."""

    rooms: Count = Field(description="How many rooms or places are known.")
    between_rooms: bool = Field(
        description="Whether how rooms differ was measured; else the spread of all pictures stands for it, which is "
        "larger, so that less is told."
    )
    p: Fraction | None = Field(
        description="How likely one more room has all features as they are together; null: that is not known, or there "
        "is no whole day yet."
    )


class DriftMessage(Message):
    """How a camera's last day compares with its first ones. `learning`: these are not over yet."""

    schema_: Literal["edge.drift/1"] = Field(default="edge.drift/1", alias="schema")
    device: Name
    camera: Name
    at: Timestamp
    state: Literal["learning", "ok", "suspect", "drifting"]
    since: Timestamp
    samples: Count = Field(description="Of the last day, one in ten minutes.")
    baseline_since: Timestamp
    features: dict[str, DriftFeature]
    out_of_training: bool
    outside: dict[str, OutsideFeature]
    together: tuple[Name, ...] = Field(
        default=(), description="Features that do not go together as in known rooms, the first least; else none."
    )
    known: TrainingRooms | None = Field(
        default=None,
        description="null: no model of the camera has a reference, so nothing is told of unknown pictures.",
    )
