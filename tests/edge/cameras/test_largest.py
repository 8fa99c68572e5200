"""A small file may declare a huge picture: it is refused before it is decoded, in the memory of a small one.

Each is read in a process of its own, whose largest resident memory the kernel counts.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest

from edge.cameras import largest
from edge.cameras.base import ReplaySpec
from edge.cameras.decoder import DecoderError, _size
from edge.cameras.process import CameraProcess
from edge.config.cameras import CameraConfig
from edge.errors import ImageError
from edge.scene import CameraModel
from tests.edge.cameras.conftest import Until

SIDE_PX = 8192
"""67 megapixels: 200 MB as bytes, 800 as floats."""
MOST_MIB = 150
READERS = """
import json, resource, sys
from pathlib import Path
{imports}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
said = []
for name in sys.argv[1:]:
    try:
        {read}
        said.append("read")
    except {error} as error:
        said.append(str(error))
print(json.dumps([said, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024]))
"""


def real_png(folder: Path) -> Path:
    """A whole picture, black, so that its file is small."""
    path = folder / "huge.png"
    black = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    assert cv2.imwrite(str(path), black, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return path


def real_hdr(folder: Path) -> Path:
    """A whole Radiance picture, of runs of the same value."""
    runs = (bytes([128 + 127, 10]) * (SIDE_PX // 127) + bytes([128 + SIDE_PX % 127, 10])) * 4
    row = b"\2\2" + SIDE_PX.to_bytes(2, "big") + runs
    path = folder / "huge.hdr"
    head = f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {SIDE_PX} +X {SIDE_PX}\n"
    path.write_bytes(head.encode() + row * SIDE_PX)
    return path


def declared(folder: Path, ending: str, old: bytes, new: bytes) -> Path:
    """A small picture, 96 x 64 px, that says it is larger: `old` of its head is `new`."""
    path = folder / f"said{ending}"
    assert cv2.imwrite(str(path), np.full((64, 96, 3), 90, np.uint8))
    data = path.read_bytes()
    assert old in data, ending
    path.write_bytes(data.replace(old, new))
    return path


def in_a_child(imports: str, read: str, error: str, paths: list[Path]) -> tuple[list[str], float]:
    """What a reader says of each, and how many MiB its process took for them."""
    source = READERS.format(imports=imports, read=read, error=error)
    done = subprocess.run(
        [sys.executable, "-c", source, *map(str, paths)], capture_output=True, text=True, check=True, timeout=60
    )
    said, took_mib = json.loads(done.stdout)
    return said, took_mib


@pytest.fixture(scope="module")
def huge(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One of each kind."""
    folder = tmp_path_factory.mktemp("huge")
    small, big = (64, 96), (SIDE_PX, SIDE_PX)
    order: Literal["big", "little"]
    said = []
    for ending, order, size, before, after in (
        (".jpg", "big", 2, b"\x08", b"\x03"),  # SOF: bits, height, width, components
        (".gif", "little", 2, b"89a", b""),
        (".bmp", "little", 4, b"", b"\1\0"),
    ):
        wh = small[::-1], big
        sides = [pair if order == "little" else pair[::-1] for pair in wh]
        old, new = (before + b"".join(side.to_bytes(size, order) for side in pair) + after for pair in sides)
        said.append(declared(folder, ending, old, new))
    tags = [tag.to_bytes(2, "little") + b"\3\0\1\0\0\0" for tag in (256, 257)]
    wide = declared(folder, ".tif", tags[0] + (96).to_bytes(4, "little"), tags[0] + (60000).to_bytes(4, "little"))
    high = tags[1] + (64).to_bytes(4, "little"), tags[1] + (60000).to_bytes(4, "little")
    wide.write_bytes(wide.read_bytes().replace(*high))
    said.append(wide)
    return [real_png(folder), real_hdr(folder), *said]


