"""What is inferred together: jobs, the feeds of cameras into engines, and the batches that frames share."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edge.inference.base import Arrays, Backend
from edge.inference.manifest import Manifest
from edge.perception.canvas import CanvasInput
from edge.perception.readers import Reader
from edge.pipeline.schedule import Turn
from edge.scene import BoolArray, Frame, Task


class FrameSource(Protocol):
    """What the pipeline needs of a camera."""

    name: str

    @property
    def sequence(self) -> int:
        """Number of the newest frame; 0 before the first."""
        ...

    def latest(self, after_sequence: int) -> Frame | None:
        """The newest frame if it is newer than `after_sequence`."""
        ...


@dataclass(frozen=True, slots=True)
class Engine:
    """A loaded model and its manifest."""

    manifest: Manifest
    backend: Backend


@dataclass(slots=True)
class Job:
    """One (camera, task)."""

    camera: FrameSource
    task: Task
    feed: Feed
    reader: Reader
    outputs: tuple[str, ...]
    """Names of the ONNX outputs that are this noun's."""
    turn: Turn
    deadline_s: float

    @property
    def key(self) -> tuple[str, Task]:
        """Its labels in counts."""
        return self.camera.name, self.task


@dataclass(slots=True)
class Feed:
    """One camera's pictures into one engine: the input that readers share, and the answer to the last frame."""

    engine: Engine
    canvas: CanvasInput | None
    jobs: list[Job] = field(default_factory=list)
    shape: tuple[int, ...] = ()
    """Of the last prepared picture."""
    seen: BoolArray | None = None
    """What it showed, see `Frame`."""
    sequence: int = 0
    outputs: Arrays = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many pictures of the network one frame becomes."""
        return self.jobs[0].reader.rows

    def keep(self, sequence: int, outputs: Arrays) -> None:
        """Remember an answer that nouns which are due later may read too."""
        if len(self.jobs) > 1:
            self.sequence, self.outputs = sequence, {name: array.copy() for name, array in outputs.items()}


@dataclass(slots=True)
class Part:
    """What one frame has in a batch."""

    feed: Feed
    frame: Frame
    jobs: list[Job]
    first_row: int
    stage_s: dict[str, float]

    @property
    def end_row(self) -> int:
        """The first row of the next part."""
        return self.first_row + self.feed.rows


@dataclass(slots=True)
class Batch:
    """What is inferred together: frames of several cameras on one engine."""

    engine: Engine
    tensor: npt.NDArray[np.float32]
    """(rows or more, C, H, W), of which the parts fill the first rows."""
    parts: list[Part] = field(default_factory=list)
    submitted_s: float = 0.0
    future: Future[tuple[Arrays, float, float]] | None = None

    @property
    def rows(self) -> int:
        """How many of the tensor's rows are filled."""
        return self.parts[-1].end_row if self.parts else 0

    @property
    def done(self) -> bool:
        """Whether it was run, or failed."""
        return self.future is not None and self.future.done()

    def wait(self, for_s: float | None) -> bool:
        """Until it is done; False if it was not within `for_s`."""
        assert self.future is not None
        return self.future.done() or bool(wait([self.future], for_s).done)

    def room_for(self, feed: Feed) -> bool:
        """Whether a frame of that feed may join: same engine, and within its largest batch (a first one always may)."""
        most = min(self.engine.backend.max_batch, len(self.tensor))  # another runtime may have taken over
        return feed.engine is self.engine and (not self.parts or self.rows + feed.rows <= most)


class Inputs:
    """Two inputs of an engine by turns: one is written while the accelerator still reads the other."""

    def __init__(self) -> None:
        self._buffers: list[npt.NDArray[np.float32]] = []
        self._turn = 0

    def reserve(self, rows: int, allocate: Callable[[int], npt.NDArray[np.float32]]) -> None:
        """Make room for so many rows."""
        if not self._buffers or len(self._buffers[0]) < rows:
            self._buffers = [allocate(rows), allocate(rows)]

    def next(self) -> npt.NDArray[np.float32]:
        """The one that nobody reads; the same again until it was `used`."""
        return self._buffers[self._turn]

    def used(self) -> None:
        """The accelerator was given the one that is next."""
        self._turn = 1 - self._turn
