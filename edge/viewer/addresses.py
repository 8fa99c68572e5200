"""Addresses of programs beside the page: what is answered there, and whether without the key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus


@dataclass(frozen=True, slots=True)
class Said:
    """An answer."""

    body: bytes
    status: HTTPStatus = HTTPStatus.OK
    content_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Address:
    """What a path gives; `answer` is called on a thread of its own."""

    answer: Callable[[], Said]
    public: bool = False
    """Whether it needs no key anywhere."""
