"""What goes wrong with a connection, with what to do: the words of MQTT, of TLS and of the system as our errors."""

from __future__ import annotations

import socket
import ssl

from edge.errors import PublishError

REMEDIES = {
    "Unsupported protocol version": "set mqtt.protocol to what the broker speaks",
    "Client identifier not valid": "set mqtt.client_id to a name that the broker allows",
    "Bad user name or password": "correct mqtt.username and mqtt.password (or mqtt.password_file)",
    "Not authorized": "correct mqtt.username and mqtt.password, or allow this user in the broker's access list",
    "Server unavailable": "the broker is up but not ready; it is tried again",
    "Server busy": "the broker is overloaded; it is tried again",
    "Banned": "the broker bans this client; ask who runs it",
    "Session taken over": "another client uses the same mqtt.client_id; give each device its own",
    "Packet too large": "raise the broker's limit on packets, or set mqtt.max_packet_bytes below it",
    "Quota exceeded": "raise this client's quota on the broker",
    "Receive maximum exceeded": "please report this with the broker's name",
    "Topic name invalid": "choose another device.base_topic, device.name or camera name",
    "Payload format invalid": "let the broker pass JSON, PNG and GLB payloads",
}


class NotConnectedError(PublishError):
    """There is no connection; the message may be sent later."""


class UnsendableError(PublishError):
    """The message can never be sent."""


class WillRefusedError(PublishError):
    """The broker cannot keep the will as it was given."""


class NoAnswerError(PublishError):
    """The broker accepted the network connection but did not acknowledge MQTT."""


class VersionRefusedError(PublishError):
    """The broker said that it does not speak this version."""


def translated(error: Exception, endpoint: object) -> PublishError:
    """A vendor's or the system's exception as ours, with what to do."""
    tls = (
        "mqtt.tls.ca must be the file of the authority that signed the broker's certificate, for the name in mqtt.host"
    )
    cases: tuple[tuple[type[Exception], str], ...] = (
        (ssl.SSLCertVerificationError, f"its certificate was not accepted ({error}); {tls}"),
        (ssl.SSLError, f"TLS failed ({error}); check that this port speaks TLS, and mqtt.tls.cert and mqtt.tls.key"),
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


def remedy_for(reason: str) -> str:
    """What to do about a reason that a broker gave, in MQTT's words."""
    return REMEDIES.get(reason, "look into the broker's log")


def refusal(reason: str, endpoint: object) -> PublishError:
    """The error of a connection that the broker refused."""
    remedy = remedy_for(reason)
    kind = VersionRefusedError if reason == "Unsupported protocol version" else PublishError
    return kind(f"broker {endpoint} refused: {reason.lower()}; {remedy}")
