"""Rendered walks are one world seen from elsewhere: depth and pose make each frame of the others."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from edge.errors import DataError
from training.data.synthetic import synthesize_walks
from training.losses.photometric import compared


@pytest.mark.slow
def test_a_walk_in_flat_light_looks_alike_from_everywhere(tmp_path: Path) -> None:
    """By true depth and pose a neighbour and the right eye make a frame to less than two fifths of what they differ by.

    By half the depth, they do not.
    """
    (path,) = synthesize_walks(tmp_path, 1, 31, frames=16, baseline_m=0.1, size_px=(128, 96), samples=0)
    with h5py.File(path, "r") as file:
        image, right = (
            torch.from_numpy(file[name][()]).permute(0, 3, 1, 2).float() / 255 for name in ("image", "right")
        )
        depth = torch.from_numpy(file["depth_m"][()].astype(np.float32))[8][None, None]
        T, lens = file["T_room_camera"][()], torch.from_numpy(file["intrinsics"][()])[None]
    beside = np.eye(4)
    beside[0, 3] = -0.1
    for source, motion in ((image[9], np.linalg.inv(T[9]) @ T[8]), (right[8], beside)):
        given = image[8][None], source[None, None], torch.from_numpy(motion).float()[None, None]
        target, sources, T_source_target = given
        found, unmoved, wrong = (
            float(compared(target, sources, z, lens, t).photometric)
            for z, t in (
                (depth, T_source_target),
                (depth, torch.eye(4)[None, None]),
                (depth / 2, T_source_target),
            )
        )
        assert found < 0.4 * unmoved
        assert found < 0.8 * wrong


def test_counts_that_render_nothing_are_refused(tmp_path: Path) -> None:
    """No frames, or light paths less than none."""
    for wrong in ({"frames": 0}, {"samples": -1}):
        with pytest.raises(DataError, match="must be positive"):
            synthesize_walks(tmp_path, 1, **wrong)  # type: ignore[arg-type]