def test_what_is_declared_decides_before_anything_is_decoded(huge: list[Path]) -> None:
    """Every kind is refused with its remedy, all of them together in less memory than one of them decoded."""
    said, took_mib = in_a_child(
        "from edge.cameras.picture import decoded\nfrom edge.errors import ImageError",
        "decoded(Path(name).read_bytes())",
        "ImageError",
        huge,
    )
    for path, text in zip(huge, said, strict=True):
        assert "more than 40 megapixels" in text, f"{path.name}: {text}"
        assert "most_megapixels" in text
    assert took_mib < MOST_MIB


def test_the_readers_for_training_refuse_them_too(huge: list[Path], tmp_path: Path) -> None:
    """Pictures, depth, environments (also OpenEXR) and videos: an error that names the file, and no more memory."""
    pytest.importorskip("OpenEXR")
    exr = tmp_path / "huge.exr"
    _sparse_exr(exr)
    hdr = next(path for path in huge if path.suffix == ".hdr")
    png = next(path for path in huge if path.suffix == ".png")
    imports = (
        "from training.data.sets.hdr_files import read_environment\n"
        "from training.data.sets.pictures import read_depth, read_picture\nfrom edge.errors import DataError"
    )
    read = "(read_environment if name.endswith(('hdr', 'exr')) else read_picture)(Path(name))"
    said, took_mib = in_a_child(imports, read, "DataError", [hdr, exr, png])
    depth, more_mib = in_a_child(imports, "read_depth(Path(name), 1000)", "DataError", [png])
    for path, text in zip([hdr, exr, png, png], said + depth, strict=True):
        assert text.startswith(f"{path}: declares more than 40 megapixels"), text
    assert max(took_mib, more_mib) < MOST_MIB


def _sparse_exr(path: Path) -> None:
    import OpenEXR

    one = np.zeros((4, 4), np.float16)
    OpenEXR.File({"compression": OpenEXR.ZIP_COMPRESSION}, {name: one for name in "RGB"}).write(str(path))
    data = path.read_bytes()
    box = (3).to_bytes(4, "little") * 2
    assert data.count(box) >= 2, "data window and display window"
    path.write_bytes(data.replace(box, (SIDE_PX - 1).to_bytes(4, "little") * 2))


def test_a_video_is_refused_by_what_its_head_says(tmp_path: Path, camera: object, until: Until) -> None:
    """A camera whose limit is below its video's size is offline, with the size and the remedy; above it, it plays."""
    path = tmp_path / "clip.avi"
    film = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"MJPG"), 5, (640, 480))
    for _ in range(5):
        film.write(np.full((480, 640, 3), 90, np.uint8))
    film.release()
    for most, plays in ((0.3, False), (0.31, True)):
        process = CameraProcess("hall", ReplaySpec(path), CameraModel("perspective"), most_megapixels=most)
        process.start()
        try:
            until(lambda process=process: process.poll() or process.sequence > 0 or process.last_error, 30.0)
            assert (process.last_error is None) == plays
            if not plays:
                assert "(640x480 px)" in str(process.last_error)
                assert "most_megapixels" in str(process.last_error)
        finally:
            process.stop()


def test_the_decoder_beside_us_is_not_believed_either() -> None:
    """Memory for its pictures is taken by what it says of them: no more than the limit."""
    assert _size("video/x-raw, format=(string)I420, width=(int)640, height=(int)480").bytes == 640 * 480 * 3 // 2
    with pytest.raises(DecoderError, match=r"more than 40 megapixels \(64000x48000 px\)"):
        _size("video/x-raw, format=(string)I420, width=(int)64000, height=(int)48000")


def test_pictures_at_the_limit_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is declared may be as large as it says, and not a pixel more."""
    monkeypatch.setenv(largest.VARIABLE, str(640 * 480))
    largest.refuse_larger(640, 480)
    with pytest.raises(ImageError, match="641x480"):
        largest.refuse_larger(641, 480)


def test_the_configuration_says_how_large() -> None:
    """By camera, 40 megapixels unless it says otherwise: 8192 x 4096, the largest that is used, are among them."""
    camera = {"name": "hall", "source": {"type": "v4l2"}, "hfov_deg": 70}
    assert CameraConfig.model_validate(camera).most_megapixels == 40
    assert CameraConfig.model_validate(camera | {"most_megapixels": 80}).most_megapixels == 80
    assert 8192 * 4096 <= 40e6
