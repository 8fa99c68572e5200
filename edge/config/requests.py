"""The sections of config.yaml that say what may be asked of the device, and where what was asked is kept."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edge.config.values import Section, StateFile
from edge.mqtt.verbs import READ_ONLY, VerbName


class RequestsConfig(Section):
    """Who may write to the broker's topics `<base_topic>/<name>/request/...` may ask for these."""

    allow: Annotated[tuple[VerbName, ...], Field(strict=False)] = Field(
        default=READ_ONLY,
        description="what may be asked for; others: set, reload, restart-camera, engine/build, engine/rollback, "
        "engine/install, flag, baseline, objects",
    )
    overrides: StateFile = Field(
        default="overrides.json",
        validate_default=True,
        description="file that keeps what the request `set` changed; a bare name lies in systemd's StateDirectory",
    )
