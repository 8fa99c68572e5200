"""`evaluate` on every form of a model and every form of data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console

from edge.errors import DataError, ManifestError
from edge.inference.manifest import Manifest, read_manifest, write_manifest
from tests.training.conftest import SHARED, absent
from training.config.recipe import Recipe
from training.evaluate import (
    Model,
    Places,
    evaluate,
    opened,
    part_named,
    print_table,
    recipe_of,
    sources_for,
    write_json,
)
from training.export.engine import read_metrics, sources_of
from training.export.proof.runners import TorchBackend, manifest_of
from training.tasks.build import build_task

ENGINES = Path(__file__).parents[2] / "engines"


def _depth_set(folder: Path, scenes: int = 2) -> Path:
    """Scenes of two pictures each with a sloping plane, as RGB-D folders."""
    depth = np.linspace(1000, 3000, 48).astype(np.uint16)[:, None] * np.ones((1, 64), np.uint16)
    for scene in range(scenes):
        for sub in ("rgb", "depth"):
            (folder / f"scene{scene}" / sub).mkdir(parents=True)
        for name in ("a", "b"):
            picture = np.random.default_rng(scene).integers(0, 255, (48, 64, 3), np.uint8)
            cv2.imwrite(str(folder / f"scene{scene}" / "rgb" / f"{name}.png"), picture)
            cv2.imwrite(str(folder / f"scene{scene}" / "depth" / f"{name}.png"), depth)
        (folder / f"scene{scene}" / "K.txt").write_text("60 0 32\n0 60 24\n0 0 1\n")
    return folder


def _lighting() -> Model:
    return opened(ENGINES / "lighting", threads=1)


def test_folder_and_bare_onnx_are_one_model(tmp_path: Path, box_rooms: Path) -> None:
    """A model folder, its ONNX with the manifest beside it, and its ONNX elsewhere with a manifest give one result."""
    onnx = shutil.copy(ENGINES / "lighting" / "model.onnx", tmp_path / "copy.onnx")
    manifest = ENGINES / "lighting" / "manifest.json"
    forms = (
        opened(ENGINES / "lighting", threads=1),
        opened(ENGINES / "lighting" / "model.onnx", threads=1),
        opened(onnx, manifest, threads=1),
    )
    rows = [[(m.name, m.value, m.baseline) for m in evaluate(form, Places(rooms=box_rooms)).rows] for form in forms]
    assert rows[0] == rows[1] == rows[2]
    assert recipe_of(forms[0]) is not None


def test_what_is_no_model_is_refused_with_the_remedy(tmp_path: Path) -> None:
    """An ONNX without a manifest, one that its manifest does not fit, a folder's that was changed, and another file."""
    onnx = shutil.copy(ENGINES / "lighting" / "model.onnx", tmp_path / "copy.onnx")
    with pytest.raises(DataError, match="add a manifest"):
        opened(onnx)
    with pytest.raises(ManifestError, match=r"input\.name|takes"):
        opened(onnx, ENGINES / "depth" / "manifest.json")
    with pytest.raises(DataError, match="no such file"):
        opened(tmp_path / "none.onnx")
    changed = tmp_path / "changed"
    shutil.copytree(ENGINES / "lighting", changed)
    shutil.copy(ENGINES / "depth" / "model.onnx", changed / "model.onnx")
    with pytest.raises(ManifestError, match="sha256"):
        opened(changed)
    (tmp_path / "text.txt").write_text("")
    with pytest.raises(DataError, match="checkpoint"):
        opened(tmp_path / "text.txt")


def test_a_peer_stands_beside_every_number(tmp_path: Path, box_rooms: Path) -> None:
    """The model as its own peer gets the model's numbers as baseline, names its training data, and is timed."""
    peer = tmp_path / "peer"
    shutil.copytree(ENGINES / "lighting", peer)
    manifest = read_manifest(peer)
    data: list[Any] = [{"name": "these very maps", "licence": "CC0-1.0", "used_for": "training"}]
    said = {**manifest.model_dump(mode="json", by_alias=True), "name": "theirs"}
    said["provenance"]["data"] = data
    write_manifest(peer, Manifest.model_validate(said))
    report = evaluate(_lighting(), Places(rooms=box_rooms), peer=opened(peer, threads=1))
    theirs = [m for m in report.rows if m.baseline_name.startswith("published network (theirs")]
    assert len(theirs) == len({m.name for m in report.rows})
    assert all(m.value == m.baseline and "these very maps" in m.baseline_name for m in theirs)
    assert report.speed is not None
    assert report.speed.model_bytes == report.speed.peer_bytes == (peer / "model.onnx").stat().st_size
    assert min(report.speed.model_ms, report.speed.peer_ms) > 0
    write_json(report, peer, tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text())["speed"]["ratio"] == report.speed.ratio


def test_a_peer_is_for_lighting_alone(box_rooms: Path) -> None:
    """A depth model beside a lighting model compares nothing."""
    depth = opened(ENGINES / "depth", threads=1)
    with depth.backend, pytest.raises(DataError, match="lighting"):
        evaluate(depth, Places(rooms=box_rooms), peer=_lighting())


