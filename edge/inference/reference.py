"""What the pictures were like that a network was proved on, in its manifest: others are out of its world."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

QUANTILES = 101


class FeatureReference(BaseModel):
    """How one number was distributed over the pictures."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    quantiles: Annotated[tuple[float, ...], Field(min_length=QUANTILES, max_length=QUANTILES)] = Field(
        description="at 0, 1, ... 100 percent of the pictures"
    )
    mean: float = Field(description="of the rooms' means")
    std: float = Field(ge=0, description="of the pictures")
    between_room_std: float | None = Field(
        default=None,
        ge=0,
        description="of the rooms' medians; of those from 0 to 1 that of log(x + 0.01); null: not known, and "
        "the spread of all pictures stands for it, which is larger",
    )

    @model_validator(mode="after")
    def _rises(self) -> FeatureReference:
        if any(b < a for a, b in zip(self.quantiles, self.quantiles[1:], strict=False)):
            raise ValueError("quantiles do not fall; write the reference anew with `edge-train reference`")
        return self


class JointReference(BaseModel):
    """How the rooms' medians were distributed together, on the scale of their `between_room_std`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    features: Annotated[tuple[str, ...], Field(min_length=2)] = Field(description="in the order of what follows")
    mean: tuple[float, ...]
    precision: tuple[tuple[float, ...], ...] = Field(description="the inverse of their covariance")

    @model_validator(mode="after")
    def _inverts_a_covariance(self) -> JointReference:
        n = len(self.features)
        if len(self.mean) != n or len(self.precision) != n or any(len(row) != n for row in self.precision):
            raise ValueError(f"mean and precision are of the {n} features; write the reference anew")
        matrix = np.array(self.precision)
        if not np.allclose(matrix, matrix.T) or float(np.linalg.eigvalsh(matrix)[0]) <= 0:
            raise ValueError("a precision is symmetric and positive definite; write the reference anew")
        return self


class Reference(BaseModel):
    """Features of pictures that were not learnt from, through the device's own code."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    pictures: int = Field(ge=1, description="how many")
    scenes: int = Field(ge=1, description="of how many rooms or places they are")
    data: str = Field(description="what they are, with the part of the split")
    features: dict[str, FeatureReference]
    joint: JointReference | None = Field(default=None, description="null: features are judged one by one")

    @model_validator(mode="after")
    def _rooms_are_enough(self) -> Reference:
        joint = self.joint
        if (joint is not None) is any(of.between_room_std is None for of in self.features.values()):
            raise ValueError("between_room_std of every feature and joint go together; write the reference anew")
        if joint is not None and set(joint.features) != set(self.features):
            raise ValueError("joint is of all features; write the reference anew with `edge-train reference`")
        if joint is not None and self.scenes <= len(joint.features):
            raise ValueError(f"{self.scenes} rooms do not say how {len(joint.features)} features go together")
        return self
