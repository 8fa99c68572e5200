"""The sections of config.yaml for the model of a room: what goes into it, and a camera's doors and windows."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field, model_validator

from edge.config.values import Positive, Section, problem
from edge.scene import OpeningInView, OpeningKind

_Bearing = Annotated[float, Field(ge=-360, le=360)]


class SceneConfig(Section):
    """The room's model on <camera>/room."""

    texture: bool = Field(
        default=False,
        description="lay the camera's picture on the walls; who may read the topic then sees what the camera saw",
    )
    max_bytes: int = Field(
        default=2_000_000, ge=100_000, le=64_000_000, description="the texture is made smaller until the file fits"
    )


class SeenOpeningConfig(Section):
    """A door, a window or an open passage, by where the camera sees it."""

    kind: OpeningKind = Field(description="door, window, or opening: a passage without a door")
    bearing_deg: Annotated[tuple[_Bearing, _Bearing], Field(strict=False)] = Field(
        description="its left and right edge: degrees to the right of yaw 0; [170, -170] is behind",
        examples=[[-12.0, 8.5]],
    )
    sill_m: float = Field(default=0.0, ge=0, le=20, description="from the floor to its lower edge, m")
    height_m: Positive = Field(description="from its lower to its upper edge, m", examples=[2.0])

    @model_validator(mode="after")
    def _less_than_half_a_turn(self) -> SeenOpeningConfig:
        if not 0 < (self.bearing_deg[1] - self.bearing_deg[0]) % 360 < 180:
            remedy = "Give the left edge first, then the right one, as seen from the camera"
            raise problem("reaches over half a turn", remedy, "bearing_deg")
        return self

    @property
    def opening(self) -> OpeningInView:
        """As a plain value."""
        left, right = (math.radians(bearing) for bearing in self.bearing_deg)
        return OpeningInView(self.kind, left, right, self.sill_m, self.height_m)
