"""The part of `bridge/health` that is about the machine."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edge.mqtt.values import Count, Fraction, Part


class MachineHealth(Part):
    """The machine, as the kernel shows it; null is what it does not show."""

    model: str | None
    temperatures_celsius: dict[str, float] = Field(description="By the kernel's name of the zone.")
    throttling: tuple[str, ...] = Field(description="What the kernel slows down or switches off now because of heat.")
    overcurrent_events: Count | None = Field(description="Since the machine started; Jetson.")
    power_mode: str | None = Field(description="As nvpmodel names it, e.g. `MODE_30W`; Jetson.")
    gpu_load: Fraction | None = Field(description="Jetson.")
    memory_total_bytes: Count | None
    memory_available_bytes: Count | None
    slowdown: Annotated[int, Field(ge=1)] = Field(description="Every task runs so many times as rarely, for the heat.")
