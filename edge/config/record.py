"""The section of config.yaml about pictures recorded to learn depth from: none, unless a folder is given."""

from __future__ import annotations

from pydantic import Field

from edge.config.values import PathToMake, Section


class RecordConfig(Section):
    """What `edge record` keeps while somebody carries a camera through a room; the daemon itself records nothing."""

    folder: PathToMake | None = Field(
        default=None, description="private folder for them, made if need be; null: nothing is recorded"
    )
    most_mib: int = Field(default=512, ge=1, le=1 << 20, description="of all recordings; more is refused, MiB")
    most_days: float = Field(default=30, gt=0, le=3650, description="older recordings are removed, days")
