"""The configuration file: what is accepted, and what is said of every mistake."""

from __future__ import annotations

import copy
import itertools
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from edge.config.broker import SpoolConfig
from edge.config.sections import Config, config_schema, load_config
from edge.errors import ConfigError, ConfigErrors, NotThereError
from edge.scene import CameraModel, Intrinsics

REPOSITORY = Path(__file__).resolve().parents[3]
CAMERA = """\
cameras:
  - name: hall
    source: {type: replay, path: clips}
    hfov_deg: 75
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what the shortest configuration needs."""
    for name in ("clips", "engines"):
        (tmp_path / name).mkdir()
    return tmp_path


def load(folder: Path, text: str) -> Config:
    """Write `text` as config.yaml and load it."""
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(path)


def complaints(folder: Path, text: str) -> tuple[ConfigError, ...]:
    """What is wrong with `text`."""
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    return caught.value.problems if isinstance(caught.value, ConfigErrors) else (caught.value,)


def test_shortest_file_is_enough(folder: Path) -> None:
    """A camera alone is a configuration: everything else has a default."""
    config = load(folder, CAMERA)
    assert config.cameras[0].tasks == ("depth", "layout", "lighting")
    assert config.mqtt.host is None
    assert config.inference.engines == folder / "engines"


def test_shipped_file_states_every_key() -> None:
    """The shipped file names every key of the schema, live or in a comment, so nobody has to read Python."""
    text = (REPOSITORY / "config.yaml").read_text(encoding="utf-8")
    schema = config_schema()
    keys = {key for part in (schema, *schema["$defs"].values()) for key in part["properties"]}
    assert {key for key in keys if f"{key}:" not in text} == set()


def test_shipped_file_shows_the_defaults() -> None:
    """Leaving out what the shipped file says changes nothing, but for the demo's pictures on the walls of its rooms."""
    shipped = load_config(REPOSITORY / "config.yaml")
    default = Config.model_validate(
        {"cameras": [camera.model_dump() for camera in shipped.cameras]}, context={"folder": REPOSITORY}
    )
    assert shipped.scene.texture
    assert not default.scene.texture
    others = {"device": True, "cameras": True, "scene": {"texture"}}
    assert shipped.model_dump(exclude=others) == default.model_dump(exclude=others)


