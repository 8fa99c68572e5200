"""ScanNet, 7-Scenes and TUM RGB-D from folders written here as their publishers lay them out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import DataError
from training.data.sets import rgbd, scannet, seven_scenes, tum


def _save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), array)


def _colour(width: int, height: int, value: int) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Two scans of one place and one of another, twelve frames each; colour is larger than depth, as in ScanNet."""
    for name in ("scene0000_00", "scene0000_01", "scene0707_00"):
        scan = tmp_path / "scans" / name
        for i in range(12):
            _save(scan / "color" / f"{i}.jpg", _colour(324, 242, 10 * i))
            _save(scan / "depth" / f"{i}.png", np.full((120, 160), 1000 + i, np.uint16))
        (scan / "intrinsic").mkdir()
        (scan / "intrinsic" / "intrinsic_color.txt").write_text(
            "292.4 0.0 161.7 0.0\n0.0 293.0 120.9 0.0\n0.0 0.0 1.0 0.0\n0.0 0.0 0.0 1.0\n"
        )
    (tmp_path / "scannetv2_train.txt").write_text("scene0000_00\nscene0000_01\n")
    (tmp_path / "scannetv2_test.txt").write_text("scene0707_00\n")
    return tmp_path


def test_scannet_frames_come_back_in_order_of_time(scans: Path) -> None:
    """Frames are numbered, not named: 2 comes before 10. Scans of one place are one scene; colour gets depth's size."""
    entries = scannet.read(scans, every=5)
    assert [e.name for e in entries[:3]] == ["scene0000_00/0", "scene0000_00/5", "scene0000_00/10"]
    assert [e.scene for e in entries] == ["scene0000"] * 6 + ["scene0707"] * 3
    assert [e.part for e in entries] == ["train"] * 6 + ["test"] * 3
    picture = entries[2].read()
    assert picture.image.shape == (120, 160, 3)
    assert abs(int(picture.image.mean()) - 100) <= 2
    np.testing.assert_allclose(picture.depth_m, 1.010, rtol=1e-6)
    assert picture.fx_px == pytest.approx(292.4 * 160 / 324)
    assert picture.fy_px == pytest.approx(293.0 * 120 / 242)


def test_other_scannet_layouts_are_refused(scans: Path) -> None:
    """No scans, a scan that was not exported whole, a 3x3 matrix where a 4x4 is written."""
    with pytest.raises(DataError, match="sceneNNNN_MM"):
        scannet.read(scans / "none")
    scan = scans / "scans" / "scene0000_00"
    (scan / "intrinsic" / "intrinsic_color.txt").write_text("1 0 0\n0 1 0\n0 0 1\n")
    with pytest.raises(DataError, match="4x4"):
        scannet.read(scans)
    (scan / "intrinsic" / "intrinsic_color.txt").unlink()
    with pytest.raises(DataError, match=r"intrinsic_color\.txt"):
        scannet.read(scans)
    (scan / "intrinsic" / "intrinsic_color.txt").write_text("\n".join(["1 0 0 0"] * 4))
    (scan / "depth" / "0.png").unlink()
    with pytest.raises(DataError, match="export_depth_images"):
        scannet.read(scans)


@pytest.fixture
def seven(tmp_path: Path) -> Path:
    """One room in two sequences, as 7-Scenes: 640x480, millimetres, 65535 where unknown."""
    depth = np.full((480, 640), 1500, np.uint16)
    depth[:, :100] = 65535
    depth[:, 100:200] = 0
    for sequence in ("seq-01", "seq-12"):
        for i in range(2):
            frame = tmp_path / "chess" / sequence / f"frame-{i:06d}"
            _save(frame.with_suffix(".color.png"), _colour(640, 480, 7))
            _save(frame.with_suffix(".depth.png"), depth)
    (tmp_path / "chess" / "TrainSplit.txt").write_text("sequence1\r\n")
    (tmp_path / "chess" / "TestSplit.txt").write_text("sequence12\r\n")
    return tmp_path


def test_seven_scenes_come_back(seven: Path) -> None:
    """65535 is unknown, as is 0; the lens is 585 px; the room is the scene whatever its sequence's part."""
    entries = seven_scenes.read(seven, every=1)
    assert [(e.scene, e.part) for e in entries] == [("chess", "train")] * 2 + [("chess", "test")] * 2
    picture = entries[0].read()
    assert set(np.unique(picture.depth_m)) == {0.0, np.float32(1.5)}
    assert (picture.depth_m == 0).mean() == pytest.approx(200 / 640)
    assert (picture.fx_px, picture.fy_px) == (585.0, 585.0)


