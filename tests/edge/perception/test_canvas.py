"""The panorama canvas and the input tensor."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.errors import GeometryError, ImageError
from edge.geometry.mask import covered
from edge.geometry.panorama import rays
from edge.geometry.pinhole import intrinsics_from_fov, rays_from_pixels
from edge.geometry.rigid import rotation_room_camera
from edge.inference.manifest import InputSpec
from edge.perception.canvas import CanvasMap, visible_mask
from edge.perception.preprocess import tensor_from_image
from edge.scene import CameraModel, Intrinsics, Projection

SPEC = InputSpec(
    name="x",
    width_px=64,
    height_px=32,
    projection="equirectangular",
    mean=(0.5, 0.4, 0.3),
    std=(0.2, 0.25, 0.3),
    mask_channel=True,
)


@pytest.mark.parametrize(("yaw", "pitch", "roll"), [(0, 0, 0), (40, -20, 10), (180, 30, -5)])
def test_perspective_picture_lands_where_it_looks(yaw: float, pitch: float, roll: float) -> None:
    """A picture whose colour is its room direction fills the canvas with the canvas's own directions."""
    model = CameraModel(
        "perspective", hfov_rad=1.3, yaw_rad=np.deg2rad(yaw), pitch_rad=np.deg2rad(pitch), roll_rad=np.deg2rad(roll)
    )
    camera = rays_from_pixels(intrinsics_from_fov(320, 240, 1.3))
    camera /= np.linalg.norm(camera, axis=-1, keepdims=True)
    turn = rotation_room_camera(model.yaw_rad, model.pitch_rad, model.roll_rad)
    picture = np.round(camera @ turn.T * 127 + 128).astype(np.uint8)
    canvas, mask = CanvasMap(model, (320, 240), 512, 256).apply(picture)
    assert np.abs(canvas[mask] - (rays(512, 256)[mask] * 127 + 128)).max() < 4
    assert (canvas[~mask] == 0).all()


def test_mask_covers_the_field_of_view() -> None:
    """A level 90 degree view covers a quarter of the horizon, centred ahead."""
    mask = visible_mask(CameraModel("perspective", hfov_rad=np.pi / 2), 400, 300, 512, 256)
    seen = np.flatnonzero(mask[128])
    assert (seen[0], seen[-1]) == (192, 319)


def test_strong_distortion_does_not_fold_back() -> None:
    """A barrel lens whose polynomial turns back far off axis still sees one connected patch ahead."""
    lens = Intrinsics(320, 240, 160, 160, 160, 120, k1=-0.3, k2=0.05)
    mask = visible_mask(CameraModel("perspective", intrinsics=lens), 320, 240, 256, 128)
    seen = np.flatnonzero(mask.any(axis=0))
    assert (np.diff(seen) == 1).all()
    assert 60 < seen[0] < 128 < seen[-1] < 196


def test_yaw_of_a_panorama_rolls_it() -> None:
    """A panorama camera turned a quarter right shows its own centre a quarter right of forward."""
    picture = np.zeros((256, 512, 3), np.uint8)
    picture[:, 250:262] = 255
    model = CameraModel("equirectangular", yaw_rad=np.pi / 2)
    canvas, mask = CanvasMap(model, (512, 256), 512, 256).apply(picture)
    assert mask.all()
    assert np.flatnonzero(canvas[128, :, 0] > 128).mean() == pytest.approx(255.5 + 128, abs=0.6)


def test_level_panorama_is_passed_through() -> None:
    """A level panorama of the canvas's size is not resampled."""
    picture = np.random.default_rng(0).integers(0, 255, (128, 256, 3), dtype=np.uint8)
    assert (CanvasMap(CameraModel("equirectangular"), (256, 128), 256, 128).apply(picture)[0] == picture).all()


def test_panorama_must_be_two_to_one() -> None:
    """A 16:9 picture is no panorama, and the message says what to do."""
    with pytest.raises(GeometryError, match="twice as wide"):
        CanvasMap(CameraModel("equirectangular"), (1280, 720), 512, 256)


def test_perspective_needs_its_lens() -> None:
    """Without field of view or intrinsics there is no canvas."""
    with pytest.raises(GeometryError, match="hfov_deg"):
        CanvasMap(CameraModel("perspective"), (640, 480), 512, 256)


@pytest.mark.parametrize("colour", ["rgb", "bgr"])
def test_tensor_is_the_textbook_normalisation(colour: str) -> None:
    """(value / 255 - mean) / std per channel, in the manifest's colour order; masked pixels are 0 everywhere."""
    spec = SPEC.model_copy(update={"colour": colour})
    rng = np.random.default_rng(2)
    image, mask = rng.integers(0, 256, (32, 64, 3), dtype=np.uint8), rng.random((32, 64)) > 0.4
    ordered = image if colour == "rgb" else image[..., ::-1]
    expected = (ordered / 255 - np.array(spec.mean)) / np.array(spec.std) * mask[..., None]
    tensor = tensor_from_image(image, spec, mask=mask)
    assert tensor.dtype == np.float32
    assert tensor[:3] == pytest.approx(expected.transpose(2, 0, 1), abs=1e-6)
    assert (tensor[3] == mask).all()


def test_tensor_of_another_size_is_refused() -> None:
    """Resizing is a separate, shared step."""
    with pytest.raises(ImageError, match="resize"):
        tensor_from_image(np.zeros((10, 10, 3), np.uint8), SPEC)


def test_intrinsics_of_another_shape_are_refused() -> None:
    """A 16:9 calibration says nothing of a 4:3 picture; the same shape at another size is fine."""
    model = CameraModel("perspective", intrinsics=Intrinsics(1280, 720, 900, 900, 640, 360))
    CanvasMap(model, (640, 360), 256, 128)
    with pytest.raises(GeometryError, match="calibrate"):
        CanvasMap(model, (640, 480), 256, 128)


@pytest.mark.parametrize("turn", [0.0, 0.7])
@pytest.mark.parametrize("projection", ["perspective", "equirectangular"])
def test_what_is_hidden_is_not_seen(projection: Projection, turn: float) -> None:
    """A privacy mask takes its part of the picture out of the canvas's mask, wherever the camera looks; no more."""
    hidden = ((0.4, 0.3), (0.7, 0.3), (0.7, 0.7), (0.4, 0.7))
    hfov_rad = 1.5 if projection == "perspective" else None
    width, height = (640, 480) if projection == "perspective" else (1024, 512)
    picture = np.zeros((height, width, 3), np.uint8)
    picture[covered([hidden], width, height)] = 255
    plain = CanvasMap(CameraModel(projection, hfov_rad=hfov_rad, yaw_rad=turn), (width, height), 512, 256)
    model = CameraModel(projection, hfov_rad=hfov_rad, yaw_rad=turn, masks=(hidden,))
    masked = CanvasMap(model, (width, height), 512, 256)
    canvas = plain.apply(picture)[0][..., 0]
    assert not masked.mask[canvas > 0].any()
    lost = plain.mask & ~masked.mask
    near = cv2.dilate((canvas > 0).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    assert lost.any()
    assert not (lost & ~near).any()
