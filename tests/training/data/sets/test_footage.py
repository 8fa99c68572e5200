"""Footage in every form: which frames in which order, whose lens, which poses; and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import DataError
from training.data.motion.footage import Footage
from training.data.sets import kitti, seven_scenes, stereo, tum, video, walks
from training.data.sets.readers import SELF_DEPTH


def _write(path: Path, level: int, size: tuple[int, int] = (64, 48)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((size[1], size[0], 3), level, np.uint8))


def _levels(footage: Footage) -> list[int]:
    return [round(float(image.mean())) for image in footage.frames()]


def test_frames_are_taken_in_natural_order(tmp_path: Path) -> None:
    """Frame 10 comes after frame 9, and the lens is the field of view that camera.json says."""
    for i in (10, 9, 1):
        _write(tmp_path / "room" / f"frame{i}.png", 10 * i)
    (tmp_path / "room" / "camera.json").write_text('{"hfov_deg": 90}')
    (entry,) = video.read(tmp_path / "room")
    footage = entry.read()
    assert _levels(footage) == [10, 90, 100]
    assert footage.lens == pytest.approx((32, 32, 32, 24))


def test_a_video_is_thinned_and_named_by_its_file(tmp_path: Path) -> None:
    """A film of 30 frames a second, taken at 10: every third."""
    path = tmp_path / "hall.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (64, 48))
    for i in range(30):
        writer.write(np.full((48, 64, 3), 8 * i, np.uint8))
    writer.release()
    (entry,) = video.read(tmp_path, hfov_deg=60)
    footage = entry.read()
    assert entry.scene == "hall" and footage.rate_hz == pytest.approx(10)
    assert _levels(footage) == pytest.approx([24 * i for i in range(10)], abs=4)


def test_a_lens_that_nobody_knows_is_asked_for(tmp_path: Path) -> None:
    """Without hfov_deg, K.txt or camera.json; and a file that says something else is named."""
    _write(tmp_path / "0.png", 10)
    (entry,) = video.read(tmp_path)
    with pytest.raises(DataError, match=r"hfov_deg.*camera\.json"):
        entry.read()
    (tmp_path / "camera.json").write_text('{"focal": 3}')
    with pytest.raises(DataError, match="expected hfov_deg"):
        entry.read()


def test_stereo_folders_pair_by_name(tmp_path: Path) -> None:
    """Each left picture with the right one of its name; one alone is named."""
    for i in range(3):
        _write(tmp_path / "left" / f"{i}.png", 10 * i)
        _write(tmp_path / "right" / f"{i}.png", 100 + 10 * i)
    (tmp_path / "stereo.json").write_text(json.dumps({"hfov_deg": 90, "baseline_m": 0.12}))
    footage = stereo.read(tmp_path)[0].read()
    assert footage.right is not None and footage.baseline_m == 0.12
    assert [round(float(x.mean())) for x in footage.right()] == [100, 110, 120]
    (tmp_path / "right" / "2.png").unlink()
    with pytest.raises(DataError, match="3 and 2; 2 alone"):
        stereo.read(tmp_path)[0].read()


@pytest.mark.parametrize("packing", ["side_by_side", "side_by_side_half", "top_bottom", "top_bottom_half"])
def test_both_eyes_of_a_packed_frame(packing: stereo.Packing) -> None:
    """The left eye is the left or upper half; halves that were squeezed get their shape back."""
    image = np.zeros((40, 60, 3), np.uint8)
    second = (slice(None), slice(30, None)) if packing.startswith("side") else (slice(20, None), slice(None))
    image[second] = 200
    left, right = (stereo.unpacked(image, packing, eye) for eye in (False, True))
    assert left.max() == 0 and right.min() == 200
    half = (40, 30) if packing.startswith("side") else (20, 60)
    whole = (40, 60) if packing.endswith("half") else half
    assert left.shape[:2] == right.shape[:2] == whole


def test_tum_poses_are_those_of_the_pictures_times(tmp_path: Path) -> None:
    """World from camera by quaternion x y z w, nearest in time; pictures without a pose near are left out."""
    folder = tmp_path / "rgbd_dataset_freiburg1_room"
    for i in range(3):
        _write(folder / "rgb" / f"{i}.png", 10 * i)
    (folder / "rgb.txt").write_text("# colour\n0.00 rgb/0.png\n0.10 rgb/1.png\n0.50 rgb/2.png\n")
    quarter = f"0 0 {np.sin(np.pi / 4)} {np.cos(np.pi / 4)}"
    (folder / "groundtruth.txt").write_text(f"# t\n0.001 0 0 0 0 0 0 1\n0.099 1 2 3 {quarter}\n")
    footage = tum.footage(tmp_path, every=1, poses=True)[0].read()
    assert footage.T_world_camera is not None and len(footage.T_world_camera) == 2
    assert np.allclose(footage.T_world_camera[1] @ [1, 0, 0, 1], [1, 3, 3, 1])  # x becomes y, then moved
    assert _levels(footage) == [0, 10]


def test_seven_scenes_poses_are_its_files(tmp_path: Path) -> None:
    """A 4x4 matrix a frame, camera to world."""
    sequence = tmp_path / "chess" / "seq-01"
    for i in range(2):
        _write(sequence / f"frame-{i:06d}.color.png", 50 * i)
        T = np.eye(4)
        T[0, 3] = i
        np.savetxt(sequence / f"frame-{i:06d}.pose.txt", T)
    (entry,) = seven_scenes.footage(tmp_path, every=1, poses=True)
    footage = entry.read()
    assert entry.scene == "chess" and footage.T_world_camera is not None
    assert footage.T_world_camera[:, 0, 3].tolist() == [0, 1]


def test_kittis_baseline_is_between_its_colour_cameras(tmp_path: Path) -> None:
    """(P2[0, 3] - P3[0, 3]) / f of the publisher's calibration: .53 m."""
    drive = tmp_path / "2011_09_26" / "2011_09_26_drive_0001_sync"
    for camera in ("image_02", "image_03"):
        _write(drive / camera / "data" / "0000000000.png", 10)
    f = 721.5377
    rows = {"02": [f, 0, 609.5593, 44.85728], "03": [f, 0, 609.5593, -339.5242]}
    text = "".join(
        f"P_rect_{c}: {' '.join(map(str, [*row, 0, f, 172.854, 0.2, 0, 0, 1, 0.003]))}\n" for c, row in rows.items()
    )
    (drive.parent / "calib_cam_to_cam.txt").write_text(text)
    footage = kitti.footage(tmp_path, stereo=True)[0].read()
    assert footage.baseline_m == pytest.approx(0.5327, abs=1e-3)
    assert footage.right is not None and len(list(footage.right())) == 1


