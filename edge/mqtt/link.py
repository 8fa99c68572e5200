"""One MQTT connection: the only module that speaks paho.

MQTT 5 is tried first, at every connection; `edge.mqtt.versions` says when 3.1.1 is. What a broker says that it can do
is obeyed. A `Link` is one connection at a time and never reconnects by itself: its owner decides when.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt import MQTTException
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import MQTTException as SubscribeException
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge.errors import ConfigError, PublishError
from edge.mqtt.endpoint import Endpoint
from edge.mqtt.failures import (
    REMEDIES,
    NoAnswerError,
    NotConnectedError,
    UnsendableError,
    VersionRefusedError,
    WillRefusedError,
    refusal,
    translated,
)
from edge.mqtt.limits import Limits
from edge.mqtt.tls import check_files, own_certificate_problem, refuse_to_ask
from edge.mqtt.versions import Version, Versions

_log = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S = 5.0
_PROBE_TIMEOUT_S = 2.0
_REFUSED_BY_PAHO = (ValueError, MQTTException, SubscribeException, struct.error)
"""What paho raises of values that do not fit a packet; all else that it raises is an OSError."""
_WINDOW = 64
"""QoS-1 messages that may wait for their acknowledgement; the owner keeps below it."""


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


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that went out (QoS 0), was confirmed (QoS 1), or that the broker refused."""

    message_id: int
    refusal: str | None = None
    """The broker's reason, in words, if it did not take it."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What to receive. `instead`: topics to ask for one by one where a broker takes no wildcards."""

    topic: str
    instead: tuple[str, ...] = ()
    own: bool = True
    """Whether also to receive what this client publishes itself; MQTT 5 alone can leave that out."""
    qos: int = 1


