"""TLS files that cannot work: each is named with its own remedy, and nothing asks for a passphrase."""

from __future__ import annotations

import gc
import shutil
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from edge.errors import PublishError
from edge.mqtt.endpoint import Endpoint, TlsOptions
from edge.mqtt.link import Link
from edge.mqtt.tls import own_certificate_problem, refuse_to_ask
from edge.mqtt.topics import Topics
from edge.publish.trial import try_broker

pytestmark = [
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed; it makes the certificates"),
    # The TLS library under paho leaves the socket of a failed handshake to the garbage collector, which warns of it.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def openssl(arguments: str, folder: Path) -> None:
    """Run it in a folder."""
    subprocess.run(["openssl", *arguments.split()], cwd=folder, check=True, capture_output=True)


def signed(folder: Path, name: str, from_days: float, to_days: float) -> None:
    """A certificate `name`.crt for 127.0.0.1, signed by ca.crt, valid from and to so many days from now."""
    openssl(f"req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr", folder)
    (folder / "index").write_text("")
    (folder / "ca.conf").write_text(
        "[ca]\ndefault_ca=own\n[own]\ndatabase=index\nnew_certs_dir=.\ndefault_md=sha256\nrand_serial=yes\n"
        "policy=any\nunique_subject=no\n[any]\ncommonName=supplied\n[ext]\nsubjectAltName=IP:127.0.0.1\n"
    )
    begin, end = (
        (datetime.now(timezone.utc) + timedelta(days=days)).strftime("%Y%m%d%H%M%SZ") for days in (from_days, to_days)
    )
    openssl(
        f"ca -batch -notext -config ca.conf -cert ca.crt -keyfile ca.key -in {name}.csr -out {name}.crt "
        f"-startdate {begin} -enddate {end} -extensions ext",
        folder,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An authority, and a certificate that is well."""
    openssl("req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=authority -keyout ca.key -out ca.crt", tmp_path)
    signed(tmp_path, "good", -1, 10)
    return tmp_path


def error_of(port: int, folder: Path, **files: str) -> str:
    """What opening a connection with these files says."""
    link = Link(Endpoint("127.0.0.1", port, tls=TlsOptions(**{k: folder / v for k, v in files.items()})), "edge")
    with pytest.raises(PublishError) as caught:
        link.open()
    said = str(caught.value)
    del caught, link
    gc.collect(1)  # what was just let go of is young
    return said


def test_every_file_that_is_not_usable_has_its_remedy(folder: Path) -> None:
    """An encrypted key of either form, DER, PKCS #12, what is empty, no certificate at all, or not of that key."""
    openssl("pkey -in good.key -aes256 -passout pass:hidden -out encrypted.key", folder)
    openssl("rsa -in good.key -traditional -aes256 -passout pass:hidden -out legacy.key", folder)
    openssl("x509 -in good.crt -outform DER -out good.der", folder)
    openssl("pkey -in good.key -outform DER -out key.der", folder)
    openssl("pkcs12 -export -in good.crt -inkey good.key -passout pass:hidden -out good.p12", folder)
    (folder / "empty").write_text("")
    (folder / "text").write_text("hello")
    well = {"ca": "ca.crt", "certificate": "good.crt", "key": "good.key"}
    for files, key, words in (
        ({"key": "encrypted.key"}, "mqtt.tls.key", "is encrypted"),
        ({"key": "legacy.key"}, "mqtt.tls.key", "is encrypted"),
        ({"ca": "good.der"}, "mqtt.tls.ca", "openssl x509 -inform DER"),
        ({"certificate": "good.der"}, "mqtt.tls.cert", "openssl x509 -inform DER"),
        ({"key": "key.der"}, "mqtt.tls.key", "openssl pkey -inform DER"),
        ({"certificate": "good.p12"}, "mqtt.tls.cert", "openssl pkcs12"),
        ({"certificate": "good.key"}, "mqtt.tls.cert", "no certificate"),
        ({"key": "good.crt"}, "mqtt.tls.key", "no private key"),
        ({"certificate": "good.csr"}, "mqtt.tls.cert", "no certificate"),
        ({"ca": "empty"}, "mqtt.tls.ca", "is empty"),
        ({"key": "text"}, "mqtt.tls.key", "is not PEM"),
        ({"key": "ca.key"}, "mqtt.tls.key", "belong together"),
        ({"ca": "gone"}, "a TLS file is missing", "gone"),
        ({"key": "."}, "mqtt.tls.key", "cannot read"),
    ):
        said = error_of(1, folder, **(well | files))
        assert key in said, said
        assert words in said


def test_openssl_is_never_let_ask() -> None:
    """What it calls for a passphrase refuses, whatever the file looked like."""
    with pytest.raises(PublishError, match="passphrase"):
        refuse_to_ask()


@pytest.mark.parametrize(
    ("days", "words"), [((5, 10), ("not yet valid", "the device's clock says")), ((-9, -5), ("expired", "renew"))]
)
def test_a_broker_s_certificate_out_of_its_time(
    mosquitto: Any, folder: Path, days: tuple[int, int], words: tuple[str, str]
) -> None:
    """Not yet valid speaks of the clock, expired of renewing; neither of mqtt.tls.ca."""
    signed(folder, "broker", *days)
    port = mosquitto(listener=f"certfile {folder / 'broker.crt'}\nkeyfile {folder / 'broker.key'}\n").port
    said = error_of(port, folder, ca="ca.crt")
    assert all(word in said for word in words), said
    assert "mqtt.tls.ca" not in said


def test_this_device_s_certificate_out_of_its_time(mosquitto: Any, folder: Path) -> None:
    """A broker that wants one refuses it; why is said when connecting, and by the trial also where none refuses."""
    signed(folder, "late", 5, 10)
    signed(folder, "old", -9, -5)
    assert own_certificate_problem(folder / "good.crt") is None
    assert own_certificate_problem(folder / "good.key") is None
    listener = f"certfile {folder / 'good.crt'}\nkeyfile {folder / 'good.key'}\ncafile {folder / 'ca.crt'}\n"
    strict = mosquitto(listener=f"{listener}require_certificate true\n").port
    lax = mosquitto(listener=listener).port
    for name, words in (("late", "not valid before"), ("old", "expired on")):
        files = {"ca": "ca.crt", "certificate": f"{name}.crt", "key": f"{name}.key"}
        assert words in error_of(strict, folder, **files)
        options = TlsOptions(**{k: folder / v for k, v in files.items()})
        with pytest.raises(PublishError, match="the device's clock says"):
            try_broker(Endpoint("127.0.0.1", lax, tls=options), Topics("dev"), "x")
    well = TlsOptions(folder / "ca.crt", folder / "good.crt", folder / "good.key")
    assert "read back" in try_broker(Endpoint("127.0.0.1", strict, tls=well), Topics("dev"), "x")


def test_a_broker_without_tls_is_recognised(mosquitto: Any, folder: Path) -> None:
    """It is not the certificates that are wrong."""
    assert "mqtt.tls" in error_of(mosquitto().port, folder, ca="ca.crt")