def test_other_layouts_of_seven_scenes_are_refused(seven: Path) -> None:
    """No sequences, no split, words that are none of a split, a lone picture."""
    with pytest.raises(DataError, match="seq-NN"):
        seven_scenes.read(seven / "chess")
    (seven / "chess" / "seq-01" / "frame-000000.depth.png").unlink()
    with pytest.raises(DataError, match="unpack seq-01"):
        seven_scenes.read(seven)
    (seven / "chess" / "TestSplit.txt").write_text("seq-12\n")
    with pytest.raises(DataError, match="sequence1"):
        seven_scenes.read(seven)
    (seven / "chess" / "TestSplit.txt").unlink()
    with pytest.raises(DataError, match=r"TestSplit\.txt"):
        seven_scenes.read(seven)


@pytest.fixture
def sequence(tmp_path: Path) -> Path:
    """A sequence of freiburg2: colour at 30 Hz; depth 5 ms later, but for the second, which has none in time."""
    folder = tmp_path / "rgbd_dataset_freiburg2_desk"
    colour, depth = ["# color images", "# timestamp filename"], ["# depth maps"]
    for i in range(4):
        time_s = 1311868164.363181 + i / 30
        colour.append(f"{time_s:.6f} rgb/{time_s:.6f}.png")
        late_s = time_s + (0.025 if i == 1 else 0.005)
        depth.append(f"{late_s:.6f} depth/{late_s:.6f}.png")
        _save(folder / "rgb" / f"{time_s:.6f}.png", _colour(640, 480, i))
        _save(folder / "depth" / f"{late_s:.6f}.png", np.full((480, 640), 5000 * (i + 1), np.uint16))
    (folder / "rgb.txt").write_text("\n".join(colour) + "\n")
    (folder / "depth.txt").write_text("\n".join(depth) + "\n")
    return folder


@pytest.mark.parametrize("above", [True, False], ids=["folder of sequences", "one sequence"])
def test_tum_pairs_by_time(sequence: Path, above: bool) -> None:
    """5000 a metre; a picture whose depth is more than 20 ms away is left out; the lens is freiburg2's."""
    entries = tum.read(sequence.parent if above else sequence, every=1)
    assert [e.scene for e in entries] == ["freiburg2"] * 3
    pictures = [e.read() for e in entries]
    assert [float(p.depth_m[0, 0]) for p in pictures] == [1.0, 3.0, 4.0]
    assert [int(p.image[0, 0, 0]) for p in pictures] == [0, 2, 3]
    assert (pictures[0].fx_px, pictures[0].fy_px) == (520.9, 521.0)


@given(
    st.lists(st.floats(0, 1), max_size=12, unique=True),
    st.lists(st.floats(0, 1), max_size=12, unique=True),
)
def test_association_uses_each_file_once_and_never_across_the_gap(colour: list[float], depth: list[float]) -> None:
    """Whatever the times: pairs are within the gap, no file is in two, and no pair that could be added is left out."""
    pairs = tum.associated(*(sorted((t, str(t)) for t in times) for times in (colour, depth)), 0.02)
    first, second = [float(a) for a, _ in pairs], [float(b) for _, b in pairs]
    assert all(abs(a - b) <= 0.02 + 1e-12 for a, b in zip(first, second, strict=True))
    assert len(set(first)) == len(set(second)) == len(pairs)
    assert not any(abs(a - b) < 0.02 - 1e-12 for a in set(colour) - set(first) for b in set(depth) - set(second))


def test_other_tum_layouts_are_refused(sequence: Path, tmp_path: Path) -> None:
    """No lists, a name without its camera, lists of something else."""
    with pytest.raises(DataError, match=r"rgb\.txt and depth\.txt"):
        tum.read(tmp_path / "none")
    (sequence / "depth.txt").write_text("depth/1.png 1.0\n")
    with pytest.raises(DataError, match="<timestamp> <file>"):
        tum.read(sequence)
    (sequence / "depth.txt").unlink()
    with pytest.raises(DataError, match=r"depth\.txt: not there"):
        tum.read(sequence)
    with pytest.raises(DataError, match="freiburg1, 2 or 3"):
        tum.read(sequence.rename(tmp_path / "desk"))


def test_plain_folders_are_scenes(tmp_path: Path) -> None:
    """A folder with rgb/ and depth/ is one scene; a folder of such folders has one for each."""
    for name in ("kitchen", "office"):
        for i in range(2):
            _save(tmp_path / name / "rgb" / f"{i}.png", _colour(32, 24, i))
            _save(tmp_path / name / "depth" / f"{i}.png", np.full((24, 32), 2000, np.uint16))
        np.savetxt(tmp_path / name / "K.txt", [[30, 0, 16], [0, 31, 12], [0, 0, 1]])
    assert [e.scene for e in rgbd.read(tmp_path)] == ["kitchen", "kitchen", "office", "office"]
    assert [e.name for e in rgbd.read(tmp_path / "office", units_per_m=500)] == ["office/0", "office/1"]
    assert float(rgbd.read(tmp_path / "office", units_per_m=500)[0].read().depth_m[0, 0]) == 4.0
    _save(tmp_path / "office" / "depth" / "0.png", np.full((24, 24), 2000, np.uint16))
    with pytest.raises(DataError, match="another shape"):
        rgbd.read(tmp_path / "office")[0].read()
    _save(tmp_path / "office" / "depth" / "0.png", np.full((24, 32), 200, np.uint8))
    with pytest.raises(DataError, match="16-bit"):
        rgbd.read(tmp_path / "office")[0].read()
    with pytest.raises(DataError, match="cannot be read"):
        rgbd.read(tmp_path / "none")


