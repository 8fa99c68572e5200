"""What may be asked of a device, and where what was asked is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from edge.config.sections import Config, load_config
from edge.errors import ConfigErrors

REPOSITORY = Path(__file__).resolve().parents[3]


def configuration(folder: Path, **requests: object) -> Config:
    """One with that section."""
    source = {"type": "replay", "path": str(REPOSITORY / "edge" / "demo" / "panorama")}
    camera = {"name": "hall", "source": source, "projection": "equirectangular"}
    inference = {"engines": str(REPOSITORY / "engines")}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({"cameras": [camera], "inference": inference, "requests": requests}))
    return load_config(path)


def test_what_only_reads_is_allowed_unless_told_otherwise(tmp_path: Path) -> None:
    """And nothing that changes anything; a verb that there is not is refused with those there are."""
    assert configuration(tmp_path).requests.allow == ("ping", "info", "health", "snapshot")
    assert configuration(tmp_path, allow=[]).requests.allow == ()
    with pytest.raises(ConfigErrors, match="engine/rollback"):
        configuration(tmp_path, allow=["dance"])


def test_what_was_set_lies_where_the_service_may_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare name: in systemd's StateDirectory, else beside the file; a path is a path."""
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert configuration(tmp_path).requests.overrides == tmp_path / "overrides.json"
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/edge:/var/lib/other")
    assert configuration(tmp_path).requests.overrides == Path("/var/lib/edge/overrides.json")
    assert configuration(tmp_path, overrides="./mine.json").requests.overrides == tmp_path / "mine.json"
    assert configuration(tmp_path, overrides="/srv/mine.json").requests.overrides == Path("/srv/mine.json")
