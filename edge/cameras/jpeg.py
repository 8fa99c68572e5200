"""Where a JPEG ends: its markers, walked as ITU-T T.81, B.1 and B.2 lay them out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

START, END = b"\xff\xd8", b"\xff\xd9"
_SCAN, _TABLES_END = 0xDA, 0xD9
_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_AFTER_SCAN = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")
_MARKER = re.compile(rb"\xff+[^\x00\xff]")
_COEFFICIENTS = 64


@dataclass
class Jpeg:
    """What the markers of one JPEG say."""

    end: int | None = None
    """Offset after its end marker; None where it has none. What follows belongs to another: phones and 360 degree
    cameras append more pictures, clips and notes."""
    size_px: tuple[int, int] | None = None
    """Width and height."""
    progressive: bool = False
    components: tuple[int, ...] = ()
    scans: list[tuple[tuple[int, ...], int, int, int]] = field(default_factory=list)
    """Of each begun: components, first and last coefficient, and how many low bits it leaves to later ones."""

    @property
    def has_all_scans(self) -> bool:
        """Whether every coefficient of every component has begun to come, to its last bit."""
        last = _COEFFICIENTS if self.progressive else 1
        exact = {
            (component, k)
            for components, first, end, low_bits in self.scans
            if low_bits == 0
            for component in components
            for k in range(first, min(end, last - 1) + 1)
        }
        return bool(self.components) and all((c, k) in exact for c in self.components for k in range(last))


def walk(data: bytes) -> Jpeg:
    """The markers from the start of a JPEG to its end, or to where it is cut or makes no sense."""
    jpeg, at = Jpeg(), len(START)
    while (found := _MARKER.search(data, at)) is not None:
        kind, at = data[found.end() - 1], found.end()
        if kind == _TABLES_END:
            jpeg.end = at
            break
        if 0xD0 <= kind <= 0xD8 or kind == 0x01:
            continue
        body = data[at + 2 : at + int.from_bytes(data[at : at + 2], "big")]
        at += 2 + len(body)
        if kind in _FRAMES and len(body) >= 6:
            jpeg.size_px = int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big")
            jpeg.components, jpeg.progressive = tuple(body[6::3]), kind in _PROGRESSIVE
        elif kind == _SCAN and body:
            names, rest = body[1 : 1 + 2 * body[0] : 2], body[1 + 2 * body[0] :]
            if len(rest) >= 3:
                jpeg.scans.append((tuple(names), rest[0], rest[1], rest[2] & 15))
            after = _AFTER_SCAN.search(data, at)
            if after is None:
                break
            at = after.start()
    return jpeg
