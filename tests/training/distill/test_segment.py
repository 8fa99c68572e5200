"""The segmenters on pictures: real rooms, and what they must not depend on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from edge.geometry.panorama import longitudes
from edge.geometry.polygon import boundary_latitudes
from edge.scene import CameraModel
from tests.training.conftest import SHARED, absent
from training.data.sets.horizonnet import room_from_corners
from training.data.sets.pictures import read_picture
from training.data.sets.pseudo import PseudoLayout, read_pseudo
from training.data.sets.segmentation import room_boundary
from training.distill.segment import surfaces_of
from training.nets.ade20k import CLASSES, Ade20kSegmenter, read_segmenter

REPOSITORY = Path(__file__).resolve().parents[3]
SEGMENTER = SHARED / "assets" / "weights" / "mosaic_r4_ade20k32_mlperf_uint8qat.npz"
ROOM = "dancing_hall"


class ByColour(Ade20kSegmenter):
    """Takes red for wall, green for floor and blue for ceiling."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)

    def forward(self, x: Tensor) -> Tensor:
        logits = torch.full((1, len(CLASSES), *x.shape[2:]), -20.0)
        for name, channel in (("wall", 0), ("floor", 1), ("ceiling", 2)):
            logits[:, CLASSES.index(name)] = x[:, channel] * 10
        return logits


def test_surfaces_lie_where_the_picture_shows_them() -> None:
    """A painted panorama's colours come back in place, with no seam."""
    rng = np.random.default_rng(0)
    label = cv2.resize(rng.integers(0, 3, (8, 16), dtype=np.uint8), (1024, 512), interpolation=cv2.INTER_NEAREST)
    image = np.eye(3, dtype=np.uint8)[label] * 255
    surfaces = surfaces_of([ByColour()], image, CameraModel("equirectangular"))
    found = np.stack([surfaces.wall, surfaces.floor, surfaces.ceiling], axis=-1)
    np.testing.assert_allclose(found, image / 255, atol=1e-3)


def test_a_view_is_laid_into_the_panorama() -> None:
    """A camera that looks ahead at a wall sees wall ahead, and nothing is claimed where it does not see."""
    image = np.zeros((90, 120, 3), np.uint8)
    image[..., 0] = 255
    surfaces = surfaces_of([ByColour()], image, CameraModel("perspective", hfov_rad=1.2))
    assert surfaces.wall[256, 512] > 0.99
    for part in (surfaces.wall, surfaces.floor, surfaces.ceiling):
        assert not part[:, :300].any() and not part[:50].any()


@pytest.mark.slow
def test_a_real_rooms_edges_are_found() -> None:
    """On a real panorama labelled by hand, 95 % of the edges lie within 3 degrees of the labels."""
    label = SHARED / "eval" / "layout" / "label_cor" / f"{ROOM}.txt"
    if not SEGMENTER.is_file() or not label.is_file():
        pytest.skip(absent("assets/weights and ../shared/eval/layout"))
    image = read_picture(next((label.parents[1] / "img").glob(f"{ROOM}.*")))
    polygon, height_m = room_from_corners(np.loadtxt(label), image.shape[1], image.shape[0], 1.6)
    truth = -np.stack(boundary_latitudes(polygon, longitudes(1024), 1.6, height_m))
    room = room_boundary(surfaces_of([read_segmenter(SEGMENTER)], image, CameraModel("equirectangular")))
    assert room.usable
    known = room.boundary.weight > 0
    assert known.mean() > 0.9
    assert (np.abs(room.boundary.edges_rad - truth)[known] < np.deg2rad(3)).mean() > 0.95


@pytest.mark.slow
def test_the_command_writes_labels_and_a_sheet(tmp_path: Path) -> None:
    """`distill label` on a real studio: labels of a room, their origin, and a picture of them."""
    if not SEGMENTER.is_file():
        pytest.skip(absent("assets/weights"))
    call = [
        sys.executable, "-m", "training", "distill", "label", "--pictures", str(SHARED / "assets" / "hdri"), "--match",
        "studio__studio_small_03*", "--segmenter", str(SEGMENTER), "--out", str(tmp_path), "--threads", "1",
    ]  # fmt: skip
    done = subprocess.run(call, cwd=REPOSITORY, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    pseudo, origin = read_pseudo(tmp_path / "studio__studio_small_03.layout.npz")
    assert isinstance(pseudo, PseudoLayout) and (pseudo.edge_weight > 0).mean() > 0.8
    assert list(origin["teachers"]) == [SEGMENTER.name]
    assert (tmp_path / "sheet.png").is_file()
