"""Messages of one kind that come again and again: the first is said, the others are counted."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FIRST_S, _LONGEST_S = 10.0, 3600.0
_MOST_KINDS = 50
_PARTICULAR = re.compile(r"'[^']*'|\"[^\"]*\"|\S*/\S*|\S*\d\S*")
"""What tells two messages of one kind apart: names of files, numbers, what is quoted."""


@dataclass
class _Kind:
    window_s: float
    ends_s: float
    last: str = ""
    count: int = 0


class Repeats:
    """Judges messages; knows no clock but the caller's.

    A window of 10 s begins with the first message of a kind; those of its kind within are counted, and at its end the
    last of them is said with their number. The next window is twice as long, up to an hour, until one stays empty.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, _Kind] = {}

    def add(self, message: str, now_s: float) -> bool:
        """Whether to say this message now; if not it is counted."""
        kind = _PARTICULAR.sub("", message)
        known = self._kinds.get(kind)
        if known is not None:
            known.count, known.last = known.count + 1, message
            return False
        if len(self._kinds) >= _MOST_KINDS:
            del self._kinds[next(iter(self._kinds))]
        self._kinds[kind] = _Kind(_FIRST_S, now_s + _FIRST_S)
        return True

    def due(self, now_s: float) -> list[str]:
        """Of each window that has ended, what was counted in it."""
        said = []
        for kind, known in list(self._kinds.items()):
            if now_s < known.ends_s:
                continue
            if not known.count:
                del self._kinds[kind]
                continue
            said.append(f"{known.last} (and {known.count - 1} more of that kind in the last {known.window_s:.0f} s)")
            if known.count == 1:
                said[-1] = known.last
            known.window_s = min(_LONGEST_S, 2 * known.window_s)
            known.ends_s, known.count = now_s + known.window_s, 0
        return said
