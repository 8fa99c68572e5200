"""`info`: what this device runs, as on `bridge/info`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge.mqtt.messages import BridgeInfo
from edge.mqtt.verbs import NoArguments


def answer(arguments: NoArguments, *, info: Callable[[], BridgeInfo]) -> dict[str, Any]:
    """As on `bridge/info`, with all that was measured of the models; there are no arguments."""
    return info().model_dump(mode="json", by_alias=True)
