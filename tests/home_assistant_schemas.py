"""Home Assistant's own schemas over device discovery payloads. For Home Assistant's interpreter, not for pytest.

Standard input: a JSON list of payloads; standard output: a JSON list of what is wrong with them.
"""

import asyncio
import importlib
import json
import sys
from typing import Any

from homeassistant.components.mqtt import discovery
from homeassistant.components.mqtt.schemas import DEVICE_DISCOVERY_SCHEMA
from homeassistant.components.sensor.const import DEVICE_CLASS_UNITS
from homeassistant.core import HomeAssistant
from homeassistant.helpers import frame

SHARED = ("availability", "availability_mode", "qos", "encoding", "state_topic", "command_topic")


def problems(payload: dict[str, Any]) -> list[str]:
    """What Home Assistant would refuse or warn of."""
    parsed = discovery.MQTTDiscoveryPayload(payload)
    discovery._replace_all_abbreviations(parsed)
    try:
        DEVICE_DISCOVERY_SCHEMA(dict(parsed))
    except Exception as error:  # noqa: BLE001 - whatever it says
        return [f"device: {error}"]
    return [
        f"{name}: {problem}"
        for name, component in parsed["components"].items()
        if (problem := _problem(dict(component), parsed))
    ]


def _problem(component: dict[str, Any], device: dict[str, Any]) -> str | None:
    platform = component.pop("platform")
    if not component:
        return None  # to be removed
    shared = {key: device[key] for key in SHARED if key in device}
    try:
        module = importlib.import_module(f"homeassistant.components.mqtt.{platform}")
        module.DISCOVERY_SCHEMA({**shared, **component, "device": device["device"], "origin": device["origin"]})
    except Exception as error:  # noqa: BLE001 - whatever it says
        return str(error)
    units = DEVICE_CLASS_UNITS.get(component.get("device_class")) if platform == "sensor" else None
    if units is not None and component.get("unit_of_measurement") not in units:
        return f"{component['device_class']} in {component.get('unit_of_measurement')}"
    return None


async def main() -> None:
    """Read, judge, print."""
    frame.async_setup(HomeAssistant("/nowhere"))
    json.dump([problem for payload in json.load(sys.stdin) for problem in problems(payload)], sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
