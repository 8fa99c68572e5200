"""`health`: how the daemon is, now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge.mqtt.messages import BridgeHealth
from edge.mqtt.verbs import NoArguments


def answer(arguments: NoArguments, *, health: Callable[[], BridgeHealth]) -> dict[str, Any]:
    """As on `bridge/health`, without the rates, which are counted from one message there to the next."""
    return health().model_dump(mode="json", by_alias=True)
