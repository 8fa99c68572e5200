"""The section of config.yaml about pictures that are kept for somebody to look at: none, unless a folder is given."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edge.config.values import PathToMake, Section


class ReviewConfig(Section):
    """What the request `flag` keeps, and on its own what contradicts itself; in one folder of this device alone."""

    folder: PathToMake | None = Field(
        default=None, description="private folder for them, made if need be; null: none is kept"
    )
    automatic: bool = Field(
        default=False, description="also keep what contradicts itself, and what drifts; at most one an hour and camera"
    )
    people: Literal["removed", "blurred", "kept", "no_picture"] = Field(
        default="removed",
        description="removed: keep the median of the last hour, in which nobody who moves is seen; blurred: the "
        "picture, with all that stands in the room blurred; kept: the picture; no_picture: numbers alone",
    )
    most_mib: int = Field(default=256, ge=1, le=1 << 20, description="beyond that the oldest are removed, MiB")
    most_entries: int = Field(default=200, ge=1, le=100_000, description="beyond that the oldest are removed")
    most_days: float = Field(default=90, gt=0, le=3650, description="what has waited for longer is removed, days")
