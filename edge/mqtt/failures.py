"""What goes wrong with a connection, with what to do: the words of MQTT, of TLS and of the system as our errors."""

from __future__ import annotations

import socket
import ssl

from edge.errors import PublishError
from edge.mqtt.tls import clock

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


_NOT_YET_VALID, _EXPIRED, _OTHER_NAME, _OTHER_ADDRESS = 9, 10, 62, 64
"""OpenSSL's X509_V_ERR_..."""
_TLS_REASONS = {
    "KEY_VALUES_MISMATCH": "mqtt.tls.key is not the key of mqtt.tls.cert; name the two that belong together",
    "WRONG_VERSION_NUMBER": "this port does not speak TLS; correct mqtt.port (usual: 8883), or remove mqtt.tls",
    "EE_KEY_TOO_SMALL": "the key is too short to be safe; have a certificate with a longer one made",
    "CA_MD_TOO_WEAK": "a certificate is signed with an unsafe hash; have a new one made",
    "UNSUPPORTED_PROTOCOL": "the broker speaks only old versions of TLS; update it",
    "PROTOCOL_VERSION": "the broker speaks other versions of TLS than this device; update it",
    "CERTIFICATE_EXPIRED": "the broker says that this device's certificate has expired; have a new one made",
    "CERTIFICATE_REQUIRED": "the broker asks for a certificate of this device; set mqtt.tls.cert and mqtt.tls.key",
    "HANDSHAKE_FAILURE": "the broker wants another certificate or cipher; set mqtt.tls.cert and mqtt.tls.key",
    "UNKNOWN_CA": "the broker does not know who signed this device's certificate; correct mqtt.tls.cert",
    "BAD_CERTIFICATE": "the broker does not accept this device's certificate; correct mqtt.tls.cert",
    "CERTIFICATE_UNKNOWN": "the broker does not accept this device's certificate; correct mqtt.tls.cert",
}
"""By a part of OpenSSL's name of the error."""


def translated(error: Exception, endpoint: object, *, also: str | None = None) -> PublishError:
    """A vendor's or the system's exception as ours, with what to do; `also`: what is wrong besides."""
    cases: tuple[tuple[type[Exception], str], ...] = (
        (ssl.SSLCertVerificationError, f"its certificate was not accepted ({error}); {_certificate_remedy(error)}"),
        (ssl.SSLError, f"TLS failed ({error}); {_tls_remedy(error)}"),
        (ConnectionRefusedError, "nothing listens there; start the broker, or correct mqtt.host and mqtt.port"),
        (socket.gaierror, "the name is not known; correct mqtt.host, or the network's name server"),
        (TimeoutError, "no answer; check the network and firewall, mqtt.host and mqtt.port"),
        (FileNotFoundError, f"a TLS file is missing ({error}); correct mqtt.tls"),
        (ConnectionError, f"connection closed ({error}); check mqtt.port, mqtt.transport and mqtt.tls"),
    )
    text = next((text for kind, text in cases if isinstance(error, kind)), None)
    text = text or f"{error}; check mqtt.host, mqtt.port and the network"
    return PublishError(f"broker {endpoint}: {text}" + (f"; {also}" if also else ""))


def _certificate_remedy(error: Exception) -> str:
    code = getattr(error, "verify_code", None)
    if code == _NOT_YET_VALID:
        return f"{clock()}: set it (timedatectl), or wait for the time server; if it is right, correct the certificate"
    if code == _EXPIRED:
        return f"{clock()}: if it is right, renew the certificate on the broker, or its authority's; else set it"
    if code in (_OTHER_NAME, _OTHER_ADDRESS):
        return "mqtt.host must be a name that is in the certificate"
    return "mqtt.tls.ca must be the file of the authority that signed the broker's certificate"


def _tls_remedy(error: Exception) -> str:
    name = getattr(error, "reason", None) or ""
    known = next((remedy for part, remedy in _TLS_REASONS.items() if part in name), None)
    return known or "check that this port speaks TLS, and mqtt.tls.cert and mqtt.tls.key"


def remedy_for(reason: str) -> str:
    """What to do about a reason that a broker gave, in MQTT's words."""
    return REMEDIES.get(reason, "look into the broker's log")


def refusal(reason: str, endpoint: object) -> PublishError:
    """The error of a connection that the broker refused."""
    remedy = remedy_for(reason)
    kind = VersionRefusedError if reason == "Unsupported protocol version" else PublishError
    return kind(f"broker {endpoint} refused: {reason.lower()}; {remedy}")
