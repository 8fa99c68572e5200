"""The message on <camera>/heat_loss: what a room loses at the coldest, of what, how sure that is, what was assumed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edge.mqtt.values import Count, Fraction, Message, Name, NonNegative, Part, Positive, Timestamp, Vector2


class Range(Part):
    """What is exceeded with a chance of 95, 50 and 5 percent, W."""

    p05: float
    p50: float
    p95: float


class HeatElement(Part):
    """One surface. loss_w = area_m2 x (u_w_m2k + thermal_bridge_w_m2k) x difference_k; negative: heat is gained."""

    name: Name
    kind: Literal["wall", "window", "door", "floor", "ceiling"]
    to: Literal["outside", "heated", "unheated", "neighbour", "ground"]
    edge: Count | None = Field(
        description="Number of the polygon's corner at which its wall begins; null: floor, ceiling."
    )
    area_m2: NonNegative
    u_w_m2k: NonNegative
    thermal_bridge_w_m2k: NonNegative
    temperature_c: float | None = Field(description="Behind it, as configured; null: as the method has it.")
    difference_k: float = Field(description="Inside less what is behind it, as the method counts it.")
    loss_w: float
    assumed: bool = Field(description="Whether its U-value, its size or what is behind it was assumed.")


class Influence(Part):
    """How much of the result's variance one input makes: what to measure next."""

    input: Name
    share: Fraction


class HeatInputs(Part):
    """What else it was computed from: with these every number of the message can be computed again."""

    built: int = Field(description="Year, given or assumed.")
    u_table: Name
    dimensions: Literal["internal", "external"]
    infiltration_m3_h: NonNegative
    mechanical_m3_h: NonNegative
    heat_recovery: Fraction = Field(description="Of the mechanical air's heat.")
    building_air_share: Fraction = Field(description="Of the infiltration, in `building`.")
    building_counts_neighbours: bool = Field(description="Whether walls to other homes count in `building`.")
    reheat_w_m2: NonNegative = Field(description="Of `area_m2`.")
    degree_days_k_day: Positive | None
    scop: Positive | None
    camera_height_m: Positive
    confidence: Fraction = Field(description="Of the layout.")
    sigma: dict[str, NonNegative] = Field(
        description="Standard deviation of each uncertain input: relative, but for mean_outside, which is in K."
    )


class BuildingPart(Part):
    """What the room adds to the load of its building: nothing goes from one of its rooms to another."""

    transmission_w: float
    ventilation_w: NonNegative
    total_w: Range


class HeatLossMessage(Message):
    """Heat loss of a room at the design temperature outside, from its layout and the configuration."""

    schema_: Literal["edge.heat_loss/1"] = Field(default="edge.heat_loss/1", alias="schema")
    device: Name
    camera: Name
    layout_frame: Count | None = Field(description="Frame of the layout it was computed from; null: from a file.")
    captured_at: Timestamp
    preset: Name
    method: Name
    room: Name
    inside_c: float
    outside_c: float
    mean_outside_c: float
    polygon_m: Annotated[tuple[Vector2, ...], Field(min_length=3)]
    ceiling_height_m: Positive
    area_m2: Positive
    volume_m3: Positive
    elements: tuple[HeatElement, ...]
    air_changes_per_h: NonNegative = Field(description="Infiltration and mechanical air over the volume.")
    air_heat_wh_m3k: Positive
    transmission_w: NonNegative = Field(description="Sum of the elements, at least 0.")
    ventilation_w: NonNegative
    reheat_w: NonNegative
    sum_w: NonNegative = Field(description="Of these three: the loss if every input is as stated.")
    total_w: Range = Field(description="The loss with the uncertainty of every input.")
    per_m2_w: NonNegative
    plausible: bool = Field(description="Whether per_m2_w is in the range of homes, 10 to 200.")
    annual_kwh: NonNegative | None = Field(description="Heat of a year by degree days; null: these are not known.")
    annual_electricity_kwh: NonNegative | None = Field(
        default=None, description="That heat over `design.scop`; null: one of them is not known."
    )
    building: BuildingPart
    inputs: HeatInputs | None = Field(default=None, description="null: sent by a version that did not tell them.")
    largest: tuple[Influence, ...] = Field(description="Most important first.")
    assumptions: tuple[str, ...]
    disclaimer: Name
