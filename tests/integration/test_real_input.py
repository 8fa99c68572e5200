"""Real footage through the daemon and a real Mosquitto; skipped where the evaluation data is not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.brokers import Mosquitto, Subscriber
from tests.integration.conftest import SHARED, Starter, check_message

EVALUATION = SHARED / "eval"
pytestmark = pytest.mark.skipif(
    not EVALUATION.is_dir(), reason=f'needs real pictures in {EVALUATION} (docs/accuracy.md, "The evaluation data")'
)
Brokers = Callable[..., Mosquitto]
Subscribers = Callable[..., Subscriber]


def panoramas_from_hdr(out: Path) -> Path:
    """The lighting set as pictures: 99th percentile at white, clipped, gamma 2.2."""
    out.mkdir()
    for path in sorted((EVALUATION / "lighting").glob("*.hdr")):
        radiance = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        picture = np.clip(radiance / np.percentile(radiance, 99), 0, 1) ** (1 / 2.2)
        cv2.imwrite(str(out / f"{path.stem}.png"), (picture * 255).astype(np.uint8))
    return out


@pytest.mark.slow
@pytest.mark.parametrize("what", ["video", "lighting", "layout"])
def test_real_pictures_give_possible_results(
    what: str, daemon: Starter, mosquitto: Brokers, subscribe: Subscribers, tmp_path: Path
) -> None:
    """Every message is schema-valid and physical: depth 0.1-20 m, a simple polygon round the camera, L00 > 0."""
    broker = mosquitto()
    camera: dict[str, Any] = {"name": "real", "camera_height_m": 1.6, "projection": "equirectangular"}
    if what == "video":
        path = EVALUATION / "video" / "one-by-one-person-detection.mp4"
        camera |= {"projection": "perspective", "hfov_deg": 70.0, "camera_height_m": 2.5, "pitch_deg": -20.0}
    else:
        path = panoramas_from_hdr(tmp_path / "p") if what == "lighting" else EVALUATION / "layout" / "img"
    camera["source"] = {"type": "replay", "path": str(path), "fps": 4.0}
    tasks = {t: {"every_frames": 1} for t in ("depth", "layout", "lighting")}
    subscriber = subscribe(broker.port)
    run = daemon("--for", "8", cameras=[camera], tasks=tasks, mqtt={"host": "127.0.0.1", "port": broker.port})
    assert run.wait() == 0, run.lines
    checked = [check_message(m.topic, m.payload) for m in list(subscriber.received)]
    kinds = {m["schema"] for m in checked if m and "schema" in m}
    assert {"edge.depth/1", "edge.layout/1", "edge.lighting/1"} <= kinds
    extents = {m["extent"] for m in checked if m and m.get("schema") == "edge.layout/1"}
    assert extents == {"visible" if what == "video" else "room"}