def test_shipped_file_fits_the_published_schema() -> None:
    """An editor that checks the shipped file against the published schema finds nothing."""
    data = yaml.safe_load((REPOSITORY / "config.yaml").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(config_schema())
    assert [error.message for error in Draft202012Validator(config_schema()).iter_errors(data)] == []


def test_shipped_file_names_its_schema() -> None:
    """An editor finds the schema: the first line names a file that is there."""
    first_line = (REPOSITORY / "config.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert (REPOSITORY / first_line.removeprefix("# yaml-language-server: $schema=")).is_file()


@pytest.mark.parametrize(
    ("text", "key", "line", "says"),
    [
        (CAMERA + "mqtt:\n  prot: 1883\n", "mqtt.prot", 6, "Did you mean `port`?"),
        (CAMERA + "mqtt:\n  port: '1883'\n", "mqtt.port", 6, "must be a whole number, not the text '1883'"),
        (CAMERA + "mqtt:\n  port: 70000\n", "mqtt.port", 6, "less than or equal to 65535"),
        (CAMERA + "mqtt:\n  username: me\n", "mqtt.username", 6, "Set mqtt.host"),
        (CAMERA + "mqtt:\n  host: broker\n  password: x\n", "mqtt.password", 7, "Add username"),
        (CAMERA + "mqtt:\n  host: broker\n  password_file: gone\n", "mqtt.password_file", 7, "no file"),
        (CAMERA + "log:\n  level: inof\n", "log.level", 6, "Did you mean `info`?"),
        (CAMERA + "tasks:\nlog:\n  level: info\n", "tasks", 5, "is empty"),
        (
            CAMERA + "tasks:\n  depth:\n    every_s: 1\n    every_frames: 2\n",
            "tasks.depth.every_frames",
            8,
            "Remove one",
        ),
        (CAMERA + "tasks:\n  depth: {every_s: null}\n", "tasks.depth.every_frames", 6, "exactly one"),
        (CAMERA + "inference:\n  engines: gone\n", "inference.engines", 6, "no folder"),
        (CAMERA + "log: {level: info}\nlog: {level: debug}\n", "log", 6, "stands twice, first in line 5"),
        (CAMERA + "log: {level: info, level: debug}\n", "log.level", 5, "stands twice"),
        (CAMERA.replace("75", "wide"), "cameras[0].hfov_deg", 4, "must be a number"),
        (CAMERA.replace("75", ".nan"), "cameras[0].hfov_deg", 4, "finite"),
        (CAMERA.replace("hall", "a/b"), "cameras[0].name", 2, "letters, digits"),
        (CAMERA.replace("hall", "bridge"), "cameras[0].name", 2, "another name"),
        (CAMERA.replace("hall", "12"), "cameras[0].name", 2, "must be text, not 12"),
        (CAMERA.replace("path: clips", "path: gone"), "cameras[0].source.path", 3, "nothing at"),
        (CAMERA.replace("path: clips", "loop: true"), "cameras[0].source.path", 3, "Add `path:"),
        (CAMERA.replace("replay", "v4l"), "cameras[0].source", 3, "Did you mean `type: v4l2`?"),
        (CAMERA.replace("type: replay, ", ""), "cameras[0].source", 3, "Add `type:"),
        (CAMERA.replace("hfov_deg: 75", "yaw_deg: 1"), "cameras[0]", 2, "`hfov_deg: 75`"),
        (CAMERA + "    projection: equirectangular\n", "cameras[0].hfov_deg", 4, "a panorama has no lens"),
        (CAMERA + "    tasks: [depth, depth]\n", "cameras[0].tasks", 5, "twice"),
        (CAMERA + "    tasks: [depht]\n", "cameras[0].tasks[0]", 5, "Did you mean `depth`?"),
        (CAMERA + "    tasks: []\n", "cameras[0].tasks", 5, "List at least one"),
        ("cameras: []\n", "cameras", 1, "List at least one"),
        ("log: {level: info}\n", "cameras", 1, "is required"),
        (CAMERA + "1: 2\n", "***", 1, "a key must be text"),
        ("- 1\n", "", 1, "must be a section of keys, not a list"),
        (CAMERA + "\tlog: 1\n", "", 5, "Indent with spaces"),
        (CAMERA + "mqtt: {port: 1\nlog:\n", "", 6, "is not YAML"),
        (CAMERA + "---\na: 1\n", "", 5, "a second document"),
        (CAMERA + "log: !secret x\n", "", 5, "is not YAML"),
        (CAMERA + "log: 2024-13-45\n", "", 5, "in quotes"),
        (CAMERA + "log: !!int ''\n", "", 5, "in quotes"),
        (CAMERA + "log: !!bool maybe\n", "", 5, "in quotes"),
        (CAMERA + "log: !!timestamp soon\n", "", 5, "in quotes"),
        (CAMERA + f"mqtt: {{port: 0x{'f' * 2900}}}\n", "mqtt.port", 5, "less than or equal to 65535"),
        (CAMERA + f"mqtt: {{port: 0x{'f' * 4000}}}\n", "", 5, "a value of 4002 characters"),
        (CAMERA + "mqtt: {host: 'mqtt://broker'}\n", "mqtt.host", 5, "name or IP address alone"),
        (CAMERA + "mqtt: {host: 'broker:1883'}\n", "mqtt.host", 5, "name or IP address alone"),
        (CAMERA + "mqtt: {host: ''}\n", "mqtt.host", 5, "name or IP address alone"),
        (CAMERA + "inference: {plans: ~nobody-here/plans}\n", "inference.plans", 5, "Write the whole path"),
        (CAMERA + 'inference: {plans: "a\\0b"}\n', "inference.plans", 5, "is not a path"),
        (CAMERA + "inference: {engines: config.yaml}\n", "inference.engines", 5, "is no folder"),
        ("a: &a [*a]\n", "", None, "nested too deeply"),
        ("a: \x07\n", "", 1, "unprintable"),
        ("", "", None, "the file is empty"),
        ("# nothing\n", "", None, "the file is empty"),
    ],
)
def test_mistake_is_named_with_key_line_and_remedy(
    folder: Path, text: str, key: str, line: int | None, says: str
) -> None:
    """One mistake gives one problem: its dotted key, the line where it stands, and what to do."""
    (problem,) = complaints(folder, text)
    assert (problem.key, problem.line) == (key, line)
    assert says in str(problem)
    assert str(problem).startswith(str(folder / "config.yaml"))


def test_every_mistake_is_reported_in_the_order_of_lines(folder: Path) -> None:
    """Several mistakes give one line each, so that one look repairs the file."""
    text = CAMERA.replace("75", "999") + "mqtt:\n  prot: 1\nmqtt:\n  port: 0\nlog: {levle: info}\n"
    problems = complaints(folder, text)
    assert [problem.key for problem in problems] == ["cameras[0].hfov_deg", "mqtt", "mqtt.port", "log.levle"]
    assert [problem.line for problem in problems] == [4, 7, 8, 9]


def test_second_camera_of_a_name_is_pointed_at(folder: Path) -> None:
    """Two cameras cannot share a topic: the second one's name is the culprit."""
    (problem,) = complaints(folder, CAMERA + CAMERA.removeprefix("cameras:\n"))
    assert (problem.key, problem.line) == ("cameras[1].name", 5)
    assert "cameras[0]" in str(problem)


def test_what_is_no_file_is_a_configuration_error(folder: Path) -> None:
    """A folder, a pipe that nobody writes into, a device, NUL bytes: said at once, never waited for."""
    os.mkfifo(folder / "pipe")
    (folder / "zeros").write_bytes(bytes(1000))
    for path, says in ((".", "folder"), ("pipe", "no regular file"), ("/dev/zero", "no regular"), ("zeros", "unprint")):
        with pytest.raises(ConfigError, match=says) as caught:
            load_config(folder / path)
        assert not isinstance(caught.value, NotThereError)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in itertools.pairwise("abcdefghi")
)
MERGING_BOMB = "a: &a {x: 1, y: 2}\n" + "".join(
    f"{b}: &{b} {{<<: [{', '.join(['*' + a] * 9)}]}}\n" for a, b in itertools.pairwise("abcdefghi")
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BOMB, "what its aliases"),
        (MERGING_BOMB, "what its aliases"),
        ("a: " + "[" * 5000 + "]" * 5000, "too deeply"),
        ("".join(" " * n + "a:\n" for n in range(400)), "too deeply"),
        ("cameras: [" + "1, " * 80_000 + "1]", "more than"),
        ("a: " + "x" * 200_000, "characters"),
        ("#" * 1_000_000, "KiB"),
    ],
    ids=["aliases", "merges", "brackets", "indentation", "items", "characters", "bytes"],
)
def test_no_file_keeps_the_daemon_busy(folder: Path, text: str, says: str) -> None:
    """Files that are small and mean much, deep ones and large ones are refused within seconds on a slow machine."""
    begun_s = time.process_time()
    (problem,) = complaints(folder, text)
    assert says in str(problem)
    assert time.process_time() - begun_s < 4


