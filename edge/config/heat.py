"""The section of config.yaml about heat."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edge.config.values import Section
from edge.monitor.heat import HeatLimits


class HeatConfig(Section):
    """A machine that is too hot slows itself down, unevenly: before it does, tasks run more rarely, which is said."""

    enabled: bool = Field(default=True, description="run tasks more rarely while the machine is hot")
    hot_celsius: float | None = Field(
        default=None,
        ge=30,
        le=125,
        description="hot from here on, degrees Celsius; null: 5 below where the kernel says that it throttles",
    )
    cool_by_celsius: float = Field(default=8.0, ge=1, le=60, description="cool again so far below hot, degrees Celsius")
    step_s: float = Field(default=30.0, ge=1, le=3600, description="shortest time between two changes of pace, s")
    most_slowdown: Annotated[int, Field(ge=2, le=64)] = Field(
        default=4, description="tasks run at most so many times as rarely"
    )

    def limits(self) -> HeatLimits:
        """The same as plain values."""
        return HeatLimits(
            hot_celsius=self.hot_celsius,
            cool_by_celsius=self.cool_by_celsius,
            step_s=self.step_s,
            most_slowdown=self.most_slowdown,
        )