def test_pictures_tables_and_json_say_the_same(tmp_path: Path, box_rooms: Path) -> None:
    """Of folders, rooms and a source: JSON is valid, `export` reads its rows, every set has pictures and a table."""
    real = _depth_set(tmp_path / "real" / "depth").parent
    sources = sources_for([f"rgbd={real / 'depth'}"], None, "test")
    places = Places(rooms=box_rooms, real=real, sources=sources)
    errors, path = tmp_path / "errors", tmp_path / "numbers.json"
    report = evaluate(opened(ENGINES / "depth", threads=1), places, errors=errors, worst=3)
    names = [s.data for s in report.sets]
    assert [n.split(" (")[0] for n in names] == [
        "rendered rooms, test split, views",
        "rendered rooms, test split, panoramas",
        "real: scene0",
        "real: scene1",
        "rgbd: depth, test",
    ]
    assert "4 pictures" in names[-1]
    write_json(report, ENGINES / "depth", path)

    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is no JSON")

    said = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    assert read_metrics(path) == report.rows
    for numbers, measured in zip(said["sets"], report.sets, strict=True):
        assert numbers["data"] == measured.data
        row = next(m for m in measured.rows if m.name == "metric absrel")
        assert numbers["model"]["metric"]["per_image"]["absrel"] == pytest.approx(row.value)
        assert numbers["baseline"]["metric"]["per_image"]["absrel"] == pytest.approx(row.baseline)
        ranked = [p["error"] for p in numbers["worst_first"]]
        assert ranked == sorted(ranked, reverse=True)
        assert np.mean(ranked) == pytest.approx(row.value)
    assert len(list(errors.glob("*/0001-*.jpg"))) == 5
    assert len(list(errors.glob("*/*.jpg"))) <= 15
    console = Console(record=True, width=120, file=(tmp_path / "table.txt").open("w"))
    print_table(report, console)
    text = console.export_text()
    console.file.close()
    for measured in report.sets:
        assert measured.data in text
        assert f"{measured.rows[0].value:.3f}" in text


def test_a_source_that_a_model_learnt_from_is_measured_where_it_did_not(
    tmp_path: Path, small_recipe: Callable[..., Recipe]
) -> None:
    """Of 20 scenes without a published split, the model's own split leaves few; another's model sees all."""
    folder = _depth_set(tmp_path / "set", 20)
    recipe = small_recipe("depth", data={"sources": [{"kind": "rgbd", "path": str(folder)}]})
    (learnt,) = sources_for([f"rgbd={folder}"], recipe, "test")
    (other,) = sources_for([f"rgbd={folder}"], None, "test")
    (trained,) = sources_for([f"rgbd={folder}"], recipe, "train")
    assert len(other.depth_cases()) == 40
    assert 0 < len(learnt.depth_cases()) < 20
    assert not {e.scene for e in learnt.depth_cases()} & {e.scene for e in trained.depth_cases()}
    (elsewhere,) = sources_for([f"rgbd={_depth_set(tmp_path / 'another', 2)}"], recipe, "test")
    assert len(elsewhere.depth_cases()) == 4
    titles = {data.name for data in sources_of(recipe)}  # which the recipe's own folder explains
    (elsewhere,) = sources_for([f"rgbd={tmp_path / 'another'}"], recipe, "test", titles)
    assert len(elsewhere.depth_cases()) == 4
    (carded,) = sources_for([f"rgbd={folder}"], None, "test", {data.name for data in sources_of(recipe)})
    assert [e.name for e in carded.depth_cases()] == [e.name for e in learnt.depth_cases()]


def test_a_network_for_several_nouns_is_measured_in_each(box_rooms: Path, small_recipe: Callable[..., Recipe]) -> None:
    """A joint network (untrained here) gives sets for depth, layout and lighting, each with its own metrics."""
    recipe = small_recipe("joint")
    manifest = manifest_of(recipe)
    backend = TorchBackend(build_task(recipe).inference_net, manifest)
    report = evaluate(Model(Path("joint"), manifest, backend, None), Places(rooms=box_rooms))
    first = {s.rows[0].name for s in report.sets}
    assert first >= {"metric absrel", "3D IoU", "scale-invariant irradiance RMSE"}
    assert all(np.isfinite(m.value) for m in report.rows)


def test_what_cannot_be_measured_on_says_so(tmp_path: Path) -> None:
    """Nothing given, no such folder, no such kind, no such part, a source without its folder."""
    with pytest.raises(DataError, match="nothing to measure on"):
        evaluate(_lighting(), Places())
    with pytest.raises(DataError, match="--real takes a folder"):
        evaluate(opened(ENGINES / "layout", threads=1), Places(real=tmp_path))
    with pytest.raises(DataError, match="no kind of lighting data"):
        evaluate(_lighting(), Places(sources=sources_for(["nyu=/there"], None, "test")))
    with pytest.raises(DataError, match="no split"):
        part_named("testing")
    with pytest.raises(DataError, match="write kind=folder"):
        sources_for(["nyu"], None, "test")


@pytest.mark.skipif(not (SHARED / "eval" / "lighting").is_dir(), reason=absent("eval/lighting"))
@pytest.mark.slow
def test_published_numbers_of_the_protocol(tmp_path: Path) -> None:
    """On the protocol's environments the published network and the projection get the errors measured elsewhere."""
    peer = SHARED / "peers" / "spherical_harmonic_inference" / "model.onnx"
    manifest = Path(__file__).parents[2] / "training" / "peers" / "spherical_harmonic_inference.json"
    report = evaluate(_lighting(), Places(real=SHARED / "eval"), peer=opened(peer, manifest, threads=1))
    for kind, published, projection in (("indoor", 0.231, 0.247), ("outdoor", 0.282, 0.362)):
        rows = [m for m in report.rows if f"{kind} panorama" in m.data and m.name.startswith("scale-invariant")]
        found = {m.baseline_name.split(" (")[0]: m.baseline for m in rows}
        assert found["published network"] == pytest.approx(published, abs=0.006)
        assert found["projection of the picture"] == pytest.approx(projection, abs=0.006)
