"""A few thousand of the inputs of `make fuzz`, and requests and messages as hypothesis invents and shrinks them."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.cameras import largest
from tests.fuzz.__main__ import fed
from tests.fuzz.targets import TARGETS

pytestmark = pytest.mark.slow

_IN_ALL = 4000
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
_FEW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("name", TARGETS)
def test_nonsense_breaks_no_law(name: str) -> None:
    """No exception that the place does not promise, no broken law, no growth, and never much memory."""
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    came = fed(name, max(60, round(_IN_ALL * TARGETS[name].share)), seed=2)
    assert came["findings"] == []
    assert not came["grew"]
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib) / 1024 < 25 * largest.MOST_MEGAPIXELS


def _as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


@_FEW
@given(st.dictionaries(st.sampled_from(["transaction", "camera", "a"]), _VALUES).map(_as_json) | st.binary())
def test_any_request_is_answered_once(tmp_path: Path, data: bytes) -> None:
    """Whatever the payload is: one answer, in valid JSON, on a topic of the device's responses."""
    TARGETS["requests"].run(data, tmp_path)


@_FEW
@given(_VALUES.map(_as_json) | st.binary())
def test_any_message_can_be_shown(tmp_path: Path, data: bytes) -> None:
    """Whatever arrives on a topic of ours is checked and shown without an exception."""
    TARGETS["messages"].run(data, tmp_path)


@_FEW
@given(st.text(max_size=60))
def test_no_address_shows_its_password(tmp_path: Path, text: str) -> None:
    """Whatever surrounds a password in an address, it is not shown."""
    TARGETS["addresses"].run(text.encode("utf-8", "surrogatepass"), tmp_path)


def test_what_is_promised_not_to_happen_is_a_finding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The fuzzer itself: an exception of another kind is counted, and its input kept."""
    from dataclasses import replace

    from tests.fuzz import __main__ as fuzzing

    def fails(_data: bytes, _folder: Path) -> None:
        raise KeyError("x")

    run: Callable[[bytes, Path], None] = fails
    monkeypatch.setitem(TARGETS, "topics", replace(TARGETS["topics"], run=run))
    monkeypatch.setattr(fuzzing, "FOUND", tmp_path)
    came = fed("topics", 3, seed=1)
    assert isinstance(came["findings"], list)
    assert len(came["findings"]) == 3
    assert len(list(tmp_path.glob("topics-*.bin"))) >= 1
