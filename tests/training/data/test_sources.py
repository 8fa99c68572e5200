"""Samples: what the networks are given is what the device gives them, and splits do not leak."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import DataError
from edge.geometry.harmonics import project_panorama
from edge.perception.depth import DepthReader
from edge.perception.layout import LayoutReader
from edge.perception.lighting import LightingReader
from edge.scene import CameraModel
from tests.training.conftest import box_item
from training.config.data import AugmentConfig
from training.config.file import with_overrides
from training.config.recipe import Recipe
from training.data.mix.mixture import Mixture
from training.data.samples.hdri import (
    LightingTraining,
    coefficients_of,
    environments,
    protocol_picture,
    random_sample,
    split_environments,
    varied,
)
from training.data.samples.rooms import assets_of, depth_pictures, panorama_rooms, split_rooms
from training.data.sources import datasets
from training.data.synthetic.shards import write_part
from training.data.vary.masks import view_masks
from training.data.vary.photometric import response_table, sensor
from training.export.proof.runners import manifest_of


def _environment(seed: int, width: int = 64) -> np.ndarray:
    rng = np.random.default_rng(seed)
    out = rng.uniform(0.05, 0.5, (width // 2, width, 3)).astype(np.float32)
    out[4:7, seed % width] = 60.0
    return out


@pytest.fixture
def hdri(tmp_path: Path) -> Path:
    """Four tiny environments as Radiance files."""
    for i, name in enumerate(["indoor__a", "indoor__b", "outdoor__c", "outdoor__d"]):
        assert cv2.imwrite(str(tmp_path / f"{name}.hdr"), _environment(i)[..., ::-1])
    return tmp_path


def test_split_by_place_leaks_nothing(hdri: Path) -> None:
    """A held-out name is in no training map; a name that is none, even if a part of one, is refused."""
    for other in ("indoor__bb", "outdoor__c_2"):
        assert cv2.imwrite(str(hdri / f"{other}.hdr"), _environment(7)[..., ::-1])
    maps = environments(hdri, 64, 32)
    train, held = split_environments(maps, ("b", "c"))
    assert (len(train), len(held)) == (4, 2)
    np.testing.assert_array_equal(held[0], maps["indoor__b"])
    np.testing.assert_array_equal(held[1], maps["outdoor__c"])
    assert not any(np.array_equal(a, b) for a in train for b in held)
    with pytest.raises(DataError, match="nowhere"):
        split_environments(maps, ("nowhere",))
    with pytest.raises(DataError, match="indoor__b"):
        split_environments(maps, ("indoor__b",))
    with pytest.raises(DataError, match="no .hdr"):
        environments(hdri / "none", 64, 32)


def test_radiance_survives_resizing_and_varying() -> None:
    """Mean radiance is kept by area averaging; a yaw or mirror alone keeps L00."""
    augment = AugmentConfig(photometric=0.0)
    radiance = _environment(1)
    turned = varied(radiance, None, np.random.default_rng(0), augment)
    assert turned.mean() == pytest.approx(radiance.mean(), rel=1e-5)
    np.testing.assert_allclose(coefficients_of(turned)[0], coefficients_of(radiance)[0], rtol=1e-4)
    np.testing.assert_allclose(coefficients_of(radiance), project_panorama(radiance), atol=1e-4)


def test_protocol_picture_clips_at_its_percentile() -> None:
    """The 99th percentile becomes white: about a hundredth of the values is at 255."""
    picture, level = protocol_picture(_environment(2, 256))
    assert 0.005 < (picture == 255).mean() < 0.03
    assert level == pytest.approx(float(np.percentile(_environment(2, 256), 99)))


def test_lighting_sample_is_in_units_of_its_white() -> None:
    """Brightening the environment changes neither picture nor truth: exposure follows."""
    augment = AugmentConfig(photometric=0.0)
    a = random_sample(_environment(3), np.random.default_rng(5), augment)
    b = random_sample(_environment(3) * 8, np.random.default_rng(5), augment)
    np.testing.assert_array_equal(a.image, b.image)
    np.testing.assert_allclose(a.coefficients, b.coefficients, rtol=1e-4)
    np.testing.assert_allclose(a.cells, b.cells, rtol=1e-4)
    assert a.cells.min() > 0


def test_lighting_dataset_mixes_in_rooms(hdri: Path, small_recipe: Callable[..., Recipe]) -> None:
    """With a share of 1 only rooms are drawn, with none only HDRIs."""
    maps = list(environments(hdri, 128, 64).values())
    recipe = small_recipe("lighting", augment={"blend_share": 0.0, "perspective_share": 0.0, "photometric": 0.0})
    mixture = Mixture([(0.0, maps), (1.0, [np.full((64, 128, 3), 0.25, np.float32)])])
    rooms = LightingTraining(mixture, recipe.input, recipe.augment, 8)
    flat = rooms[0]["coefficients"].numpy()
    assert np.abs(flat[1:]).max() < 1e-3 * flat[0].min()


def test_held_out_skies_are_not_learnt_through_windows(
    tmp_path: Path, hdri: Path, small_recipe: Callable[..., Recipe]
) -> None:
    """Lighting uses no room behind whose windows a held-out environment stands; the other nouns use them all."""
    skies = ["outdoor__c.hdr", "outdoor__d.hdr", None]
    folder = tmp_path / "rooms"
    folder.mkdir()
    for index in range(30):
        item = box_item(index)
        item["attributes"]["description"] = json.dumps({"sky": skies[index % 3]})
        write_part(folder, item, {"generator": "boxes"})
    train, val = (split_rooms(folder, part) for part in ("train", "val"))
    data = {"rooms": folder, "hdri": hdri, "hold_out_hdri": ("c",)}
    counts = datasets(with_overrides(small_recipe("lighting"), data=data)).counts
    assert counts["rooms"] == sum(index % 3 != 0 for _, index in train)
    assert counts["validation_rooms"] == sum(index % 3 != 0 for _, index in val)
    assert (counts["environments"], counts["validation_environments"]) == (3, 1)
    assert datasets(with_overrides(small_recipe("layout"), data=data)).counts["rooms"] == len(train)


def test_what_rooms_are_made_of_is_read_from_their_files(tmp_path: Path, box_rooms: Path) -> None:
    """Assets are named in a card only if the rooms' files say that they were used."""
    write_part(tmp_path, box_item(0), {"assets": "97 models, 0 pictures, 28 skies, root /a"})
    assert assets_of(tmp_path) == {"models": 97, "pictures": 0, "skies": 28}
    assert assets_of(box_rooms) == {}


