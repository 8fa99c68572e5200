"""What panoramas say of themselves (GPano) is followed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cameras.base import PictureError, ReplaySpec
from edge.cameras.gpano import Sphere, sphere_of
from edge.cameras.replay import ReplaySource
from edge.errors import CameraError, ImageError
from edge.geometry.panorama import rays
from edge.geometry.view import picture_rays
from edge.scene import CameraModel, ImageArray
from tests.edge.cameras.test_composer import coloured

FULL = {"FullPanoWidthPixels": 512, "FullPanoHeightPixels": 256}


def jpeg(image: ImageArray, said: dict[str, object], *, elements: bool = False) -> bytes:
    """A JPEG whose XMP says so of it, as attributes or as elements; both occur."""
    data = bytes(cv2.imencode(".jpg", image[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, 98))[1])
    if elements:
        inner = ">" + "".join(f"<GPano:{key}>{value}</GPano:{key}>" for key, value in said.items())
    else:
        inner = " ".join(f'GPano:{key}="{value}"' for key, value in said.items()) + ">"
    packet = f'<x:xmpmeta><rdf:Description xmlns:GPano="http://ns.google.com/photos/1.0/panorama/" {inner}'
    body = b"http://ns.adobe.com/xap/1.0/\0" + packet.encode() + b"</rdf:Description></x:xmpmeta>"
    return data[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + data[2:]


def cropped(width: int, height: int, left: int, top: int) -> dict[str, object]:
    """What a picture of that size and place says of itself."""
    own = {"CroppedAreaImageWidthPixels": width, "CroppedAreaImageHeightPixels": height}
    return FULL | own | {"CroppedAreaLeftPixels": left, "CroppedAreaTopPixels": top}


@pytest.mark.parametrize("elements", [False, True])
def test_a_part_lies_where_it_says(tmp_path: Path, elements: bool) -> None:
    """Columns 100..400 and rows 50..200 of a sphere are laid there; nothing else is seen."""
    sphere = coloured(rays(512, 256))
    path = tmp_path / "part.jpg"
    path.write_bytes(jpeg(sphere[50:200, 100:400], cropped(300, 150, 100, 50), elements=elements))
    with ReplaySource(ReplaySpec(path, pace="fast", gpano=True)) as source:
        picture = source.read()
        again = source.read()
    assert picture.image.shape == (256, 512, 3)
    assert picture.seen is not None
    assert again.seen is picture.seen
    mask = np.zeros((256, 512), np.bool_)
    mask[50:200, 100:400] = True
    assert np.array_equal(picture.seen, mask)
    assert np.abs(picture.image.astype(int) - sphere)[mask].max() <= 6  # JPEG's own error


def test_a_tilted_panorama_is_levelled(tmp_path: Path) -> None:
    """Heading, pitch and roll of the picture are undone: the panorama's middle is north, its horizon level."""
    heading, pitch, roll = 40.0, -12.0, 25.0
    model = CameraModel(
        "equirectangular", yaw_rad=np.deg2rad(heading), pitch_rad=np.deg2rad(pitch), roll_rad=np.deg2rad(roll)
    )
    tilted = coloured(picture_rays(model, (512, 256), (512, 256))[0])
    said = {"PoseHeadingDegrees": heading, "PosePitchDegrees": pitch, "PoseRollDegrees": roll}
    path = tmp_path / "tilted.jpg"
    path.write_bytes(jpeg(tilted, said | {"ProjectionType": "equirectangular"}))
    with ReplaySource(ReplaySpec(path, pace="fast", gpano=True)) as source:
        picture = source.read()
    assert picture.seen is None
    assert np.abs(picture.image.astype(int) - coloured(rays(512, 256))).max() <= 8
    with ReplaySource(ReplaySpec(path, pace="fast")) as source:
        assert np.abs(source.read().image.astype(int) - tilted).max() <= 8


def test_the_horizon_of_a_rolled_picture_turns_counter_clockwise() -> None:
    """As Google's metadata define roll: at +90 what is up in the room is at the picture's left."""
    model = CameraModel("equirectangular", roll_rad=np.deg2rad(90))
    looks, _ = picture_rays(model, (64, 32), (64, 32))
    left = looks[16, 16]  # longitude -90 of the picture
    assert left == pytest.approx([0, 0, 1], abs=0.1)


@pytest.mark.parametrize(
    "said",
    [{}, FULL, {"ProjectionType": "equirectangular"}, cropped(512, 256, 0, 0), {"PosePitchDegrees": "0.0"}],
)
def test_a_level_whole_sphere_is_left_as_it_is(said: dict[str, object]) -> None:
    """Metadata that say nothing else cost no resampling."""
    assert sphere_of(jpeg(np.zeros((64, 128, 3), np.uint8), said)) is None


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"ProjectionType": "cylindrical"}, "Export it as equirectangular"),
        ({"PosePitchDegrees": "steep"}, "no number"),
        ({"PosePitchDegrees": "1e400"}, "no number"),
        (cropped(300, 150, 300, 50), "cannot be"),
        (cropped(300, 150, -1, 50), "cannot be"),
        (cropped(0, 150, 0, 50), "cannot be"),
        (cropped(300, 150, 100, 50) | {"FullPanoHeightPixels": 0}, "cannot be"),
        (cropped(1, 1, 0, 0) | {"FullPanoWidthPixels": 0, "FullPanoHeightPixels": 0}, "cannot be"),
        (cropped(300, 150, 100, 50) | {"FullPanoHeightPixels": 300}, "gpano: false"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, said: dict[str, object], says: str) -> None:
    """A part outside its sphere, a sphere that is not 2:1, no numbers: the picture is not used, and why is said."""
    data = jpeg(np.zeros((150, 300, 3), np.uint8), said)
    with pytest.raises(ImageError, match=says):
        sphere_of(data)
    path = tmp_path / "picture.jpg"
    path.write_bytes(data)
    with ReplaySource(ReplaySpec(path, pace="fast", gpano=True)) as source, pytest.raises(PictureError, match=says):
        source.read()


def test_of_a_part_without_pose_only_its_place_is_said() -> None:
    """Angles as those of a whole panorama."""
    found = sphere_of(jpeg(np.zeros((64, 128, 3), np.uint8), cropped(256, 64, 128, 96)))
    assert found is not None
    assert replace(found, part=None) == Sphere()
    part = found.part
    assert part is not None
    expected = [-np.pi / 2, np.pi / 2, -np.pi / 8, np.pi / 8]
    assert [part.left_rad, part.right_rad, part.bottom_rad, part.top_rad] == pytest.approx(expected)


@pytest.mark.parametrize("suffix", [".insv", ".insp", ".360"])
def test_files_of_360_degree_cameras_are_told_apart(tmp_path: Path, suffix: str) -> None:
    """Their makers' own kinds are not read: whoever has them is told to export them."""
    path = tmp_path / f"clip{suffix}"
    path.write_bytes(b"\0" * 64)
    with pytest.raises(CameraError, match="Export an equirectangular"), ReplaySource(ReplaySpec(path)):
        pass