@pytest.mark.parametrize(
    ("text", "not_there"),
    [
        (CAMERA.replace("path: clips", "path: gone"), True),
        (CAMERA + "inference: {engines: gone}\n", True),
        (CAMERA + "mqtt: {host: h, username: u, password_file: gone}\n", True),
        (CAMERA + "mqtt: {host: h, tls: {ca: gone}}\n", True),
        (CAMERA + "mqtt: {host: h, tls: {cert: gone, key: gone/too}}\ninference: {engines: config.yaml/x}\n", True),
        (CAMERA + "mqtt: {host: h, tls: {ca: gone, insecure: perhaps}}\n", False),
        (CAMERA + "mqtt: {host: h, tls: {ca: clips}}\n", False),
    ],
)
def test_what_is_not_there_is_told_from_what_is_written_wrong(folder: Path, text: str, not_there: bool) -> None:
    """A disk that is mounted late puts everything there without a change of the file; a wrong word stays wrong."""
    with pytest.raises(ConfigErrors) as caught:
        load(folder, text)
    assert caught.value.not_there == not_there
    with pytest.raises(NotThereError):
        load_config(folder / "late" / "config.yaml")


def test_what_may_not_be_looked_at_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that this user may not enter, and a disk that fails: no traceback, and it may come right by itself."""

    def refuse(path: Any, *_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    text = CAMERA + "mqtt: {host: h, tls: {ca: secret/ca.pem}}\n"
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(ConfigErrors, match="Permission denied") as caught:
        load_config(folder / "config.yaml")
    assert caught.value.not_there


def test_other_encoding_is_a_configuration_error(folder: Path) -> None:
    """A file that is not UTF-8 says so."""
    (folder / "config.yaml").write_bytes("cameras: é".encode("latin-1"))
    with pytest.raises(ConfigError, match="UTF-8"):
        load_config(folder / "config.yaml")


@pytest.mark.parametrize(
    "text",
    [
        CAMERA + "mqtt: {host: h, username: u, password: 77123}\n",
        "cameras: [{name: a, hfov_deg: 70, source: {type: rtsp, url: 'ftp://u:77123@h/'}}]\n",
    ],
)
def test_no_secret_is_repeated(folder: Path, text: str) -> None:
    """A wrong password or address is reported without showing it."""
    (problem,) = complaints(folder, text)
    assert "77123" not in str(problem)


@pytest.mark.parametrize(
    "text",
    [
        "mqtt: {host: 'mqtt://u:s3cret-77123@broker'}",
        "mqtt: {host: 'u:s3cret-77123@broker'}",
        "mqtt: {host: h, username: u, password: *s3cret-77123}",
        "mqtt: {host: h, username: u, password: !s3cret-77123}",
        "mqtt: {host: h, username: u, password: !!int s3cret-77123}",
        "mqtt: {host: h, username: u, password: abc,s3cret-77123}",
        "mqtt: {host: h, username: u, password: abc,77123}",
        "mqtt: {host: h, username: u, password=s3cret-77123: 1}",
        "mqtt: {host: h, username: u, 'password: s3cret-77123': }",
        "mqtt: {host: h, username: u, password: {s3cret-77123: 1, s3cret-77123: 1}}",
        "mqtt: {host: h, username: u, password_file: s3cret-77123}",
        "mqtt: {host: h, username: u, password_file: ~s3cret-77123}",
        "mqtt: {host: h, username: [s3cret-77123], password: x}",
        "mqtt: {host: h, username: 77123, password: x}",
        "mqtt:\n  host: h\n  tls:\n    cert: config.yaml\n    key: |\n      -----BEGIN PRIVATE KEY-----\n      77123\n",
        "mqtt: {host: h, tls: {cert: config.yaml, key: 's3cret-77123'}}",
        "http://u:77123@h/: 1\nhttp://u:77123@h/: 2",
        "s3cret-77123:",
    ],
)
def test_no_secret_is_repeated_wherever_it_slips(folder: Path, text: str) -> None:
    """In a host, an alias, a tag, a key, a file's name: what is said of the mistake does not hold it."""
    text = f"{CAMERA}{text}\n"
    for problem in complaints(folder, text):
        assert "77123" not in str(problem)


