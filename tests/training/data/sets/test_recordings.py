"""What `edge record` keeps on a device is what training reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.edge.commands.test_record import LENS, config_of, filmed, recorded
from training.data.motion import pairs
from training.data.sets import video


@pytest.mark.slow
def test_a_walk_is_read_by_training(tmp_path: Path) -> None:
    """From the camera through the capture process to what training learns from: lens, rate, and enough pairs."""
    to_and_fro = [(0.14 * (i if row % 2 == 0 else 11 - i) - 0.8, 0.15 * row) for row in range(3) for i in range(12)]
    walked = filmed(tmp_path / "walk", to_and_fro)
    config = config_of(tmp_path, {"hall": walked})
    code, folder, told = recorded("hall", "-c", config, "--out", tmp_path / "kept", "--pictures", 30)
    assert code == 0 and "30 useful pictures" in told, told
    (entry,) = video.read(tmp_path / "kept")
    footage = entry.read()
    assert footage.lens == pytest.approx(LENS, rel=1e-3)
    assert footage.rate_hz is not None and footage.rate_hz > 0
    studied = pairs.studied(footage, 160, 120)
    assert sum(map(len, studied.sources)) >= pairs.FEWEST_PAIRS
    assert len(studied.usable) > 0.8 * len(studied.images)
    assert Path(folder.strip()).name == entry.scene