class Link:
    """One connection to a broker, opened again by its owner when it was lost.

    Callbacks run on the network thread and must return at once: `on_change` after a loss or a delivery, `on_message`
    for what arrives on `subscriptions`. What they raise ends the connection, not the thread.
    """

    def __init__(
        self,
        endpoint: Endpoint | Callable[[], Endpoint],
        client_id: str,
        *,
        will: Will | None = None,
        subscriptions: Sequence[str | Subscription] = (),
        on_message: Callable[[Incoming], None] | None = None,
        on_change: Callable[[], None] | None = None,
        largest_bytes: int | None = None,
    ) -> None:
        """`endpoint`: the broker, or who knows it, asked at every attempt; `largest_bytes`: what may come (MQTT 5)."""
        self._ask_endpoint = endpoint if callable(endpoint) else lambda: endpoint
        self._endpoint: Endpoint | None = None
        self.client_id, self.will = client_id, will
        self.subscriptions = tuple(s if isinstance(s, Subscription) else Subscription(s) for s in subscriptions)
        self.version: Version | None = None
        """The version in use, or last used."""
        self.limits = Limits()
        self.loss: str | None = None
        """Why the connection ended."""
        self.loss_reason: str | None = None
        """In MQTT's words, if the broker said why."""
        self.refused_subscriptions: dict[str, str] = {}
        """Why the broker did not grant them, by topic."""
        self._on_message, self._on_change, self._largest_bytes = on_message, on_change, largest_bytes
        self._client: paho.Client | None = None
        self._answered = threading.Event()
        self._refused: str | None = None
        self._up = False
        self._delivered: deque[Delivery] = deque()
        self._subscribing = threading.Lock()
        """Held until the number of what is asked for is known: an answer, on paho's thread, waits for that."""
        self._asked: dict[int, str] = {}
        self._versions = Versions()
        self._will_qos, self._will_retain = 1, True
        self._version_asked: Version = "5"

    @property
    def endpoint(self) -> Endpoint:
        """Where the broker is, as of the last attempt to connect."""
        if self._endpoint is None:
            self._endpoint = self._ask_endpoint()
        return self._endpoint

    @property
    def all_subscribed(self) -> bool:
        """Whether the broker has answered every subscription."""
        return self._up and not self._asked

    @property
    def up(self) -> bool:
        """Whether the connection is acknowledged and not lost."""
        client = self._client
        thread = None if client is None else client._thread  # paho tells nobody when its network thread died
        return self._up and thread is not None and thread.is_alive()

    def open(self) -> None:
        """Connect and wait for the acknowledgement, at most a few seconds.

        Raises:
            PublishError: there is no connection; the message says why and what to do. It may be tried again.
        """
        try:
            self._endpoint = self._ask_endpoint()
        except ConfigError as error:
            raise PublishError(str(error)) from error
        try:
            self._open_any_version()
        except WillRefusedError:  # said by the broker just now: asked again without
            self._open_any_version()

    def _open_any_version(self) -> None:
        wanted = self.endpoint.protocol
        if wanted != "auto":
            self._open_version(wanted, _CONNECT_TIMEOUT_S)
            return
        silent: NoAnswerError | None = None
        try:
            self._open_version("5", _CONNECT_TIMEOUT_S if self._versions.spoke_5 else _PROBE_TIMEOUT_S)
            self._versions.answered_5()
            return
        except VersionRefusedError:
            self._versions.refused_5()
        except NoAnswerError as error:
            if not self._versions.try_older():
                raise
            silent = error
        try:
            self._open_version("3.1.1", _CONNECT_TIMEOUT_S)
        except NoAnswerError as error:
            raise silent or error from error  # one thing to say about one broker, whatever it was asked
        if self._versions.answered_older():
            self._ask_once_more()

    def _ask_once_more(self) -> None:
        """It answered 3.1.1, perhaps only because it came back just then."""
        self.close()
        try:
            self._open_version("5", _PROBE_TIMEOUT_S)
            self._versions.answered_5()
        except (VersionRefusedError, NoAnswerError):
            self._open_version("3.1.1", _CONNECT_TIMEOUT_S)
            self._versions.answered_older()

    @property
    def older(self) -> bool:
        """Whether it speaks an older version than it was asked for."""
        return self._up and self._versions.older and self.endpoint.protocol == "auto"

    def _open_version(self, version: Version, timeout_s: float) -> None:
        self.abandon()
        client = self._new_client(version)
        self._version_asked = version
        self._forget_last()
        try:
            self._apply_tls(client)
            self._connect(client, version)
        except (OSError, *_REFUSED_BY_PAHO) as error:
            raise translated(error, self.endpoint, also=self._own_certificate_problem()) from error
        self._client = client
        client.loop_start()
        answered = self._answered.wait(timeout_s)
        if self._up:
            self.version = version
            return
        self.abandon()
        if self._refused:
            self._lower_will(self._refused)
            raise refusal(self._refused, self.endpoint)
        how = "closed the connection" if answered else f"did not answer within {timeout_s:g} s"
        raise NoAnswerError(
            f"broker {self.endpoint} {how} before acknowledging MQTT {version}; check that it is an MQTT broker, "
            "that it runs and takes more connections, and mqtt.tls, mqtt.transport and mqtt.protocol"
            + (f"; {also}" if (also := self._own_certificate_problem()) else "")
        )

    def _own_certificate_problem(self) -> str | None:
        return own_certificate_problem(self.endpoint.tls.certificate) if self.endpoint.tls else None

    def _forget_last(self) -> None:
        """What the last connection said holds for the next one no more."""
        self._answered.clear()
        self._refused, self.loss, self.loss_reason, self.limits = None, None, None, Limits()
        self._delivered.clear()
        with self._subscribing:
            self._asked.clear()
            self.refused_subscriptions = {}

    def _lower_will(self, reason: str) -> None:
        """A broker that cannot keep the will refuses the connection: the will becomes what it can keep."""
        if reason == "Retain not supported" and self._will_retain:
            self._will_retain = False
        elif reason == "QoS not supported" and self._will_qos:
            self._will_qos = 0
        else:
            return
        raise WillRefusedError(f"broker {self.endpoint}: {reason.lower()}; it is asked again")

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
            client.will_set(self.will.topic, self.will.payload, qos=self._will_qos, retain=self._will_retain)
        client.on_connect, client.on_disconnect = self._connected, self._disconnected
        client.on_publish, client.on_message = self._published, self._received
        client.on_subscribe = self._subscribed
        return client

    def _connect(self, client: paho.Client, version: Version) -> None:
        e = self.endpoint
        if version == "5":
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            if self._largest_bytes is not None:
                properties.MaximumPacketSize = self._largest_bytes
            client.connect(e.host, e.port, keepalive=e.keepalive_s, clean_start=True, properties=properties)
        else:
            client.connect(e.host, e.port, keepalive=e.keepalive_s)

    def _apply_tls(self, client: paho.Client) -> None:
        tls = self.endpoint.tls
        if tls is None:
            return
        check_files(tls.ca, tls.certificate, tls.key)
        client.tls_set(
            ca_certs=str(tls.ca) if tls.ca else None,
            certfile=str(tls.certificate) if tls.certificate else None,
            keyfile=str(tls.key) if tls.key else None,
            cert_reqs=ssl.CERT_NONE if tls.insecure else ssl.CERT_REQUIRED,
            keyfile_password=refuse_to_ask,  # type: ignore[arg-type] # paho hands it to ssl, which calls it
        )
        if tls.insecure:
            client.tls_insecure_set(True)

    # Called by paho on its network thread --------------------------------------------------------------------------

    def _connected(self, client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, props: Any) -> None:
        if client is not self._client:
            return
        if reason.is_failure:
            self._refused = reason.getName()
        else:
            self.limits = Limits.of(props)
            self._up = True
            self._subscribe(client)
        self._answered.set()

    def _subscribe(self, client: paho.Client) -> None:
        for subscription in self.subscriptions:
            self._subscribe_to(client, subscription)

    def _subscribe_to(self, client: paho.Client, subscription: Subscription) -> None:
        whole = self.limits.wildcards_available or not any(c in subscription.topic for c in "+#")
        for topic in (subscription.topic,) if whole else subscription.instead:
            qos = min(subscription.qos, self.limits.maximum_qos)
            with self._subscribing:
                if client is not self._client:
                    return  # the next connection subscribes by itself
                if self._version_asked == "5":
                    options = SubscribeOptions(qos, noLocal=not subscription.own)
                    _, message_id = client.subscribe(topic, options=options)
                else:
                    _, message_id = client.subscribe(topic, qos)
                if message_id is not None:
                    self._asked[message_id] = topic

    def _subscribed(
        self, client: paho.Client, _data: Any, message_id: int, reasons: list[ReasonCode], _props: Any
    ) -> None:
        if client is not self._client:
            return
        with self._subscribing:
            topic = self._asked.get(message_id)
            if topic is not None:
                for refused in (reason for reason in reasons if reason.is_failure):
                    self.refused_subscriptions[topic] = refused.getName().lower()
                del self._asked[message_id]
        self._changed()

    def _disconnected(self, client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _props: Any) -> None:
        if client is not self._client:
            return
        name = reason.getName()
        self.loss = f"broker {self.endpoint}: connection lost ({name.lower()})"
        if name in REMEDIES:
            self.loss += f"; {REMEDIES[name]}"
            self.loss_reason = name
        self._up = False
        self._answered.set()
        self._changed()

    def _published(self, client: paho.Client, _data: Any, mid: int, reason: ReasonCode, _props: Any) -> None:
        if client is self._client:
            self._delivered.append(Delivery(mid, reason.getName() if reason.is_failure else None))
            self._changed()

    def _received(self, client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        if client is not self._client or self._on_message is None:
            return
        props = message.properties
        try:
            incoming = Incoming(
                message.topic,
                bytes(message.payload),
                bool(message.retain),
                getattr(props, "ContentType", None),
                getattr(props, "ResponseTopic", None),
                getattr(props, "CorrelationData", None),
                dict(getattr(props, "UserProperty", [])),
            )
        except UnicodeDecodeError:
            return  # MQTT topics are UTF-8: a broker that passes another is broken, and the topic is not ours
        try:
            self._on_message(incoming)
        except Exception as error:  # noqa: BLE001 - the network thread must outlive what it hands over
            _log.exception("unexpected error on %r", incoming.topic)
            self.loss = f"broker {self.endpoint}: internal error ({type(error).__name__}: {error}); connecting anew"
            self._up = False
            self._changed()

    def _changed(self) -> None:
        if self._on_change is not None:
            try:
                self._on_change()
            except Exception:  # noqa: BLE001 - the network thread must outlive what it calls
                _log.exception("unexpected error after a change of the connection")

    # Called by the owner ---------------------------------------------------------------------------------------------

    def send(self, topic: str, payload: bytes, *, qos: int, retain: bool, metadata: Metadata) -> int:
        """Hand one message to the network thread; `delivered` names the returned id once it is out (QoS 1: confirmed).

        Raises:
            NotConnectedError: there is no connection.
            UnsendableError: no connection could take it.
        """
        client = self._client
        if client is None or not self._up:
            raise NotConnectedError(f"broker {self.endpoint}: not connected; it is tried again")
        try:
            properties = self._properties(metadata) if self.version == "5" else None
            info = client.publish(
                topic,
                payload,
                qos=min(qos, self.limits.maximum_qos),
                retain=retain and self.limits.retain_available,
                properties=properties,
            )
        except OSError as error:
            self._up = False
            raise NotConnectedError(f"broker {self.endpoint}: connection lost ({error}); it is tried again") from error
        except _REFUSED_BY_PAHO as error:
            raise UnsendableError(f"{topic}: {len(payload)} bytes cannot be published ({error}); send less") from error
        if info.rc != paho.MQTT_ERR_SUCCESS:
            self._up = False
            raise NotConnectedError(f"broker {self.endpoint}: {paho.error_string(info.rc)} it is tried again")
        return info.mid

    def subscribe(self, subscription: Subscription) -> None:
        """Receive that too, on this connection and those after it."""
        self.subscriptions = (*self.subscriptions, subscription)
        if self._client is not None and self._up:
            self._subscribe_to(self._client, subscription)

    def unsubscribe(self, topics: Sequence[str]) -> None:
        """Receive these no more; a broker that is gone, or that never granted them, is fine."""
        if self._client is not None and self._up and topics:
            self._client.unsubscribe(list(topics))

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

    def delivered(self) -> list[Delivery]:
        """What went out (QoS 0), or was confirmed or refused (QoS 1), since the last call."""
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
            # One that was closed or lost meanwhile is fine: the network thread is ending by itself.
            with contextlib.suppress(OSError, ValueError), socket.socket(fileno=os.dup(sock.fileno())) as raw:
                raw.shutdown(socket.SHUT_RDWR)  # wakes whoever waits on it
        client.loop_stop()
