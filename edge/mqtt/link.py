"""One MQTT connection: the only module that speaks paho.

MQTT 5 is tried first. A broker that refuses it, or that closes or stays silent before the connection is acknowledged,
gets 3.1.1; what worked is remembered, and from then on silence is an outage, not a sign of age. A `Link` is one
connection at a time and never reconnects by itself: its owner decides when.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.errors import ConfigError, PublishError

Protocol = Literal["auto", "5", "3.1.1"]
Version = Literal["5", "3.1.1"]

_CONNECT_TIMEOUT_S = 5.0
_PROBE_TIMEOUT_S = 2.0
_SILENCES = 3
"""Unanswered attempts with a version that once worked before the other is tried too: the broker may be another."""
_WINDOW = 64
"""QoS-1 messages that may wait for their acknowledgement; the owner keeps below it."""

_REMEDIES = {
    "Unsupported protocol version": "set mqtt.protocol to what the broker speaks",
    "Client identifier not valid": "set mqtt.client_id to a name that the broker allows",
    "Bad user name or password": "correct mqtt.username and mqtt.password (or mqtt.password_file)",
    "Not authorized": "correct mqtt.username and mqtt.password, or allow this user in the broker's access list",
    "Server unavailable": "the broker is up but not ready; it is tried again",
    "Server busy": "the broker is overloaded; it is tried again",
    "Banned": "the broker bans this client; ask who runs it",
    "Session taken over": "another client uses the same mqtt.client_id; give each device its own",
}


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """How to trust the broker and, with `certificate` and `key`, how to be trusted. No `ca`: the system's."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False
    """Accept any certificate: encrypts, but does not tell who is there."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the broker is and how to talk to it."""

    host: str
    port: int = 1883
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: TlsOptions | None = None
    transport: Literal["tcp", "websockets"] = "tcp"
    keepalive_s: int = 30
    protocol: Protocol = "auto"

    def __str__(self) -> str:
        """Host and port, as error messages name it."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says for us when we are gone without a word; QoS 1, retained."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Incoming:
    """A received message."""

    topic: str
    payload: bytes
    retained: bool
    content_type: str | None = None
    response_topic: str | None = None
    correlation: bytes | None = None
    properties: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What only MQTT 5 carries beside a payload; ignored on 3.1.1."""

    content_type: str | None = None
    expiry_s: int | None = None
    correlation: bytes | None = None
    user: dict[str, str] = field(default_factory=dict)


class _NoAnswerError(PublishError):
    """The broker accepted the network connection but did not acknowledge MQTT."""


class _VersionRefusedError(PublishError):
    """The broker said that it does not speak this version."""


def _translated(error: Exception, endpoint: Endpoint) -> PublishError:
    """A vendor's or the system's exception as ours, with what to do."""
    tls = (
        "mqtt.tls.ca must be the file of the authority that signed the broker's certificate, for the name in mqtt.host"
    )
    cases: tuple[tuple[type[Exception], str], ...] = (
        (ssl.SSLCertVerificationError, f"its certificate was not accepted ({error}); {tls}"),
        (ssl.SSLError, f"TLS failed ({error}); check that this port speaks TLS, and mqtt.tls.certificate and key"),
        (ConnectionRefusedError, "nothing listens there; start the broker, or correct mqtt.host and mqtt.port"),
        (socket.gaierror, "the name is not known; correct mqtt.host, or the network's name server"),
        (TimeoutError, "no answer; check the network and firewall, mqtt.host and mqtt.port"),
        (FileNotFoundError, f"a TLS file is missing ({error}); correct mqtt.tls"),
        (ConnectionError, f"connection closed ({error}); check mqtt.port, mqtt.transport and mqtt.tls"),
    )
    for kind, text in cases:
        if isinstance(error, kind):
            return PublishError(f"broker {endpoint}: {text}")
    return PublishError(f"broker {endpoint}: {error}; check mqtt.host, mqtt.port and the network")


def _refusal(reason: str, endpoint: Endpoint) -> PublishError:
    remedy = _REMEDIES.get(reason, "look into the broker's log")
    kind = _VersionRefusedError if reason == "Unsupported protocol version" else PublishError
    return kind(f"broker {endpoint} refused: {reason.lower()}; {remedy}")


