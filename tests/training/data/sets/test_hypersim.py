"""Hypersim from HDF5 files and tables written here as the publisher ships them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from edge.errors import DataError
from edge.geometry.pinhole import intrinsics_from_fov, rays_from_pixels
from training.data.sets import hypersim

WIDTH, HEIGHT = 64, 48
HEADER = "scene_name,camera_name,frame_id,included_in_public_release,exclude_reason,split_partition_name\n"


def _wall(z_m: float) -> np.ndarray:
    """Distances along the rays of the common lens, 60 degrees across, to a wall at z."""
    k = intrinsics_from_fov(WIDTH, HEIGHT, np.radians(60.0))
    return z_m * np.linalg.norm(rays_from_pixels(k), axis=-1)


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Two scenes before a wall at 3 m, with a hole in it; a third that the split knows is not there."""
    reach = _wall(3.0).astype(np.float16)
    reach[:8, :8] = np.nan
    colour = np.random.default_rng(0).uniform(0, 4, (HEIGHT, WIDTH, 3)).astype(np.float16)
    rows = [HEADER]
    for scene, part in (("ai_001_001", "train"), ("ai_002_003", "val"), ("ai_009_009", "test")):
        rows += [f"{scene},cam_00,0,True,,{part}\n", f"{scene},cam_00,7,False,contains people,\n"]
        if part == "test":
            continue
        images = tmp_path / scene / "images"
        for folder, name, array in (("final", "color", colour), ("geometry", "depth_meters", reach)):
            path = images / f"scene_cam_00_{folder}_hdf5" / f"frame.0000.{name}.hdf5"
            path.parent.mkdir(parents=True)
            with h5py.File(path, "w") as file:
                file["dataset"] = array
    (tmp_path / hypersim.SPLIT).write_text("".join(rows))
    return tmp_path


def test_range_becomes_z(scenes: Path) -> None:
    """A wall at right angles to the axis has one depth, though its distance grows to the sides; holes are unknown."""
    entries = hypersim.read(scenes)
    assert [(e.scene, e.part) for e in entries] == [("ai_001_001", "train"), ("ai_002_003", "val")]
    picture = entries[0].read()
    hole = np.zeros((HEIGHT, WIDTH), bool)
    hole[:8, :8] = True
    np.testing.assert_array_equal(picture.depth_m == 0, hole)
    np.testing.assert_allclose(picture.depth_m[~hole], 3.0, rtol=1e-3)
    assert picture.fx_px == pytest.approx(picture.fy_px)
    assert 2 * np.arctan(WIDTH / 2 / picture.fx_px) == pytest.approx(np.radians(60))


def test_the_tone_is_the_publishers(scenes: Path) -> None:
    """The 90th percentile of brightness is shown at 0.8, whatever the exposure of the file; a black scene is black."""
    image = hypersim.read(scenes)[0].read().image
    known = np.ones((HEIGHT, WIDTH), bool)
    linear = np.full((HEIGHT, WIDTH, 3), 17.0, np.float32)
    assert set(np.unique(hypersim.tonemapped(linear, known))) == {round(0.8 * 255)}
    assert not hypersim.tonemapped(linear * 0, known).any()
    brightness = (image / 255.0) ** 2.2 @ [0.3, 0.59, 0.11]
    assert np.percentile(brightness, 90) ** (1 / 2.2) == pytest.approx(0.8, abs=0.03)  # single channels clip


def test_lenses_come_from_the_camera_table(scenes: Path) -> None:
    """A scene's own projection gives its focal length; a shifted lens, which is no pinhole, is left out."""
    terms = [f"M_proj_{i}{j}" for i in range(2) for j in range(3)]
    (scenes / hypersim.LENSES).write_text(
        f"scene_name,{','.join(terms)}\nai_001_001,2.0,0.0,0.0,0.0,3.0,0.0\nai_002_003,1.7,0.0,0.1,0.0,2.3,0.0\n"
    )
    (entry,) = hypersim.read(scenes)
    picture = entry.read()
    assert (picture.fx_px, picture.fy_px) == (2.0 * WIDTH / 2, 3.0 * HEIGHT / 2)


def test_other_layouts_are_refused(scenes: Path) -> None:
    """No split, another table, a scene that is not whole, a file that holds something else."""
    depth = next(scenes.rglob("ai_001_001/**/frame.0000.depth_meters.hdf5"))
    with h5py.File(depth, "w") as file:
        file["depth"] = np.zeros(3)
    with pytest.raises(DataError, match=r"depth_meters\.hdf5.*dataset"):
        hypersim.read(scenes)[0].read()
    depth.unlink()
    with pytest.raises(DataError, match="download the whole scene"):
        hypersim.read(scenes)
    (scenes / hypersim.SPLIT).write_text("scene,camera\n")
    with pytest.raises(DataError, match="no column camera_name"):
        hypersim.read(scenes)
    (scenes / hypersim.SPLIT).write_text(HEADER)
    with pytest.raises(DataError, match="ai_VVV_NNN"):
        hypersim.read(scenes)
    (scenes / hypersim.SPLIT).unlink()
    with pytest.raises(DataError, match="publisher's repository"):
        hypersim.read(scenes)
