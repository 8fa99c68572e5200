"""Which pictures of a video stream to refuse after its decoder told of damage."""

from __future__ import annotations

DECODED_AHEAD = 16
"""FFmpeg decodes on several threads: it tells of damage up to so many pictures before it gives the damaged one."""
_LONGEST = 150


class Doubt:
    """Refuses from damage on until a picture comes that builds on no other, or 150 pictures have come."""

    def __init__(self) -> None:
        self._since: int | None = None
        """Pictures since the last damage; None = none is doubted."""

    def refuses(self, damage: str | None, *, builds_on_no_other: bool) -> bool:
        """Whether the picture is not to be used.

        Args:
            damage: what the decoder said between the picture before and this one.
            builds_on_no_other: it is one with which decoding can begin.
        """
        if damage is not None:
            self._since = 0
        if self._since is None:
            return False
        self._since += 1
        if self._since > _LONGEST or (self._since > DECODED_AHEAD and builds_on_no_other):
            self._since = None
        return self._since is not None
