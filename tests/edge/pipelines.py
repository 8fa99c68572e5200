"""A pipeline with cameras, networks and a clock that the test turns."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.errors import EdgeError
from edge.inference.accelerator import at_once
from edge.inference.manifest import InputSpec, JointOutputs, Manifest, Precision
from edge.pipeline.pipeline import Engine, Pipeline, Result, Submit
from edge.pipeline.schedule import Cadence
from edge.scene import CameraModel, DepthMap, Frame, Task
from tests.edge.perception.test_depth import METRES, manifest

MODEL = CameraModel("perspective", hfov_rad=1.2)


class Clock:
    """Time that only the test moves."""

    now_s = 100.0

    def __call__(self) -> float:
        """Now."""
        return self.now_s


class Camera:
    """A camera whose frames the test takes."""

    def __init__(self, name: str, level: int = 10) -> None:
        self.name, self.sequence, self.level = name, 0, level

    def shoot(self, count: int = 1) -> None:
        """Take pictures."""
        self.sequence += count

    def latest(self, after_sequence: int) -> Frame | None:
        """The newest picture if it is newer."""
        if self.sequence <= after_sequence:
            return None
        picture = np.full((48, 64, 3), self.level, np.uint8)
        return Frame(self.name, self.sequence, 0.0, float(self.sequence), picture, MODEL)


class Network:
    """A backend that answers with a constant, or fails.

    As base.Backend's contract has it, an answer lasts until the second run after it begins: then it is scribbled over
    with NaN, which differs from every answer, even of networks that always say the same. Where it is `in_place`, as
    TensorRT's is, the new answer is then written into the old one's memory: who looks there sees a plausible number.
    """

    provider = "test"
    precision: Precision = "fp32"
    degraded: str | None = None
    shape: tuple[int, ...] = (3, 192, 256)

    def __init__(
        self, answer: float = 2.0, error: Exception | None = None, max_batch: int = 1, *, in_place: bool = False
    ) -> None:
        self.answer, self.error, self.max_batch, self.runs, self.in_place = answer, error, max_batch, 0, in_place
        self._given: list[dict[str, npt.NDArray[np.float32]]] = [{}, {}]
        """By turns."""

    def allocate(self, rows: int) -> npt.NDArray[np.float32]:
        """Plain memory."""
        return np.zeros((rows, *self.shape), np.float32)

    def run(self, batch: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        """What `infer` says, in memory that is used again."""
        self.runs += 1
        old = self._given[self.runs % 2]
        for array in old.values():
            array.fill(np.nan)
        if self.error:
            raise self.error
        new = self.infer(batch)
        for name in new if self.in_place else ():
            if name in old and old[name].shape == new[name].shape:
                old[name][:] = new[name]
                new[name] = old[name]
        self._given[self.runs % 2] = new
        return dict(new)

    def infer(self, batch: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        """A constant depth map."""
        return {"depth": np.full((len(batch), 1, 12, 16), self.answer, np.float32)}

    def close(self) -> None:
        """Nothing to free."""

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class Levels(Network):
    """A network that says of every picture how bright it is, and notes how many it was given together."""

    def __init__(self, max_batch: int = 8, *, in_place: bool = False) -> None:
        super().__init__(max_batch=max_batch, in_place=in_place)
        self.sizes: list[int] = []

    def infer(self, batch: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        """1 + the mean of each row."""
        self.sizes.append(len(batch))
        mean = 1 + batch.mean(axis=(1, 2, 3), keepdims=True)
        return {"depth": np.broadcast_to(mean, (len(batch), 1, 12, 16)).copy()}


class Held:
    """An accelerator that runs what it was given when the test says so, once it is `holding`; at once before."""

    def __init__(self) -> None:
        self.holding = False
        self.waiting: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, action: Callable[[], Any]) -> Future[Any]:
        """See `Accelerator.submit`."""
        if not self.holding:
            return at_once(action)
        self.waiting.append((Future(), action))
        return self.waiting[-1][0]

    def release(self) -> None:
        """Run what waits longest."""
        future, action = self.waiting.pop(0)
        future.set_result(action())


class Bench:
    """A pipeline with what it said; on its own thread's networks, or on those of an accelerator."""

    def __init__(self, submit: Submit = at_once) -> None:
        self.clock = Clock()
        self.results: list[Result] = []
        self.errors: list[tuple[str, Task, EdgeError]] = []
        self.pipeline = Pipeline(
            on_result=self.results.append,
            on_error=lambda camera, task, e: self.errors.append((camera, task, e)),
            submit=submit,
            clock=self.clock,
        )

    def run_out(self) -> None:
        """Until nothing is due or running."""
        while self.pipeline.step():
            pass

    def add(
        self, camera: Camera, cadence: Cadence, network: Network | None = None, smoothing_s: float = 0.0
    ) -> Network:
        """Run depth on the camera."""
        net = network or Network()
        spec: Manifest = manifest(METRES)
        self.pipeline.add(camera, MODEL, "depth", Engine(spec, net), cadence, smoothing_s=smoothing_s)
        return net


SCENE = manifest(METRES).model_copy(
    update={
        "task": "joint",
        "input": InputSpec(name="image", width_px=64, height_px=32, projection="equirectangular", mask_channel=True),
        "output": JointOutputs.model_validate({
            "kind": "joint",
            "depth": {"kind": "depth_metres", "depth": "depth"},
            "layout": {"kind": "boundary_corners", "boundary": "boundary", "corners": "corners"},
            "lighting": {"kind": "sh2_prescaled_irradiance", "coefficients": "coefficients"},
        }),
    }
)  # fmt: skip
NOUNS: tuple[Task, ...] = ("depth", "layout", "lighting")


class JointNetwork(Network):
    """A backend that answers for all nouns, by how bright the picture is."""

    shape = (4, 32, 64)

    def infer(self, batch: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        """A round room, its depth and its light."""
        level = batch[:, :3].mean()
        edges = np.array([-0.4 - level, 0.4 + level], np.float32)
        return {
            "depth": np.full((1, 1, 16, 32), 1 + level, np.float32),
            "boundary": np.tile(edges[None, :, None], (1, 1, 64)),
            "corners": np.full((1, 1, 64), -4.0, np.float32),
            "coefficients": np.full((1, 27), level, np.float32),
        }


def shared_network(bench: Bench, cameras: list[Camera], network: Network) -> None:
    """Depth of every picture of all these cameras, on one engine."""
    engine = Engine(manifest(METRES), network)
    for camera in cameras:
        bench.pipeline.add(camera, MODEL, "depth", engine, Cadence(every_frames=1))


def metres(result: Result) -> float:
    """The depth, the same everywhere in these tests."""
    assert isinstance(result.value, DepthMap)
    return float(result.value.depth[0, 0])