def test_room_samples_are_the_devices_own_tensors(box_rooms: Path, small_recipe: Callable[..., Recipe]) -> None:
    """Validation samples equal, bit for bit, what the device's readers prepare from the same pictures."""
    layout = with_overrides(small_recipe("layout"), data={"rooms": box_rooms})
    held = datasets(layout)[1]
    room = panorama_rooms(split_rooms(box_rooms, "val"), 128, 64)[0]
    reader = LayoutReader(manifest_of(layout), CameraModel("equirectangular"), smoothing_s=0.0, fit="auto")
    np.testing.assert_array_equal(reader.prepare(room.image)[0], held[0]["image"].numpy())

    depth = with_overrides(small_recipe("depth"), data={"rooms": box_rooms})
    held = datasets(depth)[1]
    picture = depth_pictures(split_rooms(box_rooms, "val"), 64, 64)[0]
    camera = CameraModel("perspective", hfov_rad=1.0)
    prepared = DepthReader(manifest_of(depth), camera, smoothing_s=0.0).prepare(picture.image)
    np.testing.assert_array_equal(prepared[0], held[0]["image"].numpy())


def test_masked_samples_match_the_devices_canvas(small_recipe: Callable[..., Recipe]) -> None:
    """A perspective camera's tensor is 0 outside of its view and 1 in the mask inside."""
    recipe = small_recipe("lighting")
    camera = CameraModel("perspective", hfov_rad=1.5)
    reader = LightingReader(manifest_of(recipe), camera, smoothing_s=0.0)
    tensor = reader.prepare(np.full((48, 64, 3), 200, np.uint8))[0]
    assert set(np.unique(tensor[3])) == {0.0, 1.0}
    assert not tensor[:3, tensor[3] == 0].any()
    masks = view_masks(128, 64)
    assert 0.03 < masks.mean() < 0.4
    assert masks.any(axis=(1, 2)).all()


def test_datasets_say_what_is_missing(box_rooms: Path, small_recipe: Callable[..., Recipe]) -> None:
    """No folder, or too few rooms: the message names the option."""
    with pytest.raises(DataError, match="--rooms"):
        datasets(small_recipe("depth"))
    with pytest.raises(DataError, match="--hdri"):
        datasets(small_recipe("lighting"))
    with pytest.raises(DataError, match="no rendered rooms"):
        datasets(with_overrides(small_recipe("depth"), data={"rooms": box_rooms / "none"}))


def test_sensor_keeps_size_and_type_and_strength_0_changes_nothing() -> None:
    """Whatever a camera does, a picture stays a picture; response curves are monotonic from black to white."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (32, 48, 3), dtype=np.uint8)
    assert sensor(image, rng, 0.0) is image
    for _ in range(20):
        out = sensor(image, rng, 1.0)
        assert (out.shape, out.dtype) == (image.shape, np.uint8)
        table = response_table(rng).astype(int)
        assert (np.diff(table) >= 0).all()
        assert (table[0], table[-1]) == (0, 255)
