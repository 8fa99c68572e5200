"""What pydantic refuses, in one line each."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import BaseModel, ValidationError

from edge.errors import explain


class Lens(BaseModel):
    """A part with a secret."""

    focal_px: float
    password: int


class Rig(BaseModel):
    """A list of parts."""

    lenses: list[Lens]


def test_each_complaint_names_its_key_and_no_value() -> None:
    """Keys as they are written in YAML, in the order of the model; what was given is not repeated."""
    with pytest.raises(ValidationError) as caught:
        Rig.model_validate({"lenses": [{"focal_px": 1.0, "password": 2}, {"password": "hunter2"}]})
    first, second = explain(caught.value, "the rig")
    assert first == "lenses[1].focal_px: Field required"
    assert second.startswith("lenses[1].password: Input should be a valid integer")
    assert "hunter2" not in first + second


def test_the_value_itself_has_a_name() -> None:
    """What is wrong with the whole is said of the name given for it."""
    with pytest.raises(ValidationError) as caught:
        Rig.model_validate_json("[1")
    assert explain(caught.value, "payload")[0].startswith("payload: Invalid JSON")


def test_errors_come_without_pydantic() -> None:
    """Capture processes, which import little, can raise them."""
    code = "import sys, edge.errors; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
