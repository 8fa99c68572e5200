"""KITTI from drives, calibration and 16-bit depth written here as the publisher ships them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import DataError
from training.data.sets import kitti

DATE, TRAIN, VAL = "2011_09_26", "2011_09_26_drive_0001_sync", "2011_09_26_drive_0002_sync"
WIDTH, HEIGHT = 124, 37
CALIBRATION = """calib_time: 09-Jan-2012 13:57:47
corner_dist: 9.950000e-02
S_rect_02: 1.242000e+03 3.750000e+02
P_rect_02: 7.215377e+02 0.000000e+00 6.095593e+02 4.485728e+01 0.0 7.3e+02 1.728540e+02 2.163791e-01 0.0 0.0 1.0 0.0
P_rect_03: 7.115377e+02 0.000000e+00 6.095593e+02 -3.395242e+02 0.0 7.2e+02 1.728540e+02 2.199936e+00 0.0 0.0 1.0 0.0
"""


def _depth(value: int) -> np.ndarray:
    depth = np.full((HEIGHT, WIDTH), value, np.uint16)
    depth[0] = 0
    return depth


@pytest.fixture
def drives(tmp_path: Path) -> Path:
    """Two drives: two pictures by camera 2 and one by camera 3 in the benchmark's train, one in its val."""
    raw = tmp_path / "raw" / DATE
    for drive, part, camera, frame in (
        (TRAIN, "train", "02", 5),
        (TRAIN, "train", "02", 7),
        (TRAIN, "train", "03", 5),
        (VAL, "val", "02", 9),
    ):
        picture = raw / drive / f"image_{camera}" / "data" / f"{frame:010d}.png"
        depth = (
            tmp_path / "data_depth_annotated" / part / drive / "proj_depth" / "groundtruth" / f"image_{camera}"
        ) / picture.name
        for path, array in ((picture, np.full((HEIGHT, WIDTH, 3), (1, 2, frame), np.uint8)), (depth, _depth(2560))):
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), array)
    (raw / TRAIN / "image_02" / "data" / "0000000000.png").write_bytes(
        b""
    )  # the benchmark leaves each drive's first out
    (raw / "calib_cam_to_cam.txt").write_text(CALIBRATION)
    return tmp_path


def test_pictures_of_the_benchmark_come_back(drives: Path) -> None:
    """Depth is value / 256, unknown stays 0; the lens is its camera's; pictures without depth take no part."""
    entries = kitti.read(drives)
    assert [e.name for e in entries] == [
        f"{TRAIN}/image_02/0000000005",
        f"{TRAIN}/image_02/0000000007",
        f"{TRAIN}/image_03/0000000005",
        f"{VAL}/image_02/0000000009",
    ]
    assert [e.part for e in entries] == ["train", "train", "train", "test"]
    assert [e.scene for e in entries] == [TRAIN] * 3 + [VAL]
    second, third = entries[1].read(), entries[2].read()
    assert tuple(second.image[0, 0]) == (7, 2, 1)
    assert set(np.unique(second.depth_m)) == {0.0, 10.0}
    assert (second.fx_px, second.fy_px) == (721.5377, 730.0)
    assert (third.fx_px, third.fy_px) == (711.5377, 720.0)


@pytest.mark.parametrize(
    "lines",
    [
        f"{DATE}/{TRAIN}/image_02/data/0000000007.png {TRAIN}/proj_depth/groundtruth/image_02/0000000007.png 721.5\n"
        f"{DATE}/{TRAIN}/image_02/data/0000000000.png None 721.5\n",
        f"{DATE}/{TRAIN} 7 l\n{DATE}/{TRAIN} 0000000000 l\n",
    ],
    ids=["paths", "folder frame side"],
)
def test_eigens_lists_in_both_their_forms(drives: Path, lines: str) -> None:
    """A list names its pictures; those without depth are left out. The benchmark's own split is not asked."""
    train, test = drives / "eigen_train.txt", drives / "eigen_test.txt"
    train.write_text(lines)
    test.write_text(f"{DATE}/{VAL} 9 l\n")
    entries = kitti.read(drives, train_list=train, test_list=test)
    assert [(e.name[-10:], e.part) for e in entries] == [("0000000007", "train"), ("0000000009", "test")]


def test_gargs_crop_and_80_m(drives: Path) -> None:
    """Depth counts in rows .40810811..99189189 and columns .03594771..96405229 of the size, up to 80 m."""
    far = next(drives.rglob("groundtruth/image_02/0000000007.png"))
    cv2.imwrite(str(far), _depth(81 * 256))
    near, beyond = (e.read() for e in kitti.read(drives, garg_crop=True)[:2])
    rows, columns = np.flatnonzero(near.depth_m.any(axis=1)), np.flatnonzero(near.depth_m.any(axis=0))
    assert (rows[0], rows[-1] + 1) == (int(0.40810811 * HEIGHT), int(0.99189189 * HEIGHT))
    assert (columns[0], columns[-1] + 1) == (int(0.03594771 * WIDTH), int(0.96405229 * WIDTH))
    assert not beyond.depth_m.any()


def test_a_part_of_the_picture_keeps_the_lens(drives: Path) -> None:
    """A crop has the size asked for and the focal length in px that it had; one outside of the picture is refused."""
    picture = kitti.read(drives, crop=(13, 1, 24, 120))[0].read()
    assert picture.image.shape == (24, 120, 3)
    assert picture.depth_m.shape == (24, 120)
    assert picture.fx_px == 721.5377
    with pytest.raises(DataError, match="not inside"):
        kitti.read(drives, crop=(20, 1, 24, 120))[0].read()


def test_other_layouts_are_refused(drives: Path, tmp_path: Path) -> None:
    """Each message names the place and what should be there."""
    with pytest.raises(DataError, match=r"data_depth_annotated\.zip"):
        kitti.read(drives, annotated="depth")
    with pytest.raises(DataError, match="raw drives by date"):
        kitti.read(drives, raw="images")
    bad = tmp_path / "bad.txt"
    bad.write_text("image_02/0000000005.png\n")
    with pytest.raises(DataError, match=r"bad\.txt, line 1.*l\|r"):
        kitti.read(drives, train_list=bad)
    with pytest.raises(DataError, match="cannot be read"):
        kitti.read(drives, train_list=tmp_path / "none.txt")
    calibration = drives / "raw" / DATE / "calib_cam_to_cam.txt"
    calibration.write_text("P_rect_02: 1 2 3\n")
    kitti.projection.cache_clear()
    with pytest.raises(DataError, match=r"P_rect_02.*12 numbers"):
        kitti.read(drives)
    calibration.write_text(CALIBRATION)
    next((drives / "raw").rglob("0000000005.png")).unlink()
    with pytest.raises(DataError, match="unpack the raw drive"):
        kitti.read(drives)