@pytest.mark.parametrize(
    "host", ["broker", "broker.local", "10.0.0.9", "::1", "[fe80::1%eth0]", "my_broker", "броker.рф"]
)
def test_hosts_are_names_and_addresses(folder: Path, host: str) -> None:
    """Names, IPv4 and IPv6; brackets are an address's, not a host's."""
    config = load(folder, CAMERA + f"mqtt: {{host: '{host}'}}\n")
    assert config.mqtt.host == host.strip("[]")


@pytest.mark.parametrize(
    ("mqtt", "exposed"),
    [
        ("host: 10.0.0.9, username: u, password: p", "unencrypted"),
        ("host: broker, username: u, password: p", "unencrypted"),
        ("host: broker, username: u, password: p, tls: {insecure: true}", "whoever answers"),
        ("host: broker, username: u, password: p, tls: {}", None),
        ("host: localhost, username: u, password: p", None),
        ("host: 127.0.0.1, username: u, password: p", None),
        ("host: '::1', username: u, password: p", None),
        ("host: broker", None),
    ],
)
def test_a_password_that_others_may_read_is_known(folder: Path, mqtt: str, exposed: str | None) -> None:
    """Without TLS, or with TLS that trusts anybody, to another machine."""
    exposure = load(folder, CAMERA + f"mqtt: {{{mqtt}}}\n").mqtt.exposure
    assert (exposure is None) if exposed is None else (exposure is not None and exposed in exposure)


