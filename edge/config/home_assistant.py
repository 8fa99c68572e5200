"""The section of config.yaml about Home Assistant."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edge.config.values import Section
from edge.mqtt.topics import DISCOVERY_PREFIX

Prefix = Annotated[str, Field(pattern=r"^[^+#$/\s][^+#\s]*[^+#/\s]$", max_length=128)]


class HomeAssistantConfig(Section):
    """Home Assistant finds this device and its cameras by itself, where its MQTT integration has the same broker."""

    enabled: bool = Field(
        default=True, description="describe every camera on <discovery_prefix>/device/<name>/...; false: remove that"
    )
    discovery_prefix: Prefix = Field(
        default=DISCOVERY_PREFIX,
        description="as in Home Assistant's MQTT integration; its birth message is below it too",
    )
    depth_view_every_s: Annotated[float, Field(ge=0.2, le=86400)] | None = Field(
        default=10.0,
        description="time between two depth maps in colours on <camera>/depth/view, s; null: none. Home Assistant "
        "records each",
    )
