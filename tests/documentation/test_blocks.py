"""What the pages tell people to write: pieces of config.yaml are loaded, messages and programs tried."""

from __future__ import annotations

import json
import math
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as paho
import pytest
import yaml
from jsonschema import Draft202012Validator

from edge.config.sections import Config, config_schema, load_config
from edge.geometry.fisheye import rays_at
from edge.mqtt.broker import EmbeddedBroker
from edge.mqtt.schemas import json_schemas, request_schemas
from edge.mqtt.topics import Topics
from edge.publish.discovery import CameraDevice, camera_device
from edge.scene import Fisheye
from tests.brokers import wait_until
from tests.documentation import examples
from tests.documentation.pages import PAGES, REPOSITORY, Block, blocks

HALL: dict[str, Any] = {
    "name": "hall",
    "source": {"type": "replay", "path": "clips"},
    "projection": "equirectangular",
    "camera_height_m": 1.6,
}
NOT_OURS = ("# prometheus.yml", "triggers:")
"""How blocks of YAML begin that other programs read."""


def of(language: str) -> list[Any]:
    """The blocks in a language, named by where they are."""
    return [pytest.param(b, id=f"{b.page}:{b.line}") for b in blocks() if b.language == language]


def test_every_block_says_what_it_is() -> None:
    """Each is in a language that is tried here, or is only shown."""
    assert {block.language for block in blocks()} <= {"sh", "bash", "yaml", "json", "python", "text"}


def whole(piece: Any) -> dict[str, Any]:
    """A configuration that holds a piece of one."""
    if isinstance(piece, list):
        return {"cameras": piece}
    config: dict[str, Any] = {"cameras": [HALL]}
    of_config = {key: value for key, value in piece.items() if key in Config.model_fields}
    of_camera = {key: value for key, value in piece.items() if key not in Config.model_fields}
    if "cameras" in of_config:
        of_config["cameras"] = [HALL | camera for camera in of_config["cameras"]]
    elif of_camera:
        config["cameras"] = [HALL | of_camera]
    return config | of_config


@pytest.mark.parametrize("block", [p for p in of("yaml") if not p.values[0].text.startswith(NOT_OURS)])
def test_pieces_of_a_configuration_are_loaded(block: Block, tmp_path: Path) -> None:
    """Whatever a page shows of config.yaml is taken by its loader, in the place where it belongs."""
    for name in ("clips", "engines"):
        (tmp_path / name).mkdir()
    for face in ("front", "right", "back", "left", "up", "down"):
        (tmp_path / f"{face}.jpg").touch()
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(whole(yaml.safe_load(block.text))), encoding="utf-8")
    assert load_config(tmp_path / "config.yaml").cameras


def keys_of(schema: dict[str, Any], node: dict[str, Any], before: str = "") -> set[str]:
    """Every key of a JSON Schema, dotted; below a list or a map as below the thing itself."""
    found: set[str] = set()
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        return keys_of(schema, schema["$defs"][name], before) if before.count(".") < 5 else found
    for part in (*node.get("anyOf", ()), *node.get("oneOf", ()), *(node[k] for k in ("items",) if k in node)):
        found |= keys_of(schema, part, before)
    if isinstance(more := node.get("additionalProperties"), dict):
        found |= keys_of(schema, more, before)
    for name, below in node.get("properties", {}).items():
        found |= {f"{before}{name}"} | keys_of(schema, below, f"{before}{name}.")
    return found


def test_keys_that_sentences_name_are_keys() -> None:
    """`section.key` in backticks is a key of config.yaml, also with a value."""
    schema = config_schema()
    known = keys_of(schema, schema)
    said = {
        (page, span.split(":")[0])
        for page in PAGES
        for span in re.findall(r"`([a-z_]+\.[a-z_.<>*]+)(?::[^`]*)?`", (REPOSITORY / page).read_text(encoding="utf-8"))
        if span.split(".")[0] in Config.model_fields and not re.search(r"\.(yaml|json|md|py)$", span)
    }
    assert len(said) > 40
    wrong = []
    for page, key in sorted(said):
        pattern = re.sub(r"<\w+>|\*", "[a-z_]+", key.replace(".", r"\."))
        if not any(re.fullmatch(pattern, name) for name in known):
            wrong.append(f"{page}: {key}")
    assert wrong == []


def test_prometheus_is_sent_to_where_the_metrics_are() -> None:
    """The job asks the port that config.yaml has by default."""
    (job,) = [yaml.safe_load(b.text) for b in blocks() if b.text.startswith("# prometheus.yml")]
    ((only,),) = [c["static_configs"] for c in job["scrape_configs"]]
    http = Config.model_fields["http"].get_default(call_default_factory=True)
    assert only["targets"] == [f"{http.host}:{http.port}"]


