"""docs/messages.md and docs/requests.md: an example of every message, valid by its schema, as the code makes it."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from edge.mqtt.schemas import json_schemas, request_schemas
from edge.mqtt.topics import CHANNELS, JSON, Kind
from edge.mqtt.verbs import READ_ONLY, VERBS
from tests.documentation import examples
from tests.documentation.pages import REPOSITORY

SCHEMAS, REQUEST_SCHEMAS = json_schemas(), request_schemas()
KINDS = [kind for kind in CHANNELS if kind not in ("request", "response")]


def section(page: str, title: str) -> str:
    """What a page has below a heading of its examples."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    text = text[text.index(examples.BEGIN) : text.index(examples.END)]
    assert f"\n### `{title}`\n" in text, f"{page} has no example of {title}: python -m tests.documentation.examples"
    return text.split(f"\n### `{title}`\n")[1].split("\n### ")[0]


def values(text: str) -> list[Any]:
    """The JSON values of a section, in their order."""
    found, decoder = [], json.JSONDecoder()
    for fence in re.findall(r"```json\n(.*?)```", text, re.DOTALL):
        rest = fence.strip()
        while rest:
            value, end = decoder.raw_decode(rest)
            found.append(value)
            rest = rest[end:].strip()
    return found


def alike(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same, but for the last digits of numbers, in which processors may differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=1e-3, abs_tol=1e-3)
    return bool(one == other)


@pytest.mark.parametrize("kind", KINDS)
def test_every_topic_has_an_example(kind: Kind) -> None:
    """It is valid by its published schema and as the daemon's code makes it; of pictures, what is sent beside them."""
    channel = CHANNELS[kind]
    text = section("docs/messages.md", examples.topic_of(kind))
    assert channel.summary in text
    assert f"QoS {channel.qos}, {'retained' if channel.retain else 'not retained'}, {channel.content_type}" in text
    found = values(text)
    if channel.content_type == JSON:
        (value,) = found
        Draft202012Validator(SCHEMAS[kind]).validate(value)
        assert alike(value, examples.body(examples.messages()[kind])), "python -m tests.documentation.examples"
    elif kind in examples.properties():
        assert found == [examples.properties()[kind]]
    else:
        assert "```text\nonline\n```" in text


@pytest.mark.parametrize("verb", VERBS)
def test_every_request_has_an_example(verb: str) -> None:
    """It stands on the page with its answer, both valid by their schemas."""
    slug = re.sub("[/-]", "_", verb)
    asked, response = examples.asked_and_answered()[verb]
    Draft202012Validator(REQUEST_SCHEMAS[f"request_{slug}"]).validate(asked)
    answered = examples.body(response)
    Draft202012Validator(REQUEST_SCHEMAS[f"response_{slug}"]).validate(answered)
    text = section("docs/requests.md", verb)
    if verb in ("info", "health"):
        assert values(text) == [asked]
        assert f"[`bridge/{verb}`](messages.md)" in text
    else:
        assert alike(values(text), [asked, answered]), "python -m tests.documentation.examples"


def test_verbs_of_the_table_are_those_there_are() -> None:
    """docs/requests.md's table has every verb with its arguments and its time, and no other."""
    page = (REPOSITORY / "docs/requests.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z/-]+)` \|(.*?)\|.*\| (yes|no) \| (\d+) s \|$", page, re.MULTILINE)
    told = {v: (set(re.findall(r"`(\w+)`", takes)), allowed == "yes", float(s)) for v, takes, allowed, s in rows}
    takes = {name: {f.alias or key for key, f in v.arguments.model_fields.items()} for name, v in VERBS.items()}
    said = {name: (takes[name], name in READ_ONLY, v.within_s) for name, v in VERBS.items()}
    assert told == said
