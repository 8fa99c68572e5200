"""Environments on disk, written here by the formats' own libraries."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import OpenEXR
import pytest

from edge.errors import DataError
from training.data.sets.hdr_files import environment_files, place_of, read, read_environment

RNG = np.random.default_rng(0)
RADIANCE = RNG.uniform(0.01, 40.0, (16, 32, 3)).astype(np.float32)


def write_exr(path: Path, channels: dict[str, np.ndarray]) -> Path:
    """An OpenEXR file with these channels (RGB or RGBA stand for three or four)."""
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with OpenEXR.File(header, channels) as file:
        file.write(str(path))
    return path


@pytest.mark.parametrize("kind", ["float", "half", "alpha"])
def test_exr_gives_the_radiance_that_was_written(tmp_path: Path, kind: str) -> None:
    """Red first, floats exactly, halves to their precision; alpha is no radiance."""
    stored = RADIANCE if kind == "float" else RADIANCE.astype(np.float16)
    alpha = np.dstack([stored, np.ones(stored.shape[:2], stored.dtype)])
    path = write_exr(tmp_path / "a.exr", {"RGBA": alpha} if kind == "alpha" else {"RGB": stored})
    out = read_environment(path)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, stored.astype(np.float32))


def test_hdr_gives_the_radiance_that_was_written(tmp_path: Path) -> None:
    """Red first, to the precision of a shared exponent of eight bits."""
    assert cv2.imwrite(str(tmp_path / "a.hdr"), RADIANCE[..., ::-1])
    out = read_environment(tmp_path / "a.hdr")
    assert np.abs(out - RADIANCE).max() <= RADIANCE.max() / 128


def test_radiance_is_finite_and_not_negative(tmp_path: Path) -> None:
    """An overflowed sun becomes the brightest half float, what is undefined or negative is dark."""
    wrong = RADIANCE.copy()
    wrong[0, :3, 0] = np.inf, np.nan, -1.0
    out = read_environment(write_exr(tmp_path / "a.exr", {"RGB": wrong}))
    assert out[0, :3, 0].tolist() == [65504.0, 0.0, 0.0]
    np.testing.assert_array_equal(out[1:], RADIANCE[1:])


@pytest.mark.parametrize("ending", ["hdr", "exr"])
def test_a_value_that_is_no_light_is_taken_for_an_overflowed_sun(
    ending: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A finite one too (3e38 of a broken pixel), said once; the sun itself, in cd/m2, stays."""
    wrong = RADIANCE.copy()
    wrong[0, 0], wrong[0, 1] = 1.5e38, 1.6e9
    path = tmp_path / f"a.{ending}"
    if ending == "exr":
        write_exr(path, {"RGB": wrong})
    else:
        cv2.imwrite(str(path), wrong)
    for _ in range(2):
        out = read_environment(path)
    assert out[0, 0].tolist() == [65504.0] * 3
    np.testing.assert_allclose(out[0, 1], 1.6e9, rtol=0.01)
    assert caplog.text.count(f"{path}: 1 pixels") == 1


def test_an_environment_of_much_that_is_no_light_is_refused(tmp_path: Path) -> None:
    """A file that is broken as a whole is not made into one of many suns."""
    wrong = RADIANCE.copy()
    wrong[:4, :, 1] = np.nan
    with pytest.raises(DataError, match="128 of its pixels hold no radiance.*remove"):
        read_environment(write_exr(tmp_path / "a.exr", {"RGB": wrong}))


def test_what_is_no_environment_is_refused(tmp_path: Path) -> None:
    """Pictures of eight bits, another shape, grey, cut short or something else: the file, and what to do."""
    flat = (RADIANCE * 5).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "flat.png"), flat)
    (tmp_path / "renamed.hdr").write_bytes((tmp_path / "flat.png").read_bytes())
    cv2.imwrite(str(tmp_path / "square.hdr"), RADIANCE[:, :16])
    whole = write_exr(tmp_path / "whole.exr", {"RGB": RADIANCE}).read_bytes()
    (tmp_path / "short.exr").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.exr").write_text("no picture")
    (tmp_path / "text.hdr").write_text("no picture")
    write_exr(tmp_path / "grey.exr", {"Y": RADIANCE[..., 0].copy()})
    write_exr(tmp_path / "tall.exr", {"RGB": RADIANCE[:, :8].copy()})
    for name, message in (
        ("flat.png", "png is no radiance"),
        ("renamed.hdr", "uint8 values holds no radiance"),
        ("square.hdr", "twice as wide as high, this is 16x16"),
        ("tall.exr", "twice as wide as high, this is 8x16"),
        ("short.exr", "cut short"),
        ("text.exr", "no OpenEXR picture"),
        ("text.hdr", r"no Radiance \.hdr picture"),
        ("none.exr", "no OpenEXR picture"),
        ("none.hdr", r"no Radiance \.hdr picture"),
        ("grey.exr", "channels Y; expected R, G and B"),
    ):
        with pytest.raises(DataError, match=f"{name}: .*{message}.*(remove|replace|expected)"):
            read_environment(tmp_path / name)


def test_a_folder_lists_both_formats_by_place(tmp_path: Path) -> None:
    """A file's place is its name without kind and ending; other files are passed over."""
    cv2.imwrite(str(tmp_path / "indoor__b.hdr"), RADIANCE)
    write_exr(tmp_path / "outdoor__a_2.exr", {"RGB": RADIANCE})
    (tmp_path / "SOURCES.csv").write_text("file\n")
    assert [(e.name, e.scene, e.part) for e in read(tmp_path)] == [
        ("indoor__b", "b", None),
        ("outdoor__a_2", "a_2", None),
    ]
    np.testing.assert_array_equal(read(tmp_path)[1].read(), RADIANCE)
    assert [place_of(n) for n in ("indoor__x.exr", "x.hdr", "x", "a__b__c.hdr")] == ["x", "x", "x", "b__c"]


def test_a_folder_without_environments_says_what_it_holds(tmp_path: Path) -> None:
    """Nothing, pictures of eight bits only, or one environment twice."""
    with pytest.raises(DataError, match=r"no \.hdr or \.exr files; give"):
        environment_files(tmp_path / "none")
    cv2.imwrite(str(tmp_path / "a.jpg"), np.zeros((4, 8, 3), np.uint8))
    with pytest.raises(DataError, match="its 1 pictures of 8 bits hold no radiance"):
        environment_files(tmp_path)
    cv2.imwrite(str(tmp_path / "a.hdr"), RADIANCE)
    write_exr(tmp_path / "a.exr", {"RGB": RADIANCE})
    with pytest.raises(DataError, match="a is there both"):
        environment_files(tmp_path)
