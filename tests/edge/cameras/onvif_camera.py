"""A network camera that speaks ONVIF, as a process: `python -m tests.edge.cameras.onvif_camera HOST CLOCK_AHEAD_S`.

It answers probes by multicast, SOAP over HTTP as ONVIF's core and media specifications have it, and plays over RTSP.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import re
import socket
import struct
import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

from tests.edge.cameras.streams import Rtsp, _Server

USER, PASSWORD = "installer", "s3cret&<"
ENVELOPE = '<?xml version="1.0"?><env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope"><env:Body>{}'
END = "</env:Body></env:Envelope>"
MATCH = """<d:ProbeMatches xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><d:ProbeMatch>\
<d:Types>dn:NetworkVideoTransmitter</d:Types>\
<d:Scopes>onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/name/Hall%20Cam</d:Scopes>\
<d:XAddrs>{addresses}</d:XAddrs></d:ProbeMatch></d:ProbeMatches>"""


def soap_camera(host: str, rtsp_port: int, ahead_s: float) -> type[http.server.BaseHTTPRequestHandler]:
    """Its web services; the clock is so far ahead."""

    class Services(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_POST(self) -> None:
            """Answer one request."""
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, answer = self._answer(body)
            data = (ENVELOPE.format(answer) + END).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/soap+xml")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _answer(self, body: str) -> tuple[int, str]:
            now = datetime.now(timezone.utc) + timedelta(seconds=ahead_s)
            if "GetSystemDateAndTime" in body:
                parts = {"Hour": now.hour, "Minute": now.minute, "Second": now.second}
                day = {"Year": now.year, "Month": now.month, "Day": now.day}
                times = "".join(f"<tt:{k}>{v}</tt:{k}>" for k, v in parts.items())
                days = "".join(f"<tt:{k}>{v}</tt:{k}>" for k, v in day.items())
                return (
                    200,
                    f'<tt:UTCDateTime xmlns:tt="t"><tt:T>{times}</tt:T><tt:Date>{days}</tt:Date></tt:UTCDateTime>',
                )
            if not self._permitted(body, now):
                return 400, '<e:Fault xmlns:e="e"><e:Subcode>ter:NotAuthorized</e:Subcode></e:Fault>'
            if "GetCapabilities" in body:
                return 200, f'<tt:Media xmlns:tt="t"><tt:XAddr>http://{host}:8080/media</tt:XAddr></tt:Media>'
            if "GetProfiles" in body:
                return 200, '<m:Profiles xmlns:m="m" token="main"/><m:Profiles xmlns:m="m" token="sub"/>'
            token = re.search(r"ProfileToken>(\w+)<", body)
            assert token is not None
            return 200, f'<tt:Uri xmlns:tt="t">rtsp://{host}:{rtsp_port}/{token[1]}</tt:Uri>'

        @staticmethod
        def _permitted(body: str, now: datetime) -> bool:
            """By WS-Security's username token profile: digest of nonce, time and password, within five minutes."""
            found = {
                k: re.search(rf"<\w:{k}(?: [^>]*)?>([^<]*)<", body)
                for k in ("Username", "Password", "Nonce", "Created")
            }
            if not all(found.values()):
                return False
            user, password, nonce, created = (match[1] for match in found.values() if match)
            digest = hashlib.sha1(base64.b64decode(nonce) + created.encode() + PASSWORD.encode()).digest()
            age = abs(datetime.strptime(created, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc) - now)
            return user == USER and base64.b64decode(password) == digest and age < timedelta(minutes=5)

    return Services


def answer_probes(host: str) -> None:
    """Join the group, and answer with an address elsewhere first, which nobody may be led to."""
    group = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    group.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    group.bind(("", 3702))
    member = struct.pack("4s4s", socket.inet_aton("239.255.255.250"), socket.inet_aton(host))
    group.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    answers = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    answers.bind((host, 0))
    match = MATCH.format(addresses=f"http://10.9.9.9/elsewhere http://{host}:8080/device")
    while True:
        data, sender = group.recvfrom(65536)
        if b"Probe" in data and b"NetworkVideoTransmitter" in data:
            for text in (b"\xff no xml", b"<unfinished", (ENVELOPE.format(match) + END).encode()):
                answers.sendto(text, sender)


if __name__ == "__main__":
    address = sys.argv[1]
    clip = (Path(__file__).parent / "ball.ts").read_bytes()
    login = f"{USER}:{PASSWORD}"
    player = _Server((address, 0), type("Camera", (Rtsp,), {"ts": clip, "credentials": login}))
    services = http.server.ThreadingHTTPServer(
        (address, 8080), soap_camera(address, player.server_address[1], float(sys.argv[2]))
    )
    for target, arguments in ((player.serve_forever, ()), (services.serve_forever, ()), (answer_probes, (address,))):
        threading.Thread(target=target, args=arguments, daemon=True).start()
    print("ready", flush=True)
    while True:
        time.sleep(60)
