"""Network cameras that speak ONVIF: found by WS-Discovery, and asked where their streams are.

WS-Discovery 1.1 (a Probe by multicast, answers by unicast) and of ONVIF the parts that every Profile S camera has:
GetSystemDateAndTime, GetCapabilities, GetProfiles, GetStreamUri, with a WS-Security digest of the password. What comes
from the network is bounded in size and number, and only the host that answered is ever asked or shown.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import secrets
import socket
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import httpx
import psutil

from edge.errors import CameraError

_GROUP = ("239.255.255.250", 3702)
_MOST, _LARGEST_BYTES = 256, 1 << 16
_LARGEST_ANSWER_BYTES = 1 << 20
_ASK_S = 5.0
_SOAP = "http://www.w3.org/2003/05/soap-envelope"
_ONVIF = "http://www.onvif.org/ver10"
_PROBE = f"""<?xml version="1.0" encoding="utf-8"?>
<e:Envelope xmlns:e="{_SOAP}" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" \
xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:dn="{_ONVIF}/network/wsdl"><e:Header>\
<a:MessageID>uuid:{{id}}</a:MessageID><a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To>\
<a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action></e:Header><e:Body><d:Probe>\
<d:Types>dn:NetworkVideoTransmitter</d:Types></d:Probe></e:Body></e:Envelope>"""
_TOKEN = """<w:Security xmlns:w="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd" \
xmlns:u="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd" e:mustUnderstand="1">\
<w:UsernameToken><w:Username>{user}</w:Username><w:Password Type="http://docs.oasis-open.org/wss/2004/01/\
oasis-200401-wss-username-token-profile-1.0#PasswordDigest">{digest}</w:Password><w:Nonce>{nonce}</w:Nonce>\
<u:Created>{created}</u:Created></w:UsernameToken></w:Security>"""


@dataclass(frozen=True, slots=True)
class OnvifCamera:
    """A camera that answered."""

    host: str
    service: str
    """Address of its device service."""
    name: str
    """As it calls itself; its host if it does not."""


def probe(within_s: float = 3.0) -> list[OnvifCamera]:
    """The cameras that answer on any network of this machine, by host.

    Raises:
        CameraError: nothing could be sent.
    """
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(s) for s in _asked()]
        if not sockets:
            raise CameraError("no network to look for cameras on. Connect this machine to the cameras' network")
        found: dict[str, OnvifCamera] = {}
        until_s = time.monotonic() + within_s
        while time.monotonic() < until_s and len(found) < _MOST:
            heard = False
            for each in sockets:
                with contextlib.suppress(OSError):
                    data, (host, _) = each.recvfrom(_LARGEST_BYTES)
                    heard = True
                    camera = _answered(data, host)
                    if camera is not None:
                        found.setdefault(host, camera)
            if not heard:
                time.sleep(0.02)
    return sorted(found.values(), key=lambda camera: socket.inet_aton(camera.host))


def _asked() -> Iterator[socket.socket]:
    """A socket for each network, on which the probe was sent."""
    addresses = [a.address for found in psutil.net_if_addrs().values() for a in found if a.family == socket.AF_INET]
    for address in addresses:
        if address.startswith("127."):
            continue
        each = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            each.setblocking(False)
            each.bind((address, 0))
            each.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
            each.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
            each.sendto(_PROBE.format(id=uuid.uuid4()).encode(), _GROUP)
        except OSError:  # a network without multicast, such as a tunnel
            each.close()
            continue
        yield each


def _answered(data: bytes, host: str) -> OnvifCamera | None:
    """The camera, if it is an answer to a probe that names an address on the host that it came from."""
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError:
        return None
    services = [word for text in _texts(root, "XAddrs") for word in text.split() if _host(word) == host]
    if not services:
        return None
    scopes = [word for text in _texts(root, "Scopes") for word in text.split()]
    names = [scope.rpartition("/name/")[2] for scope in scopes if "/name/" in scope]
    return OnvifCamera(host, services[0], _readable(names[0]) if names else host)


