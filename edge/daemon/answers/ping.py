"""`ping`: the daemon is there, and since when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import edge
from edge.mqtt.messages import timestamp
from edge.mqtt.verbs import NoArguments, Pong


def answer(
    arguments: NoArguments, *, device: str, now: Callable[[], float], uptime_s: Callable[[], float]
) -> dict[str, Any]:
    """Name, version, time of day and time since the start."""
    pong = Pong(device=device, version=edge.__version__, at=timestamp(now()), uptime_s=round(uptime_s(), 3))
    return pong.model_dump(mode="json")
