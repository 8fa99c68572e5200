"""The section of config.yaml about drift: whether what cameras see is followed, and where that is remembered."""

from __future__ import annotations

from pydantic import Field

from edge.config.values import PathToMake, Section


class DriftConfig(Section):
    """Numbers about pictures, one sample in ten minutes; never pictures."""

    enabled: bool = Field(default=False, description="follow what cameras see; tells of changes on <camera>/drift")
    folder: PathToMake | None = Field(
        default=None,
        description="private folder where the first days are remembered, made if need be; null: until a restart",
    )