def stream_addresses(camera: OnvifCamera, user: str | None, password: str | None) -> list[str]:
    """Where its streams are, the best first, without user and password.

    Raises:
        CameraError: it does not answer, wants another user or password, or says nothing of streams.
    """
    with httpx.Client(trust_env=False, timeout=_ASK_S, follow_redirects=False) as client:
        asked = _Asked(client, camera, user, password)
        capabilities = f'<t:GetCapabilities xmlns:t="{_ONVIF}/device/wsdl"><t:Category>Media</t:Category>'
        found = asked.texts(camera.service, f"{capabilities}</t:GetCapabilities>", "Media/XAddr")
        media = found[0] if found else None
        if media is None or _host(media) != camera.host:
            media = camera.service
        profiles = asked.answer(media, f'<t:GetProfiles xmlns:t="{_ONVIF}/media/wsdl"/>')
        tokens = [found.get("token", "") for found in profiles.iter() if _tag(found) == "Profiles"]
        addresses = []
        for token in tokens[:8]:
            body = (
                f'<t:GetStreamUri xmlns:t="{_ONVIF}/media/wsdl"><t:StreamSetup><s:Stream xmlns:s="{_ONVIF}/schema">'
                f'RTP-Unicast</s:Stream><s:Transport xmlns:s="{_ONVIF}/schema"><s:Protocol>RTSP</s:Protocol>'
                f"</s:Transport></t:StreamSetup><t:ProfileToken>{escape(token)}</t:ProfileToken></t:GetStreamUri>"
            )
            addresses += [uri for uri in asked.texts(media, body, "Uri") if _host(uri) == camera.host]
    if not addresses:
        raise CameraError(f"{camera.host}: says nothing of streams. Take the address of its stream from its manual")
    return list(dict.fromkeys(addresses))


class _Asked:
    """One camera's services."""

    def __init__(self, client: httpx.Client, camera: OnvifCamera, user: str | None, password: str | None) -> None:
        self._client, self._camera, self._user, self._password = client, camera, user, password or ""
        self._ahead = self._clock_ahead() if user is not None else timedelta()

    def texts(self, service: str, body: str, path: str) -> list[str]:
        """What stands in the elements at the end of that path of the answer."""
        *above, last = path.split("/")
        parents = [e for e in self.answer(service, body).iter() if not above or _tag(e) == above[-1]]
        return [c.text.strip() for e in parents for c in e.iter() if _tag(c) == last and c.text]

    def answer(self, service: str, body: str, *, login: bool = True) -> ElementTree.Element:
        """The answer's envelope.

        Raises:
            CameraError: there is none, or it is a refusal.
        """
        head = self._token() if login and self._user is not None else ""
        text = f'<e:Envelope xmlns:e="{_SOAP}"><e:Header>{head}</e:Header><e:Body>{body}</e:Body></e:Envelope>'
        host = self._camera.host
        try:
            with self._client.stream(
                "POST", service, content=text.encode(), headers={"Content-Type": "application/soap+xml; charset=utf-8"}
            ) as response:
                data = b""
                for piece in response.iter_bytes():
                    data += piece
                    if len(data) > _LARGEST_ANSWER_BYTES:
                        raise CameraError(f"{host}: answers without end. Take the stream's address from its manual")
            root = ElementTree.fromstring(data) if data else ElementTree.Element("nothing")
        except httpx.HTTPError as error:
            raise CameraError(f"{host}: does not answer ({type(error).__name__}). Check that it is on") from None
        except ElementTree.ParseError:
            raise CameraError(f"{host}: does not speak ONVIF as expected. Take the address from its manual") from None
        if response.status_code == httpx.codes.UNAUTHORIZED or b"NotAuthorized" in data:
            known = "refused user and password. Correct --username and --password-file"
            raise CameraError(f"{host}: {known if self._user else 'wants --username and --password-file'}")
        if response.status_code != httpx.codes.OK:
            raise CameraError(f"{host}: refused (HTTP {response.status_code}). Take the address from its manual")
        return root

    def _clock_ahead(self) -> timedelta:
        """How far the camera's clock is ahead of ours: the digest of a password holds for minutes."""
        root = self.answer(
            self._camera.service, f'<t:GetSystemDateAndTime xmlns:t="{_ONVIF}/device/wsdl"/>', login=False
        )
        utc = next((e for e in root.iter() if _tag(e) == "UTCDateTime"), None)
        try:
            parts = {_tag(e): int(e.text or "") for e in (utc.iter() if utc is not None else ()) if not len(e)}
            day = datetime(parts["Year"], parts["Month"], parts["Day"], tzinfo=timezone.utc)
            there = day + timedelta(hours=parts["Hour"], minutes=parts["Minute"], seconds=parts["Second"])
        except (KeyError, ValueError, OverflowError):
            return timedelta()
        return there - datetime.now(timezone.utc)

    def _token(self) -> str:
        nonce = secrets.token_bytes(16)
        created = (datetime.now(timezone.utc) + self._ahead).strftime("%Y-%m-%dT%H:%M:%SZ")
        digest = hashlib.sha1(nonce + created.encode() + self._password.encode(), usedforsecurity=False).digest()
        return _TOKEN.format(
            user=escape(self._user or ""),
            digest=base64.b64encode(digest).decode(),
            nonce=base64.b64encode(nonce).decode(),
            created=created,
        )


def _texts(root: ElementTree.Element, tag: str) -> list[str]:
    return [e.text for e in root.iter() if _tag(e) == tag and e.text]


def _tag(element: ElementTree.Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _host(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _readable(name: str) -> str:
    return "".join(c for c in unquote(name) if c.isprintable())[:80]
