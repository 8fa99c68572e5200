"""What integrators build against: a JSON Schema per message, and one AsyncAPI 3.1 document with every topic.

Both are generated from the models and the topics table, so they cannot say anything else than the code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, create_model
from pydantic.json_schema import models_json_schema

from edge import __version__
from edge.mqtt.messages import MESSAGES, BridgeState, Message, Request, Response
from edge.mqtt.topics import CHANNELS, DISCOVERY_PREFIX, JSON, Channel, Kind
from edge.mqtt.verbs import VERBS, Nothing, Verb

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MQTT_BINDING = "0.2.0"
ASYNCAPI = "3.1.0"

_PARAMETERS = {
    "device": "Name of the device, from its configuration.",
    "camera": "Name of the camera, from the device's configuration.",
    "home": "Name of the home, given where its rooms were placed.",
}
_BY_VERB: tuple[Kind, ...] = ("request", "response")
"""Kinds of topics whose payload is another for each verb."""
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
    "depth_view": _BinaryMessage(
        "DepthView",
        "A JPEG of a depth map: red is near, blue is far, black is unknown; metric from 0.5 m to 10 m, logarithmic.",
        ("schema", "device", "camera", "frame", "captured_at", "kind", "scale"),
    ),
    "picture": _BinaryMessage(
        "CameraPicture",
        "A JPEG of the camera's picture, shrunk, with its privacy masks painted over.",
        ("schema", "device", "camera", "frame", "captured_at"),
    ),
    "birth": _BinaryMessage("HomeAssistantBirth", "The word `online` or `offline`.", ()),
    "room": _BinaryMessage(
        "RoomModel",
        "Binary glTF, y up, origin on the floor under the camera; nodes floor, ceiling and walls, seen from inside.",
        (*_HEADERS, "extent"),
    ),
    "objects_model": _BinaryMessage(
        "ObjectsModel",
        "Binary glTF, y up; a node for each thing, named as in the list; one without a place lies at the origin.",
        ("schema", "device", "camera", "captured_at"),
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


def request_schemas() -> dict[str, dict[str, Any]]:
    """By verb and direction (`request_set`, `response_set`), the JSON Schema of its requests and of its answers."""
    models = {
        f"{kind}_{_slug(verb)}": (model, mode)
        for verb, spec in VERBS.items()
        for kind, model, mode in _verb_models(verb, spec)
    }
    return {
        name: {
            "$schema": DIALECT,
            "$id": f"urn:edge:{name.replace('_', '-')}",
            **model.model_json_schema(by_alias=True, mode=mode),
        }
        for name, (model, mode) in models.items()
    }


def _slug(verb: str) -> str:
    return verb.replace("/", "_").replace("-", "_")


def _verb_models(verb: str, spec: Verb) -> tuple[tuple[Kind, type[BaseModel], Any], ...]:
    """Whole payloads of one verb: what is asked, and what is answered."""
    title = "".join(word.capitalize() for word in _slug(verb).split("_"))
    transaction: Any = (Request.model_fields["transaction"].annotation, Request.model_fields["transaction"])
    data: Any = (spec.answer | Nothing, ...)
    request = create_model(f"{title}Request", __base__=spec.arguments, __doc__=spec.summary, transaction=transaction)
    response = create_model(f"{title}Response", __base__=Response, __doc__=spec.answer.__doc__, data=data)
    return ("request", request, "validation"), ("response", response, "serialization")


def _mode(model: type[BaseModel]) -> Any:
    return "serialization" if issubclass(model, Message) else "validation"


def _ref(*path: str) -> dict[str, str]:
    return {"$ref": "#/" + "/".join(path)}


def _message_name(kind: Kind) -> str:
    return MESSAGES[kind].__name__ if kind in MESSAGES else _BINARY[kind].name


def _camel(kind: str) -> str:
    first, *rest = kind.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _binding(**values: Any) -> dict[str, Any]:
    return {"mqtt": {**values, "bindingVersion": MQTT_BINDING}}


def _channel(kind: Kind, channel: Channel, base: str) -> dict[str, Any]:
    address = channel.address(base, DISCOVERY_PREFIX)
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
    return {
        "action": channel.direction,
        "channel": _ref("channels", kind),
        "summary": channel.summary,
        "messages": [_ref("channels", kind, "messages", _message_name(kind))],
        "bindings": _binding(**values),
    }


@dataclass(frozen=True, slots=True)
class _Asking:
    """What the document says of one verb."""

    channels: dict[str, Any]
    operations: dict[str, Any]
    messages: dict[str, Any]
    models: list[tuple[type[BaseModel], Any]]


def _asking(verb: str, spec: Verb, base: str) -> _Asking:
    slug, found = _slug(verb), _Asking({}, {}, {}, [])
    for kind, model, mode in _verb_models(verb, spec):
        key, name, channel = f"{kind}_{slug}", model.__name__, CHANNELS[kind]
        found.models.append((model, mode))
        found.messages[name] = _json_message(name, f"{kind} {verb}", model)
        found.channels[key] = {
            "address": f"{base}/{{device}}/{kind}/{verb}",
            "title": f"{kind} {verb}",
            "description": spec.summary if kind == "request" else f"The answer to request/{verb}.",
            "messages": {name: _ref("components", "messages", name)},
            "parameters": {"device": {"description": _PARAMETERS["device"]}},
        }
        found.operations[f"{channel.direction}{_camel(key)[0].upper()}{_camel(key)[1:]}"] = {
            "action": channel.direction,
            "channel": _ref("channels", key),
            "summary": found.channels[key]["description"],
            "messages": [_ref("channels", key, "messages", name)],
            "bindings": _binding(qos=channel.qos, retain=channel.retain),
        }
    request, response = found.operations.values()
    request["description"] = (
        f"Answered within {spec.within_s:g} s: on the MQTT 5 response topic of the request, with its correlation data, "
        "or else on the response channel of the same verb. "
        + ("A request with the same transaction is answered again and not carried out again. " if spec.once else "")
        + "`requests.allow` of the device's configuration says whether it is carried out at all."
    )
    request["reply"] = {"channel": response["channel"], "messages": response["messages"]}
    return found


def _json_message(name: str, title: str, model: type[BaseModel]) -> dict[str, Any]:
    return {
        "name": name,
        "title": title,
        "summary": (model.__doc__ or "").strip().split("\n")[0],
        "contentType": JSON,
        "payload": _ref("components", "schemas", name),
        "bindings": _binding(payloadFormatIndicator=1, contentType=JSON),
    }


def _messages() -> dict[str, Any]:
    messages: dict[str, Any] = {
        MESSAGES[kind].__name__: _json_message(MESSAGES[kind].__name__, kind.replace("_", " "), MESSAGES[kind])
        for kind in MESSAGES
        if kind not in _BY_VERB
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


def _schemas(asking: list[_Asking]) -> dict[str, Any]:
    models: list[tuple[type[BaseModel], Any]] = [
        (model, _mode(model)) for kind, model in MESSAGES.items() if kind not in _BY_VERB
    ]
    models += [model for one in asking for model in one.models]
    _, document = models_json_schema(models, by_alias=True, ref_template="#/components/schemas/{model}")
    schemas: dict[str, Any] = document["$defs"]
    return schemas


def asyncapi(*, base: str = "edge", host: str = "localhost:1883", tls: bool = False) -> dict[str, Any]:
    """The AsyncAPI 3.1 document of the daemon, from its own point of view: it sends results and receives requests.

    `host` is the broker's name and port; on MQTT 3.1.1, content types, expiry and user properties are absent.
    """
    asking = [_asking(verb, spec, base) for verb, spec in VERBS.items()]
    plain = {kind: channel for kind, channel in CHANNELS.items() if kind not in _BY_VERB}
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
        "channels": {kind: _channel(kind, channel, base) for kind, channel in plain.items()}
        | {key: channel for one in asking for key, channel in one.channels.items()},
        "operations": {
            f"{channel.direction}{_camel(kind)[0].upper()}{_camel(kind)[1:]}": _operation(kind, channel)
            for kind, channel in plain.items()
        }
        | {key: operation for one in asking for key, operation in one.operations.items()},
        "components": {
            "messages": _messages() | {name: message for one in asking for name, message in one.messages.items()},
            "schemas": _schemas(asking),
        },
    }


def documents(*, base: str = "edge", host: str = "localhost:1883", tls: bool = False) -> dict[str, dict[str, Any]]:
    """Every published document by file name: `asyncapi.json`, `<kind>.schema.json`, `request_<verb>.schema.json`."""
    files: dict[str, dict[str, Any]] = {f"{kind}.schema.json": schema for kind, schema in json_schemas().items()}
    files |= {f"{name}.schema.json": schema for name, schema in request_schemas().items()}
    return {"asyncapi.json": asyncapi(base=base, host=host, tls=tls), **files}
