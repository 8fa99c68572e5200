"""What all parts of a recipe are made of: a section that refuses unknown keys, and kinds of numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0)]


class Section(BaseModel):
    """A part of a recipe: fixed once read, without unknown keys, infinities or nan."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
