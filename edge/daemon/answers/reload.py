"""`reload`: the configuration read again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge.daemon.reload import Difference
from edge.mqtt.verbs import NoArguments, ReloadAnswer


def answer(arguments: NoArguments, *, reload: Callable[[], Difference]) -> dict[str, Any]:
    """What holds now, and what after a restart.

    Raises:
        ConfigErrors: every mistake in it; the daemon goes on as it was.
    """
    done = reload()
    return ReloadAnswer(applied=done.applied, restart_required=done.restart_required).model_dump(mode="json")
