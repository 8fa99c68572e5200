"""What a broker says that it can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Limits:
    """What the broker said of itself when it accepted the connection (MQTT 5, section 3.2.2.3)."""

    receive_maximum: int = 65535
    """QoS-1 messages that may await their confirmation together."""
    maximum_qos: int = 1
    """Of what is published here, at most 1."""
    retain_available: bool = True
    max_packet_bytes: int | None = None
    wildcards_available: bool = True

    @classmethod
    def of(cls, properties: Any) -> Limits:
        """Of a CONNACK's properties; those that are not given have MQTT's defaults."""
        return cls(
            receive_maximum=getattr(properties, "ReceiveMaximum", 65535),
            maximum_qos=min(getattr(properties, "MaximumQoS", 1), 1),
            retain_available=bool(getattr(properties, "RetainAvailable", 1)),
            max_packet_bytes=getattr(properties, "MaximumPacketSize", None),
            wildcards_available=bool(getattr(properties, "WildcardSubscriptionAvailable", 1)),
        )
