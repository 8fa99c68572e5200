"""A device runs for years: what a frame needs is given back."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from edge.inference.accelerator import Accelerator
from edge.inference.store import ModelStore
from edge.pipeline.pipeline import Engine, Pipeline, Result
from edge.pipeline.schedule import Cadence
from edge.publish.compose import Source, depth_message, depth_picture
from edge.scene import CameraModel, DepthMap, Frame
from tests.edge.inference.conftest import model_folder  # noqa: F401 - a fixture

SETTLED, FRAMES = 2_000, 10_000


class Camera:
    """Pictures of noise, as fast as they are taken."""

    name = "a"

    def __init__(self) -> None:
        self.sequence = 0
        self._pictures = np.random.default_rng(0).integers(0, 256, (16, 48, 64, 3), dtype=np.uint8)

    def latest(self, after_sequence: int) -> Frame | None:
        """The newest picture if it is newer."""
        if self.sequence <= after_sequence:
            return None
        picture = self._pictures[self.sequence % len(self._pictures)]
        return Frame(self.name, self.sequence, 0.0, 0.04 * self.sequence, picture.copy(), MODEL)


MODEL = CameraModel("perspective", hfov_rad=1.2, camera_height_m=1.5)


@pytest.mark.slow
def test_ten_thousand_frames_leave_nothing_behind(model_folder: Callable[..., Path]) -> None:  # noqa: F811
    """Frame to message through a real network on its own thread: after 2,000 frames, 8,000 more take no more memory."""
    from edge.inference.serving import load

    accelerator, sent = Accelerator(), 0
    model = ModelStore(model_folder(batch="batch").parent).find("depth")
    engine = Engine(model.manifest, accelerator.submit(lambda: load(model)).result())

    def publish(result: Result) -> None:
        nonlocal sent
        assert isinstance(result.value, DepthMap)
        source = Source("device", "depth", model.manifest.onnx.sha256)
        depth_message(result.frame, result.value, source, 0.01, "image").encoded()
        sent += len(depth_picture(result.frame, result.value, source).data) > 0

    pipeline = Pipeline(on_result=publish, on_error=lambda *e: pytest.fail(str(e)), submit=accelerator.submit)
    camera = Camera()
    pipeline.add(camera, MODEL, "depth", engine, Cadence(every_frames=1), smoothing_s=1.0)

    def run(count: int) -> None:
        for _ in range(count):
            camera.sequence += 1
            pipeline.step()
        while pipeline.step():
            pass
        gc.collect()

    process = psutil.Process()
    run(SETTLED // 2)
    tracemalloc.start()
    try:
        run(SETTLED // 2)
        traced, resident = tracemalloc.get_traced_memory()[0], process.memory_info().rss
        run(FRAMES - SETTLED)
        traced, resident = tracemalloc.get_traced_memory()[0] - traced, process.memory_info().rss - resident
    finally:
        tracemalloc.stop()
        accelerator.submit(engine.backend.close).result()
        accelerator.stop(5.0)
    assert sent == FRAMES
    assert traced < 64 * 1024
    assert resident < 8 * 2**20