def test_the_automation_names_entities_that_there_are() -> None:
    """Home Assistant makes an entity's name of the device's and its own; the demo's panorama has those."""
    (automation,) = [yaml.safe_load(b.text) for b in blocks() if b.text.startswith("triggers:")]
    device = CameraDevice("panorama", "replay", "equirectangular", {"lighting": 1.0}, metric=True)
    told = json.loads(camera_device(Topics("edge-demo"), device, verbs=()).encoded())
    named = [c for c in told["components"].values() if "name" in c]
    whose = told["device"]["name"]
    names = {f"{c['platform']}." + re.sub("[^a-z0-9]+", "_", f"{whose} {c['name']}".lower()) for c in named}
    asked = {step["entity_id"] for step in (*automation["triggers"], *automation["conditions"])}
    assert len(asked) == 2
    assert asked <= names


# Messages -------------------------------------------------------------------------------------------------------------


def lenient(schema: Any) -> Any:
    """A schema that asks for nothing, and still refuses what it does not know: for what is shown shortened."""
    if isinstance(schema, dict):
        return {key: lenient(value) for key, value in schema.items() if key not in ("required", "minItems")}
    return [lenient(value) for value in schema] if isinstance(schema, list) else schema


def json_values(text: str) -> list[Any]:
    """The values of a block, one after the other."""
    found, decoder, rest = [], json.JSONDecoder(), text.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        found.append(value)
        rest = rest[end:].strip()
    return found


@pytest.mark.parametrize("block", of("json"))
def test_json_is_what_its_schema_says(block: Block) -> None:
    """Each value is JSON; a message, also a shortened one, has nothing that its schema does not know."""
    schemas = {Draft202012Validator(s).schema["properties"]["schema"]["const"]: s for s in json_schemas().values()
               if "const" in s.get("properties", {}).get("schema", {})}  # fmt: skip
    values = json_values(block.text)
    assert values
    for value in values:
        if isinstance(value, dict) and value.get("schema") in schemas:
            Draft202012Validator(lenient(schemas[value["schema"]])).validate(value)


def test_the_first_request_shown_is_one() -> None:
    """What docs/requests.md begins with is taken, and its answer, shortened, has what an answer has."""
    block = next(b for b in blocks() if b.page == "docs/requests.md" and b.language == "json")
    asked, answered = json_values(block.text)
    Draft202012Validator(request_schemas()["request_set"]).validate(asked)
    Draft202012Validator(lenient(request_schemas()["response_set"])).validate(answered)


# Programs -------------------------------------------------------------------------------------------------------------


def python_of(page: str) -> str:
    """The first program of a page."""
    return next(b.text for b in blocks() if b.page == page and b.language == "python")


def test_the_subscriber_shows_a_room(embedded: EmbeddedBroker, capsys: pytest.CaptureFixture[str]) -> None:
    """docs/messages.md's program prints the floor area of a layout that is published."""
    program = python_of("docs/messages.md")
    here = program.replace('connect("127.0.0.1")', f'connect("127.0.0.1", {embedded.port})')
    assert here != program
    message = examples.messages()["layout"].encoded()
    sender = paho.Client(paho.CallbackAPIVersion.VERSION2)
    sender.connect("127.0.0.1", embedded.port)
    sender.loop_start()
    sender.publish("edge/edge-demo/hall/layout", message, qos=1, retain=True).wait_for_publish(5)
    names: dict[str, Any] = {}
    thread = threading.Thread(target=exec, args=(here, names), daemon=True)
    thread.start()
    told: list[str] = []

    def shown() -> bool:
        told.append(capsys.readouterr().out)
        return "edge/edge-demo/hall/layout 20.0" in "".join(told)

    try:
        assert wait_until(shown, 10), told
    finally:
        names["client"].disconnect()
        thread.join(5)
        sender.disconnect()
        sender.loop_stop()


def test_the_fisheye_s_formula_is_the_device_s() -> None:
    """docs/lenses.md's lines give the direction of a pixel that the device's own code gives."""
    lens = Fisheye(1920, 1920, 602.1, 602.0, 958.3, 961.0, 0.021, -0.004, 0.0, 0.0, math.radians(185))
    values = {name: getattr(lens, name) for name in ("fx_px", "fy_px", "cx_px", "cy_px", "k1", "k2", "k3", "k4")}
    for column, row in ((300, 700), (1500, 1100), (958, 1700)):
        names: dict[str, Any] = {"math": math, "column": column, "row": row, **values}
        exec(python_of("docs/lenses.md"), names)
        (expected,), (seen,) = rays_at(np.array([[column + 0.5, row + 0.5]]), lens)
        assert seen
        assert np.allclose(names["ray"], expected, atol=1e-6)


def anchors(page: str) -> set[str]:
    """The headings of a page, as a link names them."""
    titles = re.findall(r"^#+ (.*)$", (REPOSITORY / page).read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_link_into_a_page_leads_to_a_heading() -> None:
    """`page.md#heading` has that heading."""
    linked = [
        (page, target or Path(page).name, anchor)
        for page in PAGES
        for target, anchor in re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", (REPOSITORY / page).read_text(encoding="utf-8"))
        if "://" not in target
    ]
    assert len(linked) > 5
    missing = []
    for page, target, anchor in linked:
        path = ((REPOSITORY / page).parent / target).resolve().relative_to(REPOSITORY)
        if anchor not in anchors(str(path)):
            missing.append(f"{page}: {target}#{anchor}")
    assert missing == []