def test_a_scene_may_hold_other_folders_and_any_case(tmp_path: Path) -> None:
    """Poses beside rgb/ and depth/ are no scene; .PNG is .png; a picture without its depth is named."""
    _save(tmp_path / "rgb" / "0.PNG", _colour(32, 24, 1))
    _save(tmp_path / "depth" / "0.PNG", np.full((24, 32), 2000, np.uint16))
    (tmp_path / "poses").mkdir()
    np.savetxt(tmp_path / "K.txt", [[30, 0, 16], [0, 31, 12], [0, 0, 1]])
    (entry,) = rgbd.read(tmp_path)
    assert entry.scene == tmp_path.name
    assert float(entry.read().depth_m[0, 0]) == 2.0
    _save(tmp_path / "flat" / "1_rgb.png", _colour(32, 24, 1))
    with pytest.raises(DataError, match=r"1_rgb\.png.*_depth\.png"):
        rgbd.read(tmp_path / "flat", lens=(30, 31, 16, 12))


def _named(folder: Path, colour: list[str], depth: list[str]) -> Path:
    """Pictures in rgb/ and depth/, whose values are their places in the lists."""
    for i, name in enumerate(colour):
        _save(folder / "rgb" / name, _colour(32, 24, i))
    for i, name in enumerate(depth):
        _save(folder / "depth" / name, np.full((24, 32), 1000 * (i + 1), np.uint16))
    np.savetxt(folder / "K.txt", [[30, 0, 16], [0, 31, 12], [0, 0, 1]])
    return folder


@pytest.mark.parametrize(
    ("colour", "depth"),
    [
        (["0.png", "2.png", "10.png"], ["0000.png", "0002.png", "0010.png"]),
        (["rgb_1.png", "rgb_2.png", "rgb_11.png"], ["depth_1.png", "depth_2.png", "depth_11.png"]),
        (["frame-1.color.png", "frame-9.color.png"], ["frame-000001.depth.png", "frame-000009.depth.png"]),
        (["1305.175.png", "1305.25.png"], ["1305.175.png", "1305.25.png"]),
        (["hall-2_IMG.png", "room-1_IMG.png"], ["hall-2-depth.png", "room-1-depth.png"]),
    ],
)
def test_a_picture_has_the_depth_of_its_own_name(colour: list[str], depth: list[str], tmp_path: Path) -> None:
    """Whatever the order that names sort in, and however their numbers are padded."""
    for entry in rgbd.read(_named(tmp_path, colour, depth)):
        picture = entry.read()
        assert float(picture.depth_m[0, 0]) == int(picture.image[0, 0, 0]) + 1


@pytest.mark.parametrize(
    ("colour", "depth", "named"),
    [
        ([f"{i}.png" for i in range(12)], [f"{i}.png" for i in range(1, 13)], r"rgb/0\.png: the first of 2"),
        (["a.png", "b.png"], ["a.png", "c.png"], r"rgb/b\.png"),
        (["0.png", "1.png"], ["0.png"], r"rgb/1\.png: one without"),
        (["0.png"], ["0.png", "1.png"], r"depth/1\.png"),
        (["1.5.png"], ["1.05.png"], r"rgb/1\.5\.png"),
        (["left_1.png"], ["right_1.png"], r"rgb/left_1\.png"),
        (["1.png", "01.png"], ["1.png", "2.png"], r"1\.png: is of the same frame as 01\.png"),
    ],
)
def test_what_has_no_other_half_is_refused(colour: list[str], depth: list[str], named: str, tmp_path: Path) -> None:
    """Also when there are as many of both: nothing is paired by position."""
    with pytest.raises(DataError, match=f"{named}.*rename"):
        rgbd.read(_named(tmp_path, colour, depth))


def test_a_depth_alone_beside_pairs_is_refused(tmp_path: Path) -> None:
    """Side by side as in folders."""
    _save(tmp_path / "1_rgb.png", _colour(32, 24, 1))
    for number in (1, 2):
        _save(tmp_path / f"{number}_depth.png", np.full((24, 32), 2000, np.uint16))
    with pytest.raises(DataError, match=r"2_depth\.png"):
        rgbd.read(tmp_path, lens=(30, 31, 16, 12))
