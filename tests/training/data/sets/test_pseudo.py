"""Pseudo-labels in files, and the samples made of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from edge.errors import DataError
from training.config.file import with_overrides
from training.config.recipe import Recipe
from training.data.samples.hdri import coefficients_of
from training.data.samples.pseudo_samples import (
    Mixed,
    PseudoLayoutSamples,
    PseudoLightingSamples,
    stretched,
    with_pseudo,
)
from training.data.samples.rooms import columns_of
from training.data.sets.pseudo import PseudoDepth, PseudoLayout, PseudoLighting, read_all, read_pseudo, write_pseudo
from training.data.sources import datasets
from training.data.vary.panoramic import PanoramaRoom, boundary_target, stretch_matrix, transformed

WIDTH = 128
ROOM = np.array([(-2.0, -1.5), (3.0, -1.5), (3.0, 2.5), (-2.0, 2.5)])


def _layout(seed: int = 0, weight: float = 1.0, columns: int = WIDTH) -> PseudoLayout:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 255, (columns // 2, columns, 3), dtype=np.uint8)
    edges = boundary_target(PanoramaRoom(image, ROOM, 1.5, 2.7), columns)
    some = np.full_like(edges, weight)
    some[:, : columns // 4] = 0
    nothing = np.zeros((1, columns), np.float32)
    return PseudoLayout(image, edges, some, nothing, nothing, np.ones(image.shape[:2], np.bool_))


def test_files_give_back_what_was_written(tmp_path: Path) -> None:
    """Picture, labels and origin of each noun; depth to half precision."""
    rng = np.random.default_rng(1)
    image = rng.integers(0, 255, (32, 64, 3), dtype=np.uint8)
    light = PseudoLighting(image, rng.random((9, 3), np.float32), np.ones((32, 64), np.bool_))
    depth = PseudoDepth(image, rng.random((32, 64), np.float32) * 9, np.array([50, 51], np.float32))
    for pseudo in (_layout(), light, depth):
        write_pseudo(tmp_path / "a.npz", pseudo, {"picture": "a.jpg"})
        found, origin = read_pseudo(tmp_path / "a.npz")
        assert origin == {"picture": "a.jpg"} and type(found) is type(pseudo)
        for name, value in vars(pseudo).items():
            np.testing.assert_allclose(getattr(found, name), value, rtol=1e-3, err_msg=name)
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_nothing_is_learnt_from_nothing(tmp_path: Path) -> None:
    """A folder without labels, with labels of another noun, or with none that says anything, is refused."""
    for noun in ("layout", "depth"):
        with pytest.raises(DataError, match="distill label"):
            read_all(tmp_path, noun)
    write_pseudo(tmp_path / "a.npz", _layout(weight=0.0), {})
    with pytest.raises(DataError, match="1 pictures .* none of them says anything"):
        read_all(tmp_path, "layout")
    whole = (tmp_path / "a.npz").read_bytes()
    for damaged in (b"not one", b"", whole[: len(whole) // 2]):
        (tmp_path / "b.npz").write_bytes(damaged)
        with pytest.raises(DataError, match="b.npz: no pseudo-labels"):
            read_all(tmp_path, "layout")


def test_stretching_moves_edges_as_it_moves_the_room() -> None:
    """Stretched labels are the labels of the stretched room."""
    pseudo = _layout(columns=512)
    plane = stretch_matrix(1.3, 0.8, 0.4)
    room = transformed(PanoramaRoom(pseudo.image, ROOM, 1.5, 2.7), plane)
    out = stretched(pseudo, plane)
    off = np.abs(out.edges_rad - boundary_target(room, 512))
    assert np.median(off) < 0.002 and np.quantile(off, 0.99) < 0.02
    np.testing.assert_array_equal(out.image, room.image)


def test_variations_keep_picture_and_labels_together(small_recipe: Callable[..., Recipe]) -> None:
    """Wherever a sample is turned or mirrored, the marked columns are those that the labels know."""
    recipe = small_recipe(
        "layout", augment={"photometric": 0.0, "stretch": 1.0, "perspective_share": 0.0}, input={"mask_channel": True}
    )
    pseudo = _layout()
    pseudo.image[:] = np.where(pseudo.edge_weight[0] > 0, 255, 0)[None, :, None]
    samples = PseudoLayoutSamples([pseudo], recipe, columns_of(recipe))
    for _ in range(6):
        sample = samples[0]
        bright = (sample["image"][0] > sample["image"][0].mean()).all(dim=0)
        at = torch.arange(sample["seen"].shape[1]) * bright.shape[0] // sample["seen"].shape[1]
        torch.testing.assert_close(sample["seen"][0] > 0, bright[at])
        assert not sample["seen"][2].any()


def test_light_turns_as_its_picture_does(small_recipe: Callable[..., Recipe]) -> None:
    """Wherever a sample is turned or mirrored, its labels are the light of the picture that it shows."""
    recipe = small_recipe("lighting", augment={"photometric": 0.0, "roll": True, "flip": True})
    image = np.random.default_rng(0).integers(0, 255, (64, 128, 3), dtype=np.uint8)
    image[:, :30] //= 8
    label = coefficients_of((image / 255).astype(np.float32))
    samples = PseudoLightingSamples([PseudoLighting(image, label, np.ones((64, 128), np.bool_))], recipe)
    mean, std = (np.array(v, np.float32) for v in (recipe.input.mean, recipe.input.std))
    seen = []
    for _ in range(6):
        sample = samples[0]
        shown = np.moveaxis(sample["image"][:3].numpy(), 0, -1) * std + mean
        np.testing.assert_allclose(sample["coefficients"], coefficients_of(shown.astype(np.float32)), atol=1e-4)
        seen.append(float(sample["coefficients"][3, 0]))
    assert np.ptp(seen) > 0.05


def test_a_view_of_a_panorama_teaches_nothing_where_it_does_not_see(small_recipe: Callable[..., Recipe]) -> None:
    """With a perspective camera's mask, columns out of view have no weight."""
    recipe = small_recipe("layout", augment={"perspective_share": 1.0})
    samples = PseudoLayoutSamples([_layout()], recipe, columns_of(recipe))
    for _ in range(4):
        sample = samples[0]
        seen = sample["image"][3].amax(dim=0) > 0
        at = torch.arange(sample["seen"].shape[1]) * len(seen) // sample["seen"].shape[1]
        assert not sample["seen"][:2, ~seen[at]].any()


def test_labelled_and_pseudo_labelled_samples_make_one_batch(
    tmp_path: Path, box_rooms: Path, small_recipe: Callable[..., Recipe]
) -> None:
    """A recipe with a folder of pseudo-labels draws from both, and counts them; without one nothing changes."""
    write_pseudo(tmp_path / "a.npz", _layout(), {"teachers": {"big.ckpt": "0" * 64}})
    plain = with_overrides(small_recipe("layout"), data={"rooms": box_rooms})
    labelled = datasets(plain).training
    assert with_pseudo(labelled, plain) == (labelled, {})
    both, counts = with_pseudo(labelled, with_overrides(plain, data={"pseudo": tmp_path, "pseudo_share": 0.5}))
    assert isinstance(both, Mixed) and counts == {"pseudo": 1, "teachers": ["big.ckpt"]}
    batch = torch.utils.data.default_collate([both[i % len(both)] for i in range(16)])
    assert batch["seen"].shape[1] == 3
    taught = batch["seen"][:, 2].amax(dim=1) > 0
    assert 0 < int(taught.sum()) < 16