def _places(value: object, keys: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], object]]:
    """Every value in plain data, with the path of keys to it."""
    yield keys, value
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from _places(child, (*keys, key))


ADDRESSES = (
    "rtsp://admin:77123@10.0.0.9/live",
    "mqtt://77123@broker",
    "http://h/?token=77123",
    "rtsp://10.0.0.9/user=admin_password=77123_stream=0.sdp?real_stream",
    "http://10.0.0.9/admin/77123/#77123",
    "rtsp://admin:1/77123@cam/live",
)


@pytest.mark.parametrize("which", range(len(ADDRESSES)))
def test_no_address_s_password_is_repeated_wherever_it_stands(folder: Path, which: int) -> None:
    """An address in place of any value, section, list or key: no answer has its password. Each form of two of them."""
    address = ADDRESSES[which]
    shipped = yaml.safe_load((REPOSITORY / "config.yaml").read_text(encoding="utf-8"))
    refused = 0
    for at, (keys, value) in enumerate(_places(shipped)):
        wrong = (address, {address: None}, [address])[(which + at) % 3]
        data = {k: copy.deepcopy(shipped[k]) for k in {"cameras", *map(str, keys[:1])}}  # the rest adds nothing
        inner: Any = {"": data}
        for key in ("", *keys)[:-1]:
            inner = inner[key]
        inner[("", *keys)[-1]] = wrong
        try:
            load(folder, yaml.safe_dump(data if keys else wrong))
        except ConfigError as error:
            refused += 1
            assert "77123" not in str(error), (keys, value)
    assert refused > 80


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        (CAMERA.replace("{type: replay, path: clips}", "77123"), "cameras[0].source", "not a number"),
        (CAMERA.replace("{type: replay, path: clips}", "pw77123"), "cameras[0].source", "not a text"),
        ("cameras:\n  - pw77123\n", "cameras[0]", "must be a section of keys, not a text"),
        ("cameras: pw77123\n", "cameras", "must be a list, not a text"),
        (CAMERA + "mqtt: pw77123\n", "mqtt", "must be a section of keys, not a text"),
        (CAMERA + "mqtt: {host: h, username: u, password: {pw77123: 1}}\n", "mqtt.password", "must be text"),
    ],
)
def test_what_stands_where_a_section_should_is_not_repeated(folder: Path, text: str, key: str, says: str) -> None:
    """It may be a password: only its kind is said."""
    (problem,) = complaints(folder, text)
    assert problem.key == key
    assert says in str(problem)
    assert "77123" not in str(problem)


def test_known_keys_are_those_of_the_kind_of_source(folder: Path) -> None:
    """A key of another kind of source is answered with the keys of this one."""
    (problem,) = complaints(folder, CAMERA.replace("path: clips", "path: clips, url: x"))
    assert "Known here: type, path, loop, pace, fps" in str(problem)


def test_no_secret_is_shown_by_the_configuration(folder: Path) -> None:
    """Printing the loaded configuration shows neither password nor address of a camera."""
    text = """\
cameras: [{name: a, hfov_deg: 70, source: {type: rtsp, url: "rtsp://u:77123@h/"}}]
mqtt: {host: h, username: u, password: "88234"}
"""
    config = load(folder, text)
    assert "77123" not in repr(config)
    assert "88234" not in repr(config)
    assert config.mqtt.read_password() == "88234"


@pytest.mark.parametrize("kind", ["rtsp", "http"])
def test_an_ambiguous_address_is_refused_with_the_remedy(folder: Path, kind: str) -> None:
    """Where the password ends cannot be told: the key, and how to write it; where it can, nothing is to be done."""
    text = f'cameras: [{{name: a, hfov_deg: 70, source: {{type: {kind}, url: "http://u:PASSWORD@cam/x"}}}}]\n'
    (problem,) = complaints(folder, text.replace("PASSWORD", "1/77123"))
    assert "cameras[0].source.url" in str(problem)
    assert "/ as %2F, ? as %3F, # as %23, @ as %40" in str(problem)
    assert "77123" not in str(problem)
    load(folder, text.replace("PASSWORD", "p#77123"))


