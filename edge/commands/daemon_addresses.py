"""What a running daemon says over HTTP: /healthz, /readyz, /metrics."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from edge.viewer.addresses import Address, Said

if TYPE_CHECKING:
    from edge.daemon.supervisor import Daemon


def addresses(daemon: Daemon) -> Mapping[str, Address]:
    """By path."""
    from edge.monitor.metrics import CONTENT_TYPE

    def health() -> Said:
        why = daemon.dead()
        return _said(() if why is None else (why,), "alive")

    return {
        "/healthz": Address(health, public=True),
        "/readyz": Address(lambda: _said(daemon.not_ready(), "ready")),
        "/metrics": Address(lambda: Said(daemon.metrics.text(), content_type=CONTENT_TYPE)),
    }


def _said(why_not: tuple[str, ...], well: str) -> Said:
    """200 and one word, or 503 and a reason a line."""
    if not why_not:
        return Said(f"{well}\n".encode())
    return Said("".join(f"{reason}\n" for reason in why_not).encode(), HTTPStatus.SERVICE_UNAVAILABLE)
