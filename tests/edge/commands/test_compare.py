"""`edge bench --against`: any ONNX with a manifest beside ours, or a clear word about what is missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from edge.__main__ import app
from edge.commands.bench import comparison_table
from edge.commands.compare import compare
from edge.errors import EngineError, ManifestError
from edge.inference.manifest import read_manifest, write_manifest
from edge.inference.store import ModelStore
from tests.integration.conftest import PERSPECTIVE, REPOSITORY
from tests.integration.test_commands import edge

ENGINES = REPOSITORY / "engines"
NAMES = {"depth": "depth", "layout": "layout", "lighting": "lighting"}
STORE = ModelStore(ENGINES)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """The shipped lighting model under another name: an ONNX with its manifest beside it."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    shutil.copy(ENGINES / "lighting" / "model.onnx", folder)
    manifest = read_manifest(ENGINES / "lighting")
    write_manifest(folder, manifest.model_copy(update={"name": "theirs", "golden": None, "variants": {}}))
    return folder / "model.onnx"


def test_each_stands_beside_ours_of_its_task(other: Path) -> None:
    """Two of the same task share one of ours; one of another task has its own; ours compare with themselves."""
    depth = ENGINES / "depth" / "model.onnx"
    found = compare(STORE, [(other, None), (depth, None), (other, None)], names=NAMES, seconds=0)
    said = [(n.name, n.ours, n.beside) for n in found.networks]
    assert said == [
        ("lighting", True, "lighting"),
        ("depth", True, "depth"),
        ("theirs", False, "lighting"),
        ("depth", False, "depth"),
        ("theirs", False, "lighting"),
    ]
    assert all(n.times.ratio == 1 for n in found.networks if n.ours)
    assert all(0 < n.times.min_ms <= n.times.p50_ms <= n.times.p99_ms for n in found.networks)
    assert found.networks[2].file_bytes == other.stat().st_size
    assert found.rounds >= 10
    assert len(comparison_table(found).rows) == 5


def test_ours_may_be_named(other: Path) -> None:
    """`engine` compares with that model, whatever it is for; one that is not there is named with those that are."""
    found = compare(STORE, [(other, None)], names=NAMES, engine="depth", seconds=0)
    assert [n.name for n in found.networks] == ["depth", "theirs"]
    with pytest.raises(EngineError, match="layout"):
        compare(STORE, [(other, None)], names=NAMES, engine="none", seconds=0)


def test_a_file_that_is_not_its_manifests_is_refused(other: Path) -> None:
    """An ONNX changed by one byte, or given with another's manifest, is not timed."""
    with pytest.raises(ManifestError, match=r"sha256.*give the manifest of this file"):
        compare(STORE, [(other, ENGINES / "depth" / "manifest.json")], names=NAMES, seconds=0)
    other.write_bytes(other.read_bytes() + b"\0")
    with pytest.raises(ManifestError, match="sha256"):
        compare(STORE, [(other, None)], names=NAMES, seconds=0)


def test_what_is_missing_is_named_with_the_remedy(other: Path) -> None:
    """No ONNX there, no manifest given or beside it, a manifest that is not there."""
    with pytest.raises(ManifestError, match="no such file"):
        compare(STORE, [(other.parent / "none.onnx", None)], names=NAMES, seconds=0)
    with pytest.raises(ManifestError, match=r"away\.json: cannot be read"):
        compare(STORE, [(other, other.parent / "away.json")], names=NAMES, seconds=0)
    (other.parent / "manifest.json").unlink()
    with pytest.raises(ManifestError, match=r"write a JSON file.*edge schema manifest.*--manifest"):
        compare(STORE, [(other, None)], names=NAMES, seconds=0)


def test_the_command_needs_no_camera_and_no_broker(other: Path, tmp_path: Path) -> None:
    """With a camera that does not exist and no broker anywhere, JSON of the comparison comes, and a table."""
    camera = {**PERSPECTIVE, "source": {"type": "v4l2", "device": "/dev/video77"}}
    config = tmp_path / "config.yaml"
    mqtt = {"host": "127.0.0.1", "port": 1}
    settings = {"device": {"name": "test"}, "cameras": [camera], "inference": {"engines": str(ENGINES)}, "mqtt": mqtt}
    config.write_text(yaml.safe_dump(settings))
    call = ("bench", "-c", str(config), "--against", str(other), "--seconds", "2")
    done = edge(*call, "--manifest", str(other.parent / "manifest.json"), "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [n["name"] for n in report["networks"]] == ["lighting", "theirs"]
    assert report["networks"][1]["times"]["ratio"] > 0
    assert "load_before" in report


def test_options_that_do_not_go_together_are_refused(other: Path) -> None:
    """A manifest too many, or an engine to compare with nothing: exit 2, and what to give."""
    for options, said in (
        (("--against", str(other), "--manifest", "a.json", "--manifest", "b.json"), "give one for each"),
        (("--engine", "depth"), "--against"),
    ):
        done = CliRunner().invoke(app, ["bench", *options])
        assert (done.exit_code, said in done.stderr) == (2, True), done.stderr
