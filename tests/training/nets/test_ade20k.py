"""The published segmenters' files, run by our own executor."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from edge.errors import DataError
from tests.training.conftest import SHARED, absent
from training.nets.ade20k import CLASSES, classes_in, read_segmenter, surface_probabilities

WEIGHTS = SHARED / "assets" / "weights"
FILES = ("mosaic_r4_ade20k32_mlperf_uint8qat.npz", "deeplabv3plus_mnv2_ade20k32_mlperf_int8ptq.npz")


@pytest.mark.parametrize("name", FILES)
def test_it_computes_what_the_publishers_executor_computes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On noise, wider than high, every logit is that of the executor kept beside the files."""
    if not (WEIGHTS / "graphnet.py").is_file():
        pytest.skip(absent("assets/weights/graphnet.py"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    spec = importlib.util.spec_from_file_location("graphnet", WEIGHTS / "graphnet.py")
    assert spec is not None and spec.loader is not None
    theirs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(theirs)
    picture = torch.rand(1, 3, 256, 384) * 2 - 1
    with torch.no_grad():
        expected = theirs.GraphNet(WEIGHTS / name, clamp=False)(picture)
        logits = read_segmenter(WEIGHTS / name)(picture)
    assert logits.shape == (1, 32, 256, 384)
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)


def test_a_file_that_is_no_segmenter_is_refused(tmp_path: Path) -> None:
    """Another .npz, or no archive at all: one message with the remedy."""
    path = tmp_path / "x.npz"
    path.write_bytes(b"not one")
    with pytest.raises(DataError, match="ADE20K"):
        read_segmenter(path)
    np.savez(path, weights=np.zeros(3))
    with pytest.raises(DataError, match="ADE20K"):
        read_segmenter(path)


def test_surfaces_are_sums_of_their_classes() -> None:
    """A pixel surely of one class is wholly that class's surface; a bed is none of the three."""
    logits = torch.full((1, 32, 1, 4), -30.0)
    for x, name in enumerate(("building", "rug", "ceiling", "bed")):
        logits[0, CLASSES.index(name), 0, x] = 30.0
    expected = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])
    torch.testing.assert_close(surface_probabilities(logits)[0, :, 0], expected)


@pytest.mark.slow
def test_people_are_found_where_they_walk() -> None:
    """In a real film of a corridor: nobody in its first frame, and in some of the next a person of some per cent."""
    film = SHARED / "eval" / "video" / "one-by-one-person-detection.mp4"
    if not film.is_file() or not (WEIGHTS / FILES[0]).is_file():
        pytest.skip(absent("eval/video and assets/weights"))
    segmenter, capture, shares = read_segmenter(WEIGHTS / FILES[0]), cv2.VideoCapture(str(film)), []
    for number in range(0, 600, 75):
        capture.set(cv2.CAP_PROP_POS_FRAMES, number)
        image = np.ascontiguousarray(capture.read()[1][..., ::-1])
        found = classes_in(segmenter, image)
        assert found.shape == image.shape[:2]
        shares.append(float((found == CLASSES.index("person")).mean()))
    capture.release()
    assert min(shares) < 0.005 and max(shares) > 0.03, shares