class Link:
    """One connection to a broker, opened again by its owner when it was lost.

    Callbacks run on the network thread and must return at once: `on_change` after a loss or a delivery, `on_message`
    for what arrives on `subscriptions`.
    """

    def __init__(
        self,
        endpoint: Endpoint | Callable[[], Endpoint],
        client_id: str,
        *,
        will: Will | None = None,
        subscriptions: tuple[str, ...] = (),
        on_message: Callable[[Incoming], None] | None = None,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        self._ask_endpoint = endpoint if callable(endpoint) else lambda: endpoint
        self._endpoint: Endpoint | None = None
        self.client_id, self.will, self.subscriptions = client_id, will, subscriptions
        self.version: Version | None = None
        """The version in use, or last used."""
        self.max_packet_bytes: int | None = None
        """The broker's limit, where it states one."""
        self.loss: str | None = None
        """Why the connection ended."""
        self._on_message, self._on_change = on_message, on_change
        self._client: paho.Client | None = None
        self._answered = threading.Event()
        self._refused: str | None = None
        self._up = False
        self._delivered: deque[int] = deque()
        self._silences = 0

    @property
    def endpoint(self) -> Endpoint:
        """Where the broker is, as of the last attempt to connect."""
        if self._endpoint is None:
            self._endpoint = self._ask_endpoint()
        return self._endpoint

    @property
    def up(self) -> bool:
        """Whether the connection is acknowledged and not lost."""
        return self._up

    def open(self) -> None:
        """Connect and wait for the acknowledgement, at most a few seconds.

        Raises:
            PublishError: there is no connection; the message says why and what to do. It may be tried again.
        """
        try:
            self._endpoint = self._ask_endpoint()
        except ConfigError as error:
            raise PublishError(str(error)) from error
        wanted = self.endpoint.protocol
        if wanted != "auto":
            self._open_version(wanted, _CONNECT_TIMEOUT_S)
            return
        if self.version is None:
            try:
                self._open_version("5", _PROBE_TIMEOUT_S)
                return
            except (_VersionRefusedError, _NoAnswerError):
                self._open_version("3.1.1", _CONNECT_TIMEOUT_S)
                return
        try:
            self._open_version(self.version, _CONNECT_TIMEOUT_S)
        except (_VersionRefusedError, _NoAnswerError) as error:
            self._silences += 1
            if self._silences >= _SILENCES or isinstance(error, _VersionRefusedError):
                self.version = None
            raise

    def _open_version(self, version: Version, timeout_s: float) -> None:
        self.abandon()
        client = self._new_client(version)
        self._answered.clear()
        self._refused, self.loss, self.max_packet_bytes = None, None, None
        self._delivered.clear()
        try:
            self._apply_tls(client)
            self._connect(client, version)
        except (OSError, ValueError, paho.WebsocketConnectionError) as error:
            raise _translated(error, self.endpoint) from error
        self._client = client
        client.loop_start()
        answered = self._answered.wait(timeout_s)
        if self._up:
            self.version = version
            self._silences = 0
            return
        self.abandon()
        if self._refused:
            raise _refusal(self._refused, self.endpoint)
        how = "closed the connection" if answered else f"did not answer within {timeout_s:g} s"
        raise _NoAnswerError(
            f"broker {self.endpoint} {how} before acknowledging MQTT {version}; check that it is an MQTT broker, "
            "that it runs, and mqtt.tls, mqtt.transport and mqtt.protocol"
        )

    def _new_client(self, version: Version) -> paho.Client:
        protocol = MQTTProtocolVersion.MQTTv5 if version == "5" else MQTTProtocolVersion.MQTTv311
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.client_id,
            clean_session=None if version == "5" else True,
            protocol=protocol,
            transport=self.endpoint.transport,
            reconnect_on_failure=False,
        )
        client.connect_timeout = _CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(_WINDOW)
        if self.endpoint.username is not None:
            client.username_pw_set(self.endpoint.username, self.endpoint.password)
        if self.will is not None:
            client.will_set(self.will.topic, self.will.payload, qos=1, retain=True)
        client.on_connect, client.on_disconnect = self._connected, self._disconnected
        client.on_publish, client.on_message = self._published, self._received
        return client

    def _connect(self, client: paho.Client, version: Version) -> None:
        e = self.endpoint
        if version == "5":
            client.connect(e.host, e.port, keepalive=e.keepalive_s, clean_start=True)
        else:
            client.connect(e.host, e.port, keepalive=e.keepalive_s)

    def _apply_tls(self, client: paho.Client) -> None:
        tls = self.endpoint.tls
        if tls is None:
            return
        client.tls_set(
            ca_certs=str(tls.ca) if tls.ca else None,
            certfile=str(tls.certificate) if tls.certificate else None,
            keyfile=str(tls.key) if tls.key else None,
            cert_reqs=ssl.CERT_NONE if tls.insecure else ssl.CERT_REQUIRED,
        )
        if tls.insecure:
            client.tls_insecure_set(True)

    # Called by paho on its network thread --------------------------------------------------------------------------

    def _connected(self, client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, props: Any) -> None:
        if client is not self._client and self._client is not None:
            return
        if reason.is_failure:
            self._refused = reason.getName()
        else:
            self.max_packet_bytes = getattr(props, "MaximumPacketSize", None)
            self._up = True
            if self.subscriptions:
                client.subscribe([(topic, 1) for topic in self.subscriptions])
        self._answered.set()

    def _disconnected(self, client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _props: Any) -> None:
        if client is not self._client:
            return
        name = reason.getName()
        self.loss = f"broker {self.endpoint}: connection lost ({name.lower()})"
        if name in _REMEDIES:
            self.loss += f"; {_REMEDIES[name]}"
        self._up = False
        self._answered.set()
        self._changed()

    def _published(self, client: paho.Client, _data: Any, mid: int, _reason: Any, _props: Any) -> None:
        if client is self._client:
            self._delivered.append(mid)
            self._changed()

    def _received(self, client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        if client is not self._client or self._on_message is None:
            return
        props = message.properties
        self._on_message(
            Incoming(
                message.topic,
                bytes(message.payload),
                bool(message.retain),
                getattr(props, "ContentType", None),
                getattr(props, "ResponseTopic", None),
                getattr(props, "CorrelationData", None),
                dict(getattr(props, "UserProperty", [])),
            )
        )

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change()

    # Called by the owner ---------------------------------------------------------------------------------------------

    def send(self, topic: str, payload: bytes, *, qos: int, retain: bool, metadata: Metadata) -> int:
        """Hand one message to the network thread; `delivered` names the returned id once it is out (QoS 1: confirmed).

        Raises:
            PublishError: there is no connection, or paho cannot take it.
        """
        client = self._client
        if client is None or not self._up:
            raise PublishError(f"broker {self.endpoint}: not connected; it is tried again")
        properties = self._properties(metadata) if self.version == "5" else None
        try:
            info = client.publish(topic, payload, qos=qos, retain=retain, properties=properties)
        except ValueError as error:
            raise PublishError(f"{topic}: {len(payload)} bytes cannot be published ({error}); send less") from error
        if info.rc != paho.MQTT_ERR_SUCCESS:
            self._up = False
            raise PublishError(f"broker {self.endpoint}: {paho.error_string(info.rc)} it is tried again")
        return info.mid

    @staticmethod
    def _properties(metadata: Metadata) -> Properties:
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if metadata.content_type is not None:
            properties.ContentType = metadata.content_type
            properties.PayloadFormatIndicator = int(metadata.content_type == "application/json")
        if metadata.expiry_s is not None:
            properties.MessageExpiryInterval = metadata.expiry_s
        if metadata.correlation is not None:
            properties.CorrelationData = metadata.correlation
        if metadata.user:
            properties.UserProperty = list(metadata.user.items())
        return properties

    def delivered(self) -> list[int]:
        """Ids of messages that went out (QoS 0) or were confirmed (QoS 1) since the last call."""
        return [self._delivered.popleft() for _ in range(len(self._delivered))]

    def close(self, timeout_s: float = 0.3) -> None:
        """Say goodbye, so that the will is not sent, and end the network thread."""
        client = self._client
        if client is not None and self._up:
            client.disconnect()
            deadline_s = time.monotonic() + timeout_s
            while self._up and time.monotonic() < deadline_s:
                time.sleep(0.005)
        self.abandon()

    def abandon(self) -> None:
        """Drop the connection without a word (the will is sent) and end the network thread, even one that is stuck."""
        client, self._client, self._up = self._client, None, False
        if client is None:
            return
        sock = client.socket()
        if sock is not None:
            try:
                raw = socket.socket(fileno=os.dup(sock.fileno()))
            except (OSError, ValueError):
                raw = None  # closed meanwhile: the network thread is ending by itself
            if raw is not None:
                with raw:
                    _shut(raw)
        client.loop_stop()


def _shut(raw: socket.socket) -> None:
    """End both directions, which wakes whoever waits on the socket; one that is not connected any more is fine."""
    try:
        raw.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
