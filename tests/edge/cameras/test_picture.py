"""Any picture becomes RGB, 8 bit."""

import numpy as np
import pytest

from edge.cameras.picture import MIN_SIDE_PX, content_hash, rgb_from_any
from edge.errors import ImageError

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


@pytest.mark.parametrize("shape", [(16, 16), (16, 16, 1)])
def test_grey_has_equal_channels(shape: tuple[int, ...]) -> None:
    """A grey picture becomes three channels of the same values."""
    rgb = rgb_from_any(RAMP.reshape(shape))
    assert rgb.shape == (16, 16, 3)
    assert all(np.array_equal(rgb[..., c], RAMP) for c in range(3))


def test_sixteen_bit_keeps_the_upper_byte() -> None:
    """White stays white and black black: 257 v in 16 bit is v in 8."""
    assert np.array_equal(rgb_from_any(RAMP.astype(np.uint16) * 257)[..., 0], RAMP)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_opencv_order_is_turned(channels: int, dtype: type[np.unsignedinteger]) -> None:
    """Pure blue first in OpenCV's order is pure blue last in RGB; alpha goes."""
    picture = np.zeros((20, 30, channels), dtype)
    picture[..., 0] = np.iinfo(dtype).max
    if channels == 4:
        picture[..., 3] = 7
    assert (rgb_from_any(picture) == (0, 0, 255)).all()
    assert (rgb_from_any(picture, bgr=False) == (255, 0, 0)).all()


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((MIN_SIDE_PX - 1, 100), np.uint8),
        np.zeros((32, 32, 2), np.uint8),
        np.zeros((32, 32, 3), np.float32),
        np.zeros(32, np.uint8),
    ],
)
def test_unusable_pictures_are_refused(picture: np.ndarray) -> None:
    """Too small, two channels, floating point or no picture at all: an error that says what to do."""
    with pytest.raises(ImageError, match=r"convert|use a larger"):
        rgb_from_any(picture)


def test_hash_tells_noise_and_size_apart() -> None:
    """Equal pictures agree; sensor noise or another shape of the same pixels does not."""
    rng = np.random.default_rng(0)
    image = rng.integers(100, 104, (480, 640, 3), dtype=np.uint8)
    again = rng.integers(100, 104, (480, 640, 3), dtype=np.uint8)
    assert content_hash(image) == content_hash(image.copy())
    assert content_hash(image) != content_hash(again)
    assert content_hash(np.zeros((32, 16, 3), np.uint8)) != content_hash(np.zeros((16, 32, 3), np.uint8))
