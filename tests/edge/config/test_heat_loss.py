"""The section `heat_loss` of a camera: what it becomes, and what is said of mistakes in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from edge.config.heat_loss import HeatLossConfig
from edge.config.sections import load_config
from edge.derive.heat_loss.settings import Border, Climate, Opening, Settings, WallStretch
from edge.errors import ConfigErrors

REPOSITORY = Path(__file__).resolve().parents[3]
SHORTEST = {"design": {"outside_c": -3.0}, "walls": [{"bearing_deg": [-60, 60], "to": "outside"}]}
FILE = """\
cameras:
  - name: hall
    source: {{type: replay, path: clips}}
    projection: {projection}
    {more}
    heat_loss:
      design: {{outside_c: -3}}
      walls: [{{bearing_deg: [-60, 60], to: {to}}}]
"""


def test_defaults_are_those_of_the_method() -> None:
    """The shortest section leaves all else as `Settings` has it."""
    config = HeatLossConfig.model_validate(SHORTEST)
    assert config.settings == Settings(Climate(-3.0), walls=(WallStretch(-60, 60, Border("outside")),))


def test_all_that_can_be_said_arrives() -> None:
    """The example in config.yaml, uncommented, is a section with the values it shows."""
    text = (REPOSITORY / "config.yaml").read_text(encoding="utf-8")
    block = re.search(r"(?ms)^    # heat_loss:.*?(?=^\s*$)", text)
    assert block is not None
    section = yaml.safe_load(re.sub(r"(?m)^    # ?", "", block.group()))["heat_loss"]
    config = HeatLossConfig.model_validate(section)
    settings = config.settings
    assert set(section) == set(HeatLossConfig.model_fields)
    assert settings.u == {"wall": 1.5, "window": 2.8, "door": 3.0, "floor": 0.7, "ceiling": 0.4}
    assert settings.walls[0].openings == (Opening("window", 1.8, 1.2),)
    assert settings.walls[1].border == Border("heated", 18.0)
    assert settings.ceiling == Border("unheated", None, 0.9, 0.4)
    for name in ("design", "ground", "leakage", "uncertainty", "u"):
        assert set(section[name]) == set(type(getattr(config, name)).model_fields)


@pytest.mark.parametrize(
    ("projection", "more", "to", "said"),
    [
        ("equirectangular", "camera_height_m: 1.3\n    tasks: [depth]", "outside", "Add layout to tasks"),
        ("equirectangular", "yaw_deg: 0", "outside", "Measure and add camera_height_m"),
        ("perspective", "camera_height_m: 1.3\n    hfov_deg: 75", "outside", "Use a panorama camera"),
        ("equirectangular", "camera_height_m: 1.3", "ground", "Say unheated"),
        ("equirectangular", "camera_height_m: 1.3", "outside, factor: 0.5", "Remove factor"),
        ("equirectangular", "camera_height_m: 1.3", "heated, factor: 0.5", "Remove it"),
        ("equirectangular", "camera_height_m: 1.3", "unheated, factor: 0.5, temperature_c: 4", "Remove it"),
    ],
)
def test_mistakes_are_told_with_a_remedy(tmp_path: Path, projection: str, more: str, to: str, said: str) -> None:
    """What cannot be computed, or contradicts itself, is refused with its place and what to do."""
    (tmp_path / "clips").mkdir()
    (tmp_path / "engines").mkdir()
    path = tmp_path / "config.yaml"
    path.write_text(FILE.format(projection=projection, more=more, to=to), encoding="utf-8")
    with pytest.raises(ConfigErrors, match=said) as caught:
        load_config(path)
    assert all(problem.line for problem in caught.value.problems)


def test_it_is_warmer_inside() -> None:
    """A design temperature outside above the one inside is a slip."""
    with pytest.raises(ValueError, match="not warmer inside"):
        HeatLossConfig.model_validate({**SHORTEST, "design": {"outside_c": 20.0, "inside_c": 18.0}})