def test_password_comes_from_a_file_without_its_line_end(folder: Path) -> None:
    """A password file may end in a line break, as editors write it; inner spaces are the password's."""
    (folder / "secret").write_text("p w \n", encoding="utf-8")
    config = load(folder, CAMERA + "mqtt: {host: h, username: u, password_file: secret}\n")
    assert config.mqtt.read_password() == "p w "


def test_systemd_credential_goes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare name is looked for in $CREDENTIALS_DIRECTORY before the configuration's folder."""
    credentials = folder / "credentials"
    credentials.mkdir()
    (credentials / "secret").write_text("from systemd", encoding="utf-8")
    (folder / "secret").write_text("from the folder", encoding="utf-8")
    text = CAMERA + "mqtt: {host: h, username: u, password_file: secret}\n"
    assert load(folder, text).mqtt.read_password() == "from the folder"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    assert load(folder, text).mqtt.read_password() == "from systemd"


def test_vanished_password_file_is_a_configuration_error(folder: Path) -> None:
    """A password file that goes away after loading is named when it is read."""
    (folder / "secret").write_text("x", encoding="utf-8")
    config = load(folder, CAMERA + "mqtt: {host: h, username: u, password_file: secret}\n")
    (folder / "secret").unlink()
    with pytest.raises(ConfigError, match=r"mqtt\.password_file"):
        config.mqtt.read_password()


def test_frames_replace_seconds(folder: Path) -> None:
    """every_frames alone is a cadence: the default in seconds gives way."""
    depth = load(folder, CAMERA + "tasks: {depth: {every_frames: 3}}\n").tasks.depth
    assert (depth.every_frames, depth.every_s) == (3, None)


def test_alias_and_merge_keys_work(folder: Path) -> None:
    """YAML's own means against repetition may be used."""
    config = load(folder, CAMERA.replace("- name", "- &c\n    name") + "  - {<<: *c, name: yard}\n")
    assert [camera.name for camera in config.cameras] == ["hall", "yard"]
    assert config.cameras[1].hfov_deg == 75


@given(yaw_deg=st.floats(-180, 180), pitch_deg=st.floats(-90, 90), hfov_deg=st.floats(6, 169))
def test_degrees_become_radians(yaw_deg: float, pitch_deg: float, hfov_deg: float) -> None:
    """People write degrees, the camera model holds radians: 180 degrees are pi."""
    source = {"type": "v4l2"}
    camera = {"name": "a", "source": source, "yaw_deg": yaw_deg, "pitch_deg": pitch_deg, "hfov_deg": hfov_deg}
    model = Config.model_validate({"cameras": [camera]}, context={"folder": REPOSITORY}).cameras[0].model
    degrees = [angle * 180 / math.pi for angle in (model.yaw_rad, model.pitch_rad, model.hfov_rad or 0)]
    assert degrees == pytest.approx([yaw_deg, pitch_deg, hfov_deg])


def test_intrinsics_reach_the_camera_model(folder: Path) -> None:
    """A calibrated lens arrives unchanged."""
    numbers = "{width_px: 640, height_px: 480, fx_px: 500, fy_px: 501, cx_px: 320, cy_px: 240, k1: -0.1}"
    model = load(folder, CAMERA.replace("hfov_deg: 75", f"intrinsics: {numbers}")).cameras[0].model
    assert model == CameraModel("perspective", intrinsics=Intrinsics(640, 480, 500, 501, 320, 240, k1=-0.1))


def test_values_do_not_change(folder: Path) -> None:
    """A loaded configuration is frozen."""
    config = load(folder, CAMERA)
    with pytest.raises(ValueError, match="frozen"):
        config.log.level = "debug"  # type: ignore[misc]


def test_messages_wait_in_a_folder_of_this_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where it is said; else in systemd's StateDirectory, in the user's for state, or where that usually is."""
    named = SpoolConfig(folder=tmp_path / "here")
    assert named.folder_of("dev") == tmp_path / "here"
    spool = SpoolConfig()
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/edge:/var/lib/other")
    assert spool.folder_of("dev") == Path("/var/lib/edge/spool/dev")
    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert spool.folder_of("dev") == Path("/state/edge/spool/dev")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert spool.folder_of("dev") == Path("/home/me/.local/state/edge/spool/dev")
