"""How the trial of a newly installed model goes, as `bridge/health` tells it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edge.mqtt.values import Count, Name, NonNegative, Part


class ModelTrial(Part):
    """A model that is tried beside the one before it: as its shadow, or, once it serves, with that one as its guard."""

    engine: Name
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of the new model's network.")
    stage: Literal["shadow", "watch"]
    age_s: NonNegative = Field(description="Since this stage began.")
    samples: Count = Field(description="Pictures that both were asked about.")
    differences: dict[str, NonNegative] = Field(
        description="By <camera>/<task>, the median so far. Depth: relative; layout: 1 - IoU of the floor plans; "
        "lighting: relative to the coefficients' size."
    )
