"""Home Assistant's device discovery, as messages: one device with its entities.

The keys are Home Assistant's own, unabbreviated: https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from edge.mqtt.values import Count, Message, Name, Part, Positive

Platform = Literal["sensor", "binary_sensor", "image", "event", "switch", "number", "button"]

_NEEDS: dict[Platform, tuple[str, ...]] = {
    "sensor": ("state_topic",),
    "binary_sensor": ("state_topic",),
    "image": ("image_topic", "content_type"),
    "event": ("state_topic", "event_types"),
    "switch": ("state_topic", "command_topic", "payload_on", "payload_off"),
    "number": ("state_topic", "command_topic", "command_template", "min", "max", "step"),
    "button": ("command_topic", "payload_press"),
}
"""What Home Assistant wants of a platform, or what it would be of no use without."""

Topic = Annotated[str, Field(min_length=1, pattern=r"^[^+#]+$")]


class _Sparse(Part):
    """What leaves out what it does not say."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)


class Available(Part):
    """A topic whose value, by the template, is `online` while an entity is available, else `offline`."""

    topic: Topic
    value_template: Name


class Component(_Sparse):
    """An entity; with its platform alone, one that is there no more."""

    platform: Platform
    unique_id: Name | None = None
    name: Name | None = None
    state_topic: Topic | None = None
    value_template: Name | None = None
    unit_of_measurement: Name | None = None
    device_class: Name | None = None
    state_class: Literal["measurement"] | None = None
    suggested_display_precision: Count | None = None
    options: tuple[Name, ...] | None = None
    expire_after: Annotated[int, Field(gt=0)] | None = Field(default=None, description="Seconds.")
    json_attributes_topic: Topic | None = None
    json_attributes_template: Name | None = None
    image_topic: Topic | None = None
    content_type: Name | None = None
    event_types: tuple[Name, ...] | None = None
    command_topic: Topic | None = None
    command_template: Name | None = None
    payload_on: Name | None = None
    payload_off: Name | None = None
    payload_press: Name | None = None
    state_on: Name | None = None
    state_off: Name | None = None
    min: float | None = None
    max: float | None = None
    step: Positive | None = None
    mode: Literal["box"] | None = None
    entity_category: Literal["config", "diagnostic"] | None = None
    icon: Annotated[str, Field(pattern=r"^mdi:[a-z0-9-]+$")] | None = None
    availability: tuple[Available, ...] | None = None
    availability_mode: Literal["all"] | None = None

    @model_validator(mode="after")
    def _complete(self) -> Component:
        given = self.model_fields_set - {"platform"}
        missing = [key for key in ("unique_id", "name", *_NEEDS[self.platform]) if getattr(self, key) is None]
        if given and missing:
            raise ValueError(f"a {self.platform} needs {', '.join(missing)}")
        if (self.availability is None) != (self.availability_mode is None):
            raise ValueError("availability and availability_mode belong together")
        return self


class DeviceInfo(_Sparse):
    """What Home Assistant shows of a device."""

    identifiers: Annotated[tuple[Name, ...], Field(min_length=1)]
    name: Name
    manufacturer: Name
    model: Name
    sw_version: Name
    via_device: Name | None = Field(default=None, description="An identifier of the device that it hangs on.")


class Origin(Part):
    """Who wrote the message."""

    name: Name
    sw_version: Name


class DiscoveryMessage(Message):
    """A device with its entities; an empty payload on the same topic removes it."""

    device: DeviceInfo
    origin: Origin
    availability: tuple[Available, ...] = Field(min_length=1, description="Of entities that say none of their own.")
    availability_mode: Literal["all"] = "all"
    qos: Literal[1] = 1
    components: dict[str, Component]

    def encoded(self) -> bytes:
        """The payload as UTF-8 JSON, without what is not said: Home Assistant takes null for a value."""
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()

    @model_validator(mode="after")
    def _told_apart(self) -> DiscoveryMessage:
        ids = [c.unique_id for c in self.components.values() if c.unique_id is not None]
        if len(set(ids)) < len(ids):
            raise ValueError("two entities have the same unique_id")
        return self
