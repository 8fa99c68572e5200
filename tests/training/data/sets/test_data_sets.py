"""Data sets in recipes and on the command line: listed by kind, mixed with rendered rooms, split without leaks."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.errors import DataError
from tests.training.conftest import ALONE, CPU
from training.config.file import load_recipe, with_overrides
from training.config.recipe import Recipe
from training.data.mix.splits import shared_scenes
from training.data.samples.rooms import depth_pictures, split_rooms
from training.data.sets.readers import DEPTH, LAYOUT, LIGHTING, kind_of
from training.data.sources import datasets, parts_of, with_sources
from training.data.vary import framing
from training.export.engine import sources_of
from training.fit import fit

RECIPES = Path(__file__).parents[4] / "training" / "recipes"
NONE: dict[str, Any] = {"zoom": 1.0, "flip": False, "photometric": 0.0}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 scenes of two RGB-D pictures, 96 x 72, each of one depth: 10 m and a centimetre for each picture."""
    root = tmp_path_factory.mktemp("rgbd")
    for scene in range(30):
        for i in range(2):
            depth = np.full((72, 96), 10000 + 10 * (2 * scene + i), np.uint16)
            colour = np.full((72, 96, 3), 200, np.uint8)
            for name, array in (("rgb", colour), ("depth", depth)):
                path = root / f"home{scene:02d}" / name / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), array)
        np.savetxt(root / f"home{scene:02d}" / "K.txt", [[80, 0, 48], [0, 80, 36], [0, 0, 1]])
    return root


def test_every_kind_names_its_layout_where_nothing_is(tmp_path: Path) -> None:
    """Whatever the kind, an empty folder is refused by a message that names the folder and says what to do."""
    for table in (DEPTH, LAYOUT, LIGHTING):
        for name, kind in table.items():
            with pytest.raises(DataError, match=re.escape(str(tmp_path))) as said:
                kind.entries(tmp_path, {})
            assert len(str(said.value)) > len(str(tmp_path)) + 30, name


def test_options_are_checked(pictures: Path) -> None:
    """An option that the reader does not know, of another type or out of range, is named."""
    assert len(kind_of("depth", "rgbd").entries(pictures, {"units_per_m": 500})) == 60
    with pytest.raises(DataError, match=r"options: unit"):
        kind_of("depth", "rgbd").entries(pictures, {"unit": 500})
    with pytest.raises(DataError, match=r"units_per_m.*number"):
        kind_of("depth", "rgbd").entries(pictures, {"units_per_m": "mm"})
    with pytest.raises(DataError, match=r"units_per_m.*greater than 0"):
        kind_of("depth", "rgbd").entries(pictures, {"units_per_m": 0})
    for kind in ("hypersim", "nyu_h5", "scannet", "seven_scenes", "tum"):
        with pytest.raises(DataError, match=r"every.*greater than or equal to 1"):
            kind_of("depth", kind).entries(pictures, {"every": 0})
    with pytest.raises(DataError, match="nyu_h5"):
        kind_of("depth", "zind")
    with pytest.raises(DataError, match="--rooms"):
        kind_of("scene", "nyu")


def test_sources_of_the_command_line(small_recipe: Callable[..., Recipe]) -> None:
    """A kind that the recipe names keeps its options and gets the path; others are added; nonsense is refused."""
    named = {"sources": [{"kind": "kitti", "options": {"annotated": "depth"}}, {"kind": "tum", "path": "/old"}]}
    recipe = small_recipe("depth", data=named)
    first, second, third = with_sources(recipe, ["kitti=/a/b", "nyu=/c:0.25", "tum=/new:3"]).data.sources
    assert (first.path, first.options, first.weight) == (Path("/a/b"), {"annotated": "depth"}, 1.0)
    assert (second.path, second.weight) == (Path("/new"), 3.0)
    assert (third.kind, third.path, third.weight) == ("nyu", Path("/c"), 0.25)
    twice = with_sources(recipe, ["tum=/one", "tum=/two", "rgbd=C:/data"]).data.sources
    assert [str(s.path) for s in twice] == ["None", "/one", "/two", "C:/data"]
    for bad in ("kitti", "=/a", "kitti="):
        with pytest.raises(DataError, match="kind=path"):
            with_sources(recipe, [bad])
    with pytest.raises(DataError, match=r"--source kitti=FOLDER"):
        datasets(recipe)


