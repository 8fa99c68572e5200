"""Inputs that are almost right: sound ones with bytes, tokens, numbers, lines or members of JSON changed."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

LARGEST_BYTES = 200_000
_TOKENS = (
    *(bytes([character]) for character in b"[]{}\"'\\:,-&*?|>!%/#+$@<~ \t\n\r\x00\x1b\x7f\xff"),
    *(b"\xff\xd8", b"\xff\xd9", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc2\x9b", b"\x1b]0;x\x07", b"\xe2\x80\xae"),
    *(b"\\ud800", b"\\u0000", b"\\u001b[2J", b"\r\n", b"\n\n", b"- ", b": ", b"&a ", b"*a", b"!!", b"<<", b"a" * 300),
    *(b"NaN", b"Infinity", b"1e999", b"-0", b"9" * 400, b"null", b"true", b"0x", b"1_0", b"2026-01-01", b"1:30"),
    *(b"../", b"://", b"%00", b"\xe2\x98\x83", b"\xf0\x9f\x8e\x89"),
)
_ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf")),
    *("", "a", "\x00", "\ud800", "é" * 200, "x" * 5000, "../../etc/passwd", "1", "nan", "https://a:b@c/d"),
    *([], {}, [[]], [None] * 50, {"": {}}, {"a": {"a": {"a": {}}}}),
)


def bytes_changed(sound: bytes, chance: random.Random) -> bytes:
    """With up to eight changes of bytes and runs of bytes."""
    data = bytearray(sound)
    for _ in range(chance.randint(1, 8)):
        at, run = chance.randint(0, len(data)), chance.choice((1, 1, 2, 4, 16, 200))
        how = chance.randrange(7)
        if how == 0 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif how == 1:
            data[at : at + run] = chance.randbytes(min(run, len(data) - at))
        elif how == 2:
            del data[at : at + run]
        elif how == 3:
            data[at:at] = chance.choice(_TOKENS)
        elif how == 4:
            data[at:at] = data[at : at + run] * chance.choice((1, 2, 50))
        elif how == 5:
            data[at : at + len(token)] = (token := chance.choice(_TOKENS))
        else:
            del data[at:]
    return bytes(data[:LARGEST_BYTES])


def lines_changed(sound: bytes, chance: random.Random) -> bytes:
    """With lines left out, repeated, moved, indented otherwise, or given another value."""
    lines = sound.split(b"\n")
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(lines))
        how = chance.randrange(6)
        if how == 0:
            del lines[at : at + chance.randint(1, 3)]
        elif how == 1:
            lines.insert(chance.randint(0, len(lines)), lines[at])
        elif how == 2:
            lines[at] = b" " * chance.randint(1, 5) + lines[at]
        elif how == 3:
            lines[at] = lines[at].lstrip()
        elif b":" in lines[at]:
            key, _, value = lines[at].partition(b":")
            odd = chance.choice(_TOKENS) if how == 4 else json.dumps(_finite(chance.choice(_ODD))).encode()
            lines[at] = key + b": " + odd + (value if chance.random() < 0.2 else b"")
        lines = lines or [b""]
    return b"\n".join(lines)


def _finite(value: Any) -> Any:
    return value if value == value and value not in (float("inf"),) else "nan"


def members_changed(sound: bytes, chance: random.Random) -> bytes:
    """JSON with up to three of its values replaced, left out, renamed or nested."""
    document = json.loads(sound)
    for _ in range(chance.randint(1, 3)):
        document = _changed(document, chance)
    try:
        return json.dumps(document, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    except RecursionError:  # nested too often to be written by Python; others can
        return b"[" * 1000 + sound + b"]" * 1000


def _changed(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(list(value))
        how = chance.randrange(10)
        if how == 0:
            return {k: v for k, v in value.items() if k != key}
        if how == 1:
            return {**value, str(chance.choice(_ODD)): value[key]}
        return {**value, key: _changed(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.7:
        at = chance.randrange(len(value))
        if chance.random() < 0.2:
            return value[:at] + value[at:] * chance.choice((0, 2, 9))
        return [*value[:at], _changed(value[at], chance), *value[at + 1 :]]
    if chance.random() < 0.05:
        for _ in range(chance.choice((3, 60, 900))):
            value = [value]
        return value
    return chance.choice(_ODD)


def mutated(seeds: Sequence[bytes], chance: random.Random, kind: str) -> bytes:
    """One input made of one of the seeds; `kind`: bytes, text or json."""
    sound = chance.choice(seeds)
    if chance.random() < 0.01:
        return sound
    if kind == "json" and chance.random() < 0.7:
        return members_changed(sound, chance)
    if kind == "text" and chance.random() < 0.6:
        return lines_changed(sound, chance)
    if len(seeds) > 1 and chance.random() < 0.1:
        other = chance.choice(seeds)
        return sound[: chance.randint(0, len(sound))] + other[chance.randint(0, len(other)) :]
    return bytes_changed(sound, chance)
