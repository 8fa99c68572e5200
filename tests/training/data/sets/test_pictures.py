"""Picture files of data sets."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cameras.replay import read_picture as read_on_the_device
from edge.errors import DataError
from training.data.sets.pictures import read_picture
from training.data.synthetic.assets import read_texture


def write(path: Path) -> bytes:
    """A JPEG with content everywhere."""
    noise = np.random.default_rng(0).integers(0, 256, (20, 40, 3), dtype=np.uint8)
    assert cv2.imwrite(str(path), cv2.resize(noise, (320, 160), interpolation=cv2.INTER_CUBIC))
    return path.read_bytes()


@pytest.mark.parametrize("reader", [read_picture, read_texture])
def test_half_a_jpeg_is_refused(tmp_path: Path, reader: object) -> None:
    """It decodes to a picture whose lower half is grey; it is named instead, wherever training reads pictures."""
    path = tmp_path / "a.jpg"
    whole = write(path)
    for data in (whole[: len(whole) // 2], whole[: len(whole) // 2] + b"\xff\xd9", b"", b"no picture"):
        path.write_bytes(data)
        with pytest.raises(DataError, match=r"a\.jpg: is .*remove it"):
            reader(path)  # type: ignore[operator]
    with pytest.raises(DataError, match="cannot be read"):
        read_picture(tmp_path / "gone.jpg")


def test_a_whole_jpeg_is_what_the_device_sees(tmp_path: Path) -> None:
    """Bytes after its end and a missing end marker do not matter; the decoder is the device's."""
    path = tmp_path / "a.jpg"
    whole = write(path)
    want = cv2.imread(str(path))[..., ::-1]
    for data in (whole, whole + whole, whole + b"\xff\xda more", whole[:-2]):
        path.write_bytes(data)
        assert np.array_equal(read_picture(path), want)
        assert np.array_equal(read_on_the_device(path), want)