def test_a_data_set_alone_is_enough(pictures: Path, small_recipe: Callable[..., Recipe]) -> None:
    """Without rendered rooms a set is learnt from by itself; scenes of validation are never drawn."""
    recipe = small_recipe("depth", net={"canonical_focal_px": None}, augment=NONE)
    recipe = with_sources(recipe, [f"rgbd={pictures}"])
    split = datasets(recipe)
    parts = parts_of(recipe, recipe.data.sources[0])
    assert shared_scenes(parts) == []
    assert split.counts == {"pictures": len(parts["train"]), "validation_pictures": len(parts["val"])}
    held: Any = split.validation
    truths = {round(float(e.read().depth_m[0, 0]), 3) for e in parts["val"]}
    assert {round(float(held[i]["depth"].max()), 3) for i in range(len(held))} == truths
    drawn = {round(float(split.training[i]["depth"].max()), 3) for i in range(120)}
    assert not drawn & truths
    assert len(drawn) > 20


def test_sets_and_rooms_mix_by_weight(pictures: Path, box_rooms: Path, small_recipe: Callable[..., Recipe]) -> None:
    """A set of weight 3 gives three of four samples beside rendered rooms (which are all nearer than 10 m)."""
    recipe = with_overrides(small_recipe("depth", net={"canonical_focal_px": None}), data={"rooms": box_rooms})
    split = datasets(with_sources(recipe, [f"rgbd={pictures}:3"]))
    far = np.mean([float(split.training[i]["depth"].max()) > 9.9 for i in range(400)])
    assert far == pytest.approx(0.75, abs=0.08)
    alone = datasets(recipe).counts
    assert split.counts["rooms"] == alone["rooms"]
    held: Any = split.validation
    assert len(held) == alone["validation_rooms"] + split.counts["validation_pictures"]


def test_what_a_model_learns_from_is_named_with_its_licence(small_recipe: Callable[..., Recipe]) -> None:
    """A card names each data set and on which terms it may be used."""
    recipe = with_sources(small_recipe("depth"), ["kitti=/a", "hypersim=/b"])
    assert [(s.name, s.licence) for s in sources_of(recipe)] == [
        ("KITTI raw and depth", "CC BY-NC-SA 3.0"),
        ("Hypersim", "CC BY-SA 3.0"),
    ]


@pytest.mark.parametrize(
    ("weights", "encoder", "named"),
    [
        ("imagenet", "resnet50", "torchvision's ResNet-50"),
        ("mobilenet_v2_1.0_torchvision.npz", "mobilenet_v2", "torchvision's MobileNetV2"),
        ("mobilenet_v2_1.0_ade20k.npz", "mobilenet_v2", "MLCommons' DeepLab"),
        ("narrow.npz", "mobilenet_v2", "weights of an encoder"),
        ("final.ckpt", "mobilenet_v2", "weights of a trained network"),
    ],
)
def test_what_a_model_starts_from_is_named(
    weights: str, encoder: str, named: str, small_recipe: Callable[..., Recipe]
) -> None:
    """A card names the encoder whose weights they were or says that a model's were taken, and who labelled pictures."""
    recipe = small_recipe("depth", net={"encoder": encoder}, data={"weights": weights, "pseudo": "labels"})
    pseudo, start = sources_of(recipe)
    assert "labels" in pseudo.name
    assert start.name.startswith(named)
    assert ("ImageNet" in start.name) == ("torchvision" in named)
    assert weights in start.name


def test_samples_can_be_given_to_another_process(pictures: Path, small_recipe: Callable[..., Recipe]) -> None:
    """Loader processes started afresh get data sets by pickle."""
    split = datasets(with_sources(small_recipe("depth"), [f"rgbd={pictures}"]))
    again = pickle.loads(pickle.dumps(split.validation))
    np.testing.assert_array_equal(again[0]["depth"], split.validation[0]["depth"])


