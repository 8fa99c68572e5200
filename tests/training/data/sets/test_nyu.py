"""NYU Depth v2 from files written here as MATLAB and the h5 split's makers write them."""

from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from edge.errors import DataError
from training.data.sets import nyu

SCENES = ["kitchen_0004", "kitchen_0004b", "office_0001a", "den_0002"]


def _write_labelled(folder: Path, images: np.ndarray, depths: np.ndarray, raw: np.ndarray) -> Path:
    """A MATLAB 7.3 file of arrays (N, 480, 640, ...): a user block, axes reversed, text as UTF-16 by reference."""
    path = folder / "nyu_depth_v2_labeled.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["images"] = images.transpose(0, 3, 2, 1)
        file["depths"] = depths.transpose(0, 2, 1)
        file["rawDepths"] = raw.transpose(0, 2, 1)
        references = file.create_dataset("scenes", (1, len(images)), dtype=h5py.ref_dtype)
        for i, name in enumerate(SCENES):
            text = file.create_dataset(f"#refs#/{i}", data=np.array([[ord(c)] for c in name], np.uint16))
            references[0, i] = text.ref
    with path.open("r+b") as block:
        block.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")
    numbers = {"trainNdxs": [[1], [2]], "testNdxs": [[3], [4]]}
    scipy.io.savemat(folder / "splits.mat", {k: np.array(v, np.uint16) for k, v in numbers.items()})
    return path


@pytest.fixture(scope="module")
def arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Four pictures of 480 rows and 640 columns, which no transposition leaves as they are."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 480, 640, 3), dtype=np.uint8)
    depths = rng.uniform(0.5, 12.0, (4, 480, 640)).astype(np.float32)
    return images, depths, np.where(rng.random(depths.shape) < 0.2, 0, depths).astype(np.float32)


def test_labelled_pictures_come_back(tmp_path: Path, arrays: tuple[np.ndarray, ...]) -> None:
    """Rows are rows, indices count from 1, the split is splits.mat's, the lens the toolbox's."""
    images, depths, raw = arrays
    _write_labelled(tmp_path, *arrays)
    entries = nyu.read_labelled(tmp_path)
    assert [e.part for e in entries] == ["train", "train", "test", "test"]
    assert [e.scene for e in entries] == ["kitchen_0004", "kitchen_0004", "office_0001", "den_0002"]
    for entry, image, depth in zip(entries, images, depths, strict=True):
        picture = pickle.loads(pickle.dumps(entry)).read()  # as a loader's process gets it
        np.testing.assert_array_equal(picture.image, image)
        np.testing.assert_array_equal(picture.depth_m, depth)
        assert (picture.fx_px, picture.fy_px) == pytest.approx((518.8579, 519.4696), abs=1e-4)
    recorded = nyu.read_labelled(tmp_path, depth="raw")[1].read()
    np.testing.assert_array_equal(recorded.depth_m, raw[1])


def test_eigens_crop_is_45_to_471_and_41_to_601(tmp_path: Path, arrays: tuple[np.ndarray, ...]) -> None:
    """Inside of the crop depth up to 10 m is kept; elsewhere it counts as unknown. The picture stays whole."""
    _, depths, _ = arrays
    _write_labelled(tmp_path, *arrays)
    picture = nyu.read_labelled(tmp_path, eigen_crop=True)[0].read()
    inside = np.zeros((480, 640), bool)
    inside[45:471, 41:601] = True
    np.testing.assert_array_equal(picture.depth_m > 0, inside & (depths[0] <= 10))
    assert picture.image.shape == (480, 640, 3)


def test_without_its_split_file_no_part_is_claimed(tmp_path: Path, arrays: tuple[np.ndarray, ...]) -> None:
    """Without splits.mat the publisher's part is unknown."""
    _write_labelled(tmp_path, *arrays)
    (tmp_path / "splits.mat").unlink()
    assert {e.part for e in nyu.read_labelled(tmp_path)} == {None}


def test_other_labelled_layouts_are_refused(tmp_path: Path, arrays: tuple[np.ndarray, ...]) -> None:
    """Nothing there, an old MATLAB file, axes put right by somebody, a split of other pictures."""
    with pytest.raises(DataError, match=r"nyu_depth_v2_labeled\.mat.*as downloaded"):
        nyu.read_labelled(tmp_path)
    path = tmp_path / "nyu_depth_v2_labeled.mat"
    scipy.io.savemat(path, {"images": np.zeros(3)})
    with pytest.raises(DataError, match="HDF5"):
        nyu.read_labelled(tmp_path)
    _write_labelled(tmp_path, *arrays)
    scipy.io.savemat(tmp_path / "splits.mat", {"trainNdxs": [[1], [2]], "testNdxs": [[2], [4]]})
    with pytest.raises(DataError, match=r"splits\.mat.*each once"):
        nyu.read_labelled(tmp_path)
    with h5py.File(path, "r+") as file:
        images = file["images"][()]
        del file["images"]
        file["images"] = images.transpose(0, 3, 2, 1)
    with pytest.raises(DataError, match=r"\(N, 3, 640, 480\)"):
        nyu.read_labelled(tmp_path)
    with h5py.File(path, "r+") as file:
        del file["depths"]
    with pytest.raises(DataError, match="no depths"):
        nyu.read_labelled(tmp_path)


def _write_h5(folder: Path, names: dict[str, int]) -> None:
    for name, value in names.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            file["rgb"] = np.full((3, 480, 640), value, np.uint8)
            file["depth"] = np.full((480, 640), value / 10, np.float32)


def test_the_h5_splits_val_is_the_test_set(tmp_path: Path) -> None:
    """train/ is thinned by `every`, val/ never; recordings a and b of a place are one scene."""
    _write_h5(
        tmp_path,
        {f"train/kitchen_0004{r}/{i:05d}.h5": 10 + i for r in "ab" for i in range(4)}
        | {f"val/official/{i:05d}.h5": 50 + i for i in range(3)},
    )
    entries = nyu.read_h5(tmp_path, every=2)
    assert [e.part for e in entries] == ["train"] * 4 + ["test"] * 3
    assert [e.scene for e in entries] == ["kitchen_0004"] * 4 + ["official"] * 3
    picture = entries[1].read()
    assert picture.image.shape == (480, 640, 3)
    assert (picture.image == 12).all()
    np.testing.assert_allclose(picture.depth_m, 1.2)


def test_other_h5_layouts_are_refused(tmp_path: Path) -> None:
    """No train/ or val/; a file without depth; rows first."""
    with pytest.raises(DataError, match=r"train/<scene>/\*\.h5"):
        nyu.read_h5(tmp_path)
    _write_h5(tmp_path, {"train/a_0001/00001.h5": 1, "train/a_0001/00002.h5": 1})
    with h5py.File(tmp_path / "train/a_0001/00001.h5", "r+") as file:
        del file["depth"]
    with h5py.File(tmp_path / "train/a_0001/00002.h5", "r+") as file:
        del file["rgb"]
        file["rgb"] = np.zeros((480, 640, 3), np.uint8)
    first, second = nyu.read_h5(tmp_path)
    with pytest.raises(DataError, match=r"00001\.h5.*rgb and depth"):
        first.read()
    with pytest.raises(DataError, match=r"\(3, 480, 640\)"):
        second.read()
