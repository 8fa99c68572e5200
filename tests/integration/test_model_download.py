"""`edge engines install https://...` against a real TLS server with an authority of its own: all, or nothing."""

from __future__ import annotations

import http.server
import shutil
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from edge.__main__ import app
from edge.commands import download
from edge.commands.download import download as fetch
from edge.errors import EngineError
from tests.edge.mqtt.test_tls import openssl, signed
from tests.integration.conftest import REPOSITORY

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")

CONTENT = bytes(range(256)) * 4096
LARGEST = 2 << 20


class Publisher(http.server.BaseHTTPRequestHandler):
    """Gives the same megabyte, in the ways in which a server or a network may fail."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """As the path says."""
        self.close_connection = True
        if self.path == "/moved":
            self._head(302, Location="http://127.0.0.1/model.tar", **{"Content-Length": "0"})
        elif self.path == "/cut":
            self._head(200, **{"Content-Length": str(len(CONTENT))})
            self.wfile.write(CONTENT[:1000])
        elif self.path == "/huge":
            self._head(200, **{"Content-Length": str(1 << 40)})
        elif self.path == "/endless":
            self._head(200)
            for _ in range(10):
                self.wfile.write(CONTENT)
        elif self.path == "/slow":
            self._head(200, **{"Content-Length": str(len(CONTENT))})
            for _ in range(100):
                self.wfile.write(b"x")
                time.sleep(0.05)
        elif self.path == "/silent":
            self._head(200, **{"Content-Length": str(len(CONTENT))})
            time.sleep(3)
        elif self.path == "/model.tar":
            self._head(200, **{"Content-Length": str(len(self.server.content))})  # type: ignore[attr-defined]
            self.wfile.write(self.server.content)  # type: ignore[attr-defined]
        else:
            self._head(404, **{"Content-Length": "0"})

    def _head(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


class Server(http.server.ThreadingHTTPServer):
    """It does not mind who hangs up."""

    daemon_threads = True
    content = CONTENT

    def handle_error(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, another one, and the server's certificate by the first."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("ca", "other"):
        openssl(
            f"req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN={name} -keyout {name}.key -out {name}.crt", folder
        )
    signed(folder, "server", -1, 10)
    return folder


@pytest.fixture
def server(certificates: Path) -> Iterator[Server]:
    """Serves over TLS on a free port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.crt", certificates / "server.key")
    httpd = Server(("127.0.0.1", 0), Publisher)
    httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield httpd
    httpd.shutdown()
    httpd.server_close()


def url(server: Server, path: str) -> str:
    """An address of the server's."""
    return f"https://127.0.0.1:{server.server_address[1]}{path}"


def test_the_right_authority_gives_all_of_it(server: Server, certificates: Path, tmp_path: Path) -> None:
    """Byte by byte."""
    fetch(url(server, "/model.tar"), tmp_path / "a", LARGEST, ca=certificates / "ca.crt")
    assert (tmp_path / "a").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "ca", "words"),
    [
        ("/model.tar", "other.crt", ("certificate", "--ca", "not another")),
        ("/model.tar", None, ("certificate", "name the authority", "--ca")),
        ("/model.tar", "server.key", ("is no file of certificates", "PEM")),
        ("/moved", "ca.crt", ("sends to http://127.0.0.1/model.tar", "not followed", "https")),
        ("/cut", "ca.crt", ("the connection broke before all of it was there", "try again")),
        ("/huge", "ca.crt", ("larger than 2 MiB", "models.largest_mib")),
        ("/endless", "ca.crt", ("larger than 2 MiB", "models.largest_mib")),
        ("/slow", "ca.crt", ("comes too slowly", "see the network")),
        ("/silent", "ca.crt", ("nothing came for", "try again")),
        ("/none", "ca.crt", ("answers 404", "correct the address")),
    ],
)
def test_each_way_to_fail_is_told_apart(
    server: Server,
    certificates: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    ca: str | None,
    words: tuple[str, ...],
) -> None:
    """With what to do; what is slow or silent ends, and nothing larger than allowed comes to the disk."""
    monkeypatch.setattr(download, "_SLOW_S", 0.2)
    monkeypatch.setattr(download, "_READ_S", 1.0)
    to = tmp_path / "a"
    with pytest.raises(EngineError) as caught:
        fetch(url(server, path), to, LARGEST, ca=None if ca is None else certificates / ca)
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)
    assert not to.exists() or to.stat().st_size <= LARGEST


def test_a_command_that_is_stopped_gives_up(server: Server, certificates: Path, tmp_path: Path) -> None:
    """At the next piece that comes."""
    stop = threading.Event()
    stop.set()
    with pytest.raises(EngineError, match="nothing was changed"):
        fetch(url(server, "/model.tar"), tmp_path / "a", LARGEST, ca=certificates / "ca.crt", stop=stop)


@pytest.mark.parametrize("path", ["/cut", "/moved", "/model.tar"])
def test_nothing_is_half_installed(server: Server, certificates: Path, tmp_path: Path, path: str) -> None:
    """The command fails with one line, and the folder of models is as before; what is not encrypted is refused."""
    models = tmp_path / "models"
    config = tmp_path / "config.yaml"
    camera = {"name": "hall", "source": {"type": "v4l2"}, "hfov_deg": 70}
    engines = {"engines": str(REPOSITORY / "engines")}
    config.write_text(yaml.safe_dump({"cameras": [camera], "models": {"folder": str(models)}, "inference": engines}))
    address = url(server, path)
    more = ["--config", str(config), "--ca", str(certificates / "ca.crt")]
    for what in (address, address.replace("https", "http")):
        done = CliRunner().invoke(app, ["engines", "install", what, *more])
        assert done.exit_code == 1, done.output
        assert "Traceback" not in done.output
        assert not [file for file in models.rglob("*") if file.is_file()]
    assert "not encrypted" in done.stderr