def test_fcrns_augmentation_by_recipe(box_rooms: Path, small_recipe: Callable[..., Recipe]) -> None:
    """With a canvas, scale and turn, each depth is an original one at the canvas's size divided by one s in 1..1.5."""
    augment = NONE | {"canvas_px": [72, 70], "scale": 1.5, "rotate_deg": 5.0}
    recipe = small_recipe("depth", net={"canonical_focal_px": None}, augment=augment, data={"rooms": str(box_rooms)})
    split = datasets(recipe)
    pictures = depth_pictures(split_rooms(box_rooms, "train"), 72, 70)
    nearest_m, farthest_m = (f([f(p.depth_m[p.depth_m > 0]) for p in pictures]) for f in (min, max))
    samples = [split.training[i] for i in range(40)]
    assert {tuple(s["image"].shape) for s in samples} == {(3, 64, 64)}
    assert {tuple(s["depth"].shape) for s in samples} == {(1, 32, 32)}
    assert max(float(s["depth"].max()) for s in samples) <= farthest_m
    assert min(float(s["depth"][s["depth"] > 0].min()) for s in samples) >= nearest_m / 1.5 - 1e-5
    still = small_recipe("depth", net={"canonical_focal_px": None}, augment=NONE | {"canvas_px": [72, 70]})
    sample = datasets(with_overrides(still, data={"rooms": box_rooms})).training[0]
    middles = [framing.centre_cropped(p, 64, 64) for p in pictures]
    assert any(np.array_equal(sample["depth"][0], m.depth_m.reshape(32, 2, 32, 2).min(axis=(1, 3))) for m in middles)


def test_lighting_learns_from_hdri_sets(tmp_path: Path, small_recipe: Callable[..., Recipe]) -> None:
    """Places of a set are split by place; held out by name they are validated on, whatever the hash says."""
    rng = np.random.default_rng(0)
    for i in range(30):
        path = tmp_path / f"indoor__place{i:02d}.hdr"
        assert cv2.imwrite(str(path), rng.uniform(0.1, 1, (32, 64, 3)).astype(np.float32))
    recipe = with_sources(small_recipe("lighting"), [f"hdri={tmp_path}"])
    split = datasets(recipe)
    (scenes,) = split.scenes
    assert sum(len(scenes[part]) for part in ("train", "val", "test")) == 30
    assert split.counts == {"environments": len(scenes["train"]), "validation_environments": len(scenes["val"])}
    held = next(iter(scenes["train"]))
    (moved,) = datasets(with_overrides(recipe, data={"hold_out_hdri": (held,)})).scenes
    assert held in moved["val"]
    assert held not in moved["train"]


def test_fit_writes_which_scenes_it_learnt_from(
    tmp_path: Path, pictures: Path, box_rooms: Path, small_recipe: Callable[..., Recipe]
) -> None:
    """`splits.json` lies beside the checkpoints and names every scene of every set once."""
    recipe = with_overrides(small_recipe("depth"), data={"rooms": box_rooms}, optim={"precision": "32-true"})
    recipe = with_sources(recipe, [f"rgbd={pictures}"])
    fit(recipe, tmp_path, hardware=CPU, loading=ALONE, show_progress=False)
    said = json.loads((tmp_path / "splits.json").read_text())
    assert [s["kind"] for s in said["sources"]] == ["rooms", "rgbd"]
    for source, count in zip(said["sources"], (40, 30), strict=True):
        scenes = [scene for part in ("train", "val", "test") for scene in source[part]]
        assert len(scenes) == len(set(scenes)) == count


@pytest.mark.parametrize("name", ["fcrn_nyu", "fcrn_kitti"])
def test_published_recipes_know_their_lens(name: str) -> None:
    """Pictures on the recipe's canvas are taken by the canonical lens: training changes no metre."""
    recipe = load_recipe(RECIPES / f"{name}.yaml")
    taken = {"fcrn_nyu": ((640, 480), (518.858, 519.470)), "fcrn_kitti": ((1200, 240), (721.5377, 721.5377))}
    (width, height), (fx, fy) = taken[name]
    canvas = recipe.augment.canvas_px
    assert canvas is not None
    focal_px = np.sqrt(fx * canvas[0] / width * fy * canvas[1] / height)
    assert getattr(recipe.net, "canonical_focal_px", None) == pytest.approx(focal_px, abs=0.01)
    assert canvas[0] >= recipe.input.width_px
    assert canvas[1] >= recipe.input.height_px