def test_an_empty_folder_is_refused_by_every_kind(tmp_path: Path) -> None:
    """Each says what it expected."""
    for name, kind in SELF_DEPTH.items():
        with pytest.raises(DataError):
            kind.entries(tmp_path, {})
        assert kind.holds, name
    with pytest.raises(DataError, match="synthesize-walks"):
        walks.pictures(tmp_path)


def test_masks_lie_beside_the_frames(tmp_path: Path) -> None:
    """`masks/<frame>.png`: not black is left out, frame by frame; one that is lacking is named."""
    for i in range(3):
        _write(tmp_path / f"{i}.png", 100)
    (tmp_path / "camera.json").write_text('{"hfov_deg": 60, "camera_height_m": 1.5}')
    assert video.read(tmp_path)[0].read().masks is None
    for i in range(3):
        _write(tmp_path / "masks" / f"{i}.png", 255 * (i == 1))
    footage = video.read(tmp_path)[0].read()
    assert footage.masks is not None and footage.camera_height_m == 1.5
    assert [bool(mask.any()) for mask in footage.masks()] == [False, True, False]
    (tmp_path / "masks" / "2.png").unlink()
    with pytest.raises(DataError, match=r"1 of 3 frames have no mask \(2\.png\)"):
        video.read(tmp_path)[0].read()


def test_a_lens_may_be_left_to_be_found_and_a_height_must_be_one(tmp_path: Path) -> None:
    """`find` as option or in the file is no lens yet; a height of nonsense is refused with its file."""
    _write(tmp_path / "0.png", 10)
    assert video.read(tmp_path, hfov_deg="find")[0].read().lens is None
    (tmp_path / "camera.json").write_text('{"hfov_deg": "find"}')
    assert video.read(tmp_path)[0].read().lens is None
    (tmp_path / "camera.json").write_text('{"hfov_deg": 60, "camera_height_m": "high"}')
    with pytest.raises(DataError, match="no height in metres"):
        video.read(tmp_path)[0].read()
