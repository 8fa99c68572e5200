"""Search: the values of a recipe's `tune` section."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from training.config.values import Section


class SearchRange(Section):
    """Numbers that `tune` tries: whole ones where both ends are."""

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> SearchRange:
        if self.low >= self.high or (self.log and self.low <= 0):
            raise ValueError("low must be less than high, and more than 0 where log: true")
        return self


class SearchChoices(Section):
    """Values that `tune` tries."""

    choices: Annotated[tuple[bool | int | float | str | None, ...], Field(min_length=1)]
