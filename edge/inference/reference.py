"""What the pictures were like that a network was proved on, in its manifest: others are out of its world."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

QUANTILES = 101


class FeatureReference(BaseModel):
    """How one number was distributed over the pictures."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    quantiles: Annotated[tuple[float, ...], Field(min_length=QUANTILES, max_length=QUANTILES)] = Field(
        description="at 0, 1, ... 100 percent"
    )
    mean: float
    std: float = Field(ge=0)

    @model_validator(mode="after")
    def _rises(self) -> FeatureReference:
        if any(b < a for a, b in zip(self.quantiles, self.quantiles[1:], strict=False)):
            raise ValueError("quantiles do not fall; write the reference anew with `edge-train reference`")
        return self


class Reference(BaseModel):
    """Features of pictures that were not learnt from, through the device's own code."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    pictures: int = Field(ge=1, description="how many")
    scenes: int = Field(ge=1, description="of how many rooms or places they are")
    data: str = Field(description="what they are, with the part of the split")
    features: dict[str, FeatureReference]
