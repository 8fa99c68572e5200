"""TLS that cannot work: said with its own remedy, tried again slowly, and ended at once."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.brokers import Mosquitto, wait_until
from tests.edge.mqtt.test_tls import openssl, signed
from tests.faults.device import Device, Figures, lasting, soon
from tests.integration.conftest import REPOSITORY

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed; it makes the certificates"),
]


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """An authority, another one, and certificates of a broker at 127.0.0.1: good and expired."""
    openssl("req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=authority -keyout ca.key -out ca.crt", tmp_path)
    openssl("req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=other -keyout other.key -out other.crt", tmp_path)
    signed(tmp_path, "good", -1, 10)
    signed(tmp_path, "expired", -9, -5)
    return tmp_path


def unwrapped(table: str) -> str:
    """The words of a table, without its lines, as if its columns were wide enough."""
    return " ".join(re.sub("[\u2500-\u257f]", " ", table).split())


@pytest.mark.parametrize(
    ("row", "certificate", "host", "tls", "words"),
    [
        ("9a", "good", "127.0.0.1", "other.crt", ("certificate was not accepted", "mqtt.tls.ca")),
        ("9b", "good", "localhost", "ca.crt", ("certificate was not accepted", "mismatch", "mqtt.host")),
        ("9c", "expired", "127.0.0.1", "ca.crt", ("expired", "renew", "the device's clock says")),
        ("9d", "good", "127.0.0.1", None, ("closed the connection", "mqtt.tls")),
    ],
)
def test_tls_that_cannot_work(
    device: Callable[..., Device],
    mosquitto: Callable[..., Mosquitto],
    figures: Figures,
    certificates: Path,
    row: str,
    certificate: str,
    host: str,
    tls: str | None,
    words: tuple[str, ...],
) -> None:
    """Wrong authority, name, date, or none at all: one warning with its remedy, at most 15 attempts in 30 s; exit 0."""
    log = certificates / "log"
    files = f"certfile {certificates / certificate}.crt\nkeyfile {certificates / certificate}.key\n"
    broker = mosquitto(listener=files, settings=f"allow_anonymous true\nlog_dest file {log}\nlog_type all\n")
    encrypted = None if tls is None else {"ca": str(certificates / tls)}
    run = device(broker.port, mqtt={"host": host, "tls": encrypted})
    assert run.said(words[0], timeout_s=60), run.heard()
    begun_s, before = time.monotonic(), log.read_text().count("New connection")
    time.sleep(lasting(4, 30))
    tries = log.read_text().count("New connection") - before
    check = subprocess.run(
        [sys.executable, "-m", "edge", "check", "--config", str(run.path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    status, took_s = run.end()
    figures.note(
        row,
        connections=tries,
        after_s=round(time.monotonic() - begun_s),
        status=status,
        end_s=round(took_s, 2),
        check=check.returncode,
        said=run.heard("WARNING"),
    )
    warnings = [line for line in run.heard() if words[0] in line]
    assert all(word in " ".join(warnings) for word in words), warnings
    assert len(warnings) <= 2
    assert tries <= 15
    assert (status, soon(took_s), check.returncode) == (0, True, 1)
    assert words[0] in unwrapped(check.stdout + check.stderr)


def test_tls_that_works(
    device: Callable[..., Device], mosquitto: Callable[..., Mosquitto], figures: Figures, certificates: Path
) -> None:
    """The right authority: connected, as MQTT 5, and states, results and health go out."""
    files = f"certfile {certificates / 'good.crt'}\nkeyfile {certificates / 'good.key'}\n"
    broker = mosquitto(listener=files)
    run = device(broker.port, mqtt={"tls": {"ca": str(certificates / "ca.crt")}})
    assert run.said("MQTT 5", timeout_s=60)
    assert wait_until(lambda: run.produced() > 10, 60)
    status, took_s = run.end()
    figures.note("9e", status=status, end_s=round(took_s, 2), said=run.heard("connected"), last=run.heard("published"))
    assert status == 0
    assert not run.heard("nothing published")
