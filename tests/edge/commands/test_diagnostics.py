"""The bundle for whoever helps: all of it is there, and no secret is, wherever secrets were put."""

from __future__ import annotations

import base64
import json
import stat
import tarfile
from pathlib import Path
from urllib.parse import quote

import pytest
import typer
import yaml
from typer.testing import CliRunner

from edge.commands.diagnostics import diagnostics
from edge.config.hidden import Secrets

REPOSITORY = Path(__file__).resolve().parents[3]
SECRETS = {
    "camera": "Cam#Pass/w?rd@1",
    "user": "installer-7",
    "token": "tok3n-of-the-query",
    "path": "channel-0f9e8d7c",
    "mqtt": "br0ker-Passw\"rd\\",
    "username": "mqtt-account",
    "key": "outside-key-12345",
    "tls": "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC",
    "environment": "env-s3cret-value",
    "short": "x9Q",
}  # fmt: skip


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """A configuration with a secret in each place that may have one, beside a log that repeats all of them."""
    for name in ("mqtt", "key"):
        (tmp_path / f"{name}.secret").write_text(SECRETS[name] + "\n", encoding="utf-8")
    pem = f"-----BEGIN PRIVATE KEY-----\n{SECRETS['tls']}\n-----END PRIVATE KEY-----\n"
    (tmp_path / "tls.key").write_text(pem)
    (tmp_path / "tls.crt").write_text("certificate")
    login = f"{SECRETS['user']}:{quote(SECRETS['camera'], safe='')}"
    query = f"?token={SECRETS['token']}"
    urls = [
        f"rtsp://{login}@10.0.0.9:554/{SECRETS['path']}{query}",
        f"http://admin:{SECRETS['short']}@10.0.0.8/snapshot.jpg",
    ]
    sources = [{"type": "rtsp", "url": urls[0]}, {"type": "http", "url": urls[1]}]
    config = {
        "device": {"name": "attic-7"},
        "cameras": [
            {"name": f"c{n}", "source": source, "projection": "equirectangular"} for n, source in enumerate(sources)
        ],
        "mqtt": {
            "host": "127.0.0.1",
            "port": 1,
            "username": SECRETS["username"],
            "password_file": "mqtt.secret",
            "tls": {"cert": "tls.crt", "key": "tls.key"},
        },
        "http": {"port": 1, "key_file": "key.secret"},
        "inference": {"engines": str(REPOSITORY / "engines")},
    }
    text = f"# the camera's password is {SECRETS['camera']}\n" + yaml.safe_dump(config)
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    lines = [f"INFO edge: {name} is {value}" for name, value in SECRETS.items()]
    lines += [f"ERROR edge: {url}: refused" for url in urls]
    lines += [json.dumps({"message": value}) for value in SECRETS.values()]
    lines.append("Authorization: Basic " + base64.b64encode(f"{SECRETS['user']}:{SECRETS['camera']}".encode()).decode())
    (tmp_path / "edge.log").write_text("\n".join([*lines, "WARNING edge: the last line"]), encoding="utf-8")
    return tmp_path


def bundle(folder: Path) -> dict[str, str]:
    """What `edge diagnostics` writes, by name of the file; only its owner may read it."""
    out = folder / "edge.tar.gz"
    app = typer.Typer()
    app.command()(diagnostics)
    command = [str(out), "--config", str(folder / "config.yaml")]
    done = CliRunner().invoke(
        app, [*command, "--no-check", "--log", str(folder / "edge.log")], env={"EDGE_API_KEY": SECRETS["environment"]}
    )
    assert done.exit_code == 0, done.output
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    with tarfile.open(out) as archive:
        texts = {}
        for entry in archive.getmembers():
            file = archive.extractfile(entry)
            assert file is not None
            texts[entry.name.removeprefix("edge/")] = file.read().decode()
    return texts


def assert_free_of_secrets(texts: dict[str, str]) -> None:
    """As they are, percent-encoded, escaped in JSON and in Base64."""
    written = "\n".join(texts.values())
    for name, secret in SECRETS.items():
        ways = {secret, quote(secret, safe=""), json.dumps(secret)[1:-1]}
        if len(secret) > 6:
            ways.add(base64.b64encode(secret.encode()).decode().rstrip("="))
        for way in ways:
            assert way not in written, name
    assert base64.b64encode(f"{SECRETS['user']}:{SECRETS['camera']}".encode()).decode() not in written


def test_no_secret_is_in_it_and_everything_else_is(device: Path) -> None:
    """Whatever holds secrets, none gets out; hosts, settings, versions and the log's last line do."""
    texts = bundle(device)
    assert_free_of_secrets(texts)
    shown = yaml.safe_load(texts["configuration.yaml"])
    assert [c["source"]["url"] for c in shown["cameras"]] == ["rtsp://10.0.0.9:554", "http://10.0.0.8"]
    assert (shown["device"]["name"], shown["mqtt"]["host"], shown["mqtt"]["username"]) == (
        "attic-7",
        "127.0.0.1",
        "***",
    )
    assert shown["tasks"]["depth"]["every_s"] == 0.5, "defaults are shown too"
    assert "numpy" in json.loads(texts["versions.json"])["packages"]
    assert json.loads(texts["machine.json"])["memory_total_bytes"] > 0
    assert texts["log.txt"].rstrip().endswith("WARNING edge: the last line")
    assert texts["log.txt"].count("\n") > len(SECRETS), "lines stay, with *** for what was secret"
    for part in ("health.json", "metrics.txt"):
        assert texts[part].startswith("could not be had"), "nothing runs here"


def test_a_wrong_configuration_is_told_without_its_secrets(device: Path) -> None:
    """What is wrong with it comes instead of it."""
    config = device / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("type: http", "type: hhtp"), encoding="utf-8")
    log = device / "edge.log"
    in_files = [SECRETS[name] for name in ("mqtt", "key", "tls")]  # which a file that is no configuration does not name
    in_files += [json.dumps(secret)[1:-1] for secret in in_files]
    lines = log.read_text(encoding="utf-8").split("\n")
    log.write_text("\n".join(line for line in lines if not any(secret in line for secret in in_files)))
    texts = bundle(device)
    assert "hhtp" in texts["configuration.txt"]
    assert_free_of_secrets(texts)


def test_a_short_secret_does_not_spoil_every_word() -> None:
    """One of few letters is struck out where it stands alone; what merely sounds like a path stays."""
    secrets = Secrets(None, {"DB_PASSWORD": "ed", "SSH_KEY_FILE": "/etc", "PATH": "edge"})
    assert secrets.strike("ed: edge needed ed.") == "***: edge needed ***."
    assert secrets.strike("/etc/edge") == "/etc/edge"
