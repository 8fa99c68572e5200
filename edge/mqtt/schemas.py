"""What integrators build against: a JSON Schema per message, and one AsyncAPI 3.1 document with every topic.

Both are generated from the models and the topics table, so they cannot say anything else than the code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from edge import __version__
from edge.mqtt.messages import MESSAGES, BridgeState, Message
from edge.mqtt.topics import CHANNELS, JSON, Channel, Kind

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MQTT_BINDING = "0.2.0"
ASYNCAPI = "3.1.0"

_PARAMETERS = {
    "device": "Name of the device, from its configuration.",
    "camera": "Name of the camera, from the device's configuration.",
    "verb": "What is asked for.",
}
_HEADERS = ("schema", "device", "camera", "frame", "captured_at", "scale", "unit")


@dataclass(frozen=True, slots=True)
class _BinaryMessage:
    name: str
    summary: str
    headers: tuple[str, ...]


_BINARY: dict[Kind, _BinaryMessage] = {
    "depth_image": _BinaryMessage(
        "DepthPicture",
        "A 16-bit grey PNG; depth = count x value_per_count of the frame's depth message; 0 = unknown.",
        (*_HEADERS, "kind", "value_per_count"),
    ),
    "room": _BinaryMessage(
        "RoomModel",
        "Binary glTF, y up, origin on the floor under the camera; nodes floor, ceiling and walls, seen from inside.",
        (*_HEADERS, "extent"),
    ),
}


def json_schema(kind: Kind) -> dict[str, Any]:
    """The JSON Schema (2020-12) of what stands on topics of `kind`.

    Raises:
        KeyError: topics of this kind do not carry JSON.
    """
    model = MESSAGES[kind]
    mode = _mode(model)
    return {
        "$schema": DIALECT,
        "$id": f"urn:edge:{kind.replace('_', '-')}",
        **model.model_json_schema(by_alias=True, mode=mode),
    }


def json_schemas() -> dict[Kind, dict[str, Any]]:
    """The JSON Schema of every kind of topic that carries JSON."""
    return {kind: json_schema(kind) for kind in MESSAGES}


def _mode(model: type[BaseModel]) -> Any:
    return "serialization" if issubclass(model, Message) else "validation"


def _ref(*path: str) -> dict[str, str]:
    return {"$ref": "#/" + "/".join(path)}


def _message_name(kind: Kind) -> str:
    return MESSAGES[kind].__name__ if kind in MESSAGES else _BINARY[kind].name


def _camel(kind: Kind) -> str:
    first, *rest = kind.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _binding(**values: Any) -> dict[str, Any]:
    return {"mqtt": {**values, "bindingVersion": MQTT_BINDING}}


def _channel(kind: Kind, channel: Channel, base: str) -> dict[str, Any]:
    address = f"{base}/{{device}}/{channel.path}"
    name = _message_name(kind)
    return {
        "address": address,
        "title": kind.replace("_", " "),
        "description": channel.summary,
        "messages": {name: _ref("components", "messages", name)},
        "parameters": {p: {"description": text} for p, text in _PARAMETERS.items() if f"{{{p}}}" in address},
    }


def _operation(kind: Kind, channel: Channel) -> dict[str, Any]:
    values: dict[str, Any] = {"qos": channel.qos, "retain": channel.retain}
    if channel.expiry_s is not None:
        values["messageExpiryInterval"] = channel.expiry_s
    operation: dict[str, Any] = {
        "action": channel.direction,
        "channel": _ref("channels", kind),
        "summary": channel.summary,
        "messages": [_ref("channels", kind, "messages", _message_name(kind))],
        "bindings": _binding(**values),
    }
    if kind == "request":
        operation["description"] = (
            "The response goes to the MQTT 5 response topic of the request, with its correlation data, or else to the "
            "response channel of the same verb. An unknown verb is answered with an error."
        )
        operation["reply"] = {
            "channel": _ref("channels", "response"),
            "messages": [_ref("channels", "response", "messages", _message_name("response"))],
        }
    return operation


def _messages() -> dict[str, Any]:
    messages: dict[str, Any] = {}
    for kind, model in MESSAGES.items():
        name = model.__name__
        messages[name] = {
            "name": name,
            "title": kind.replace("_", " "),
            "summary": (model.__doc__ or "").strip().split("\n")[0],
            "contentType": JSON,
            "payload": _ref("components", "schemas", name),
            "bindings": _binding(payloadFormatIndicator=1, contentType=JSON),
        }
    for kind, binary in _BINARY.items():
        content_type = CHANNELS[kind].content_type
        messages[binary.name] = {
            "name": binary.name,
            "title": kind.replace("_", " "),
            "summary": binary.summary,
            "contentType": content_type,
            "headers": {
                "type": "object",
                "description": "User properties; MQTT 5 only.",
                "properties": {name: {"type": "string"} for name in binary.headers},
            },
            "payload": {"type": "string", "format": "binary"},
            "bindings": _binding(payloadFormatIndicator=0, contentType=content_type),
        }
    return messages


def _schemas() -> dict[str, Any]:
    models = [(model, _mode(model)) for model in MESSAGES.values()]
    _, document = models_json_schema(models, by_alias=True, ref_template="#/components/schemas/{model}")
    schemas: dict[str, Any] = document["$defs"]
    return schemas


def asyncapi(*, base: str = "edge", host: str = "localhost:1883", tls: bool = False) -> dict[str, Any]:
    """The AsyncAPI 3.1 document of the daemon, from its own point of view: it sends results and receives requests.

    `host` is the broker's name and port; on MQTT 3.1.1, content types, expiry and user properties are absent.
    """
    offline = BridgeState(state="offline").encoded().decode()
    will = {"topic": f"{base}/{{device}}/bridge/state", "qos": 1, "retain": True, "message": offline}
    return {
        "asyncapi": ASYNCAPI,
        "id": "urn:edge:daemon",
        "info": {
            "title": "Edge reconstruction",
            "version": __version__,
            "description": "Depth, room layout and lighting of cameras, continuously, over MQTT.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": JSON,
        "servers": {
            "broker": {
                "host": host,
                "protocol": "mqtts" if tls else "mqtt",
                "protocolVersion": "5.0",
                "description": "MQTT 5, or 3.1.1 where the broker has no more.",
                "bindings": _binding(cleanSession=True, lastWill=will),
            }
        },
        "channels": {kind: _channel(kind, channel, base) for kind, channel in CHANNELS.items()},
        "operations": {
            f"{channel.direction}{_camel(kind)[0].upper()}{_camel(kind)[1:]}": _operation(kind, channel)
            for kind, channel in CHANNELS.items()
        },
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def documents(*, base: str = "edge", host: str = "localhost:1883", tls: bool = False) -> dict[str, dict[str, Any]]:
    """Every published document by file name: `asyncapi.json` and `<kind>.schema.json`."""
    files: dict[str, dict[str, Any]] = {f"{kind}.schema.json": schema for kind, schema in json_schemas().items()}
    return {"asyncapi.json": asyncapi(base=base, host=host, tls=tls), **files}
