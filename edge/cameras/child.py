"""The capture process: one source into one slot, until its parent lets go.

Started as `python -m edge.cameras.child NAME SLOT_FD EVENTS_FD`. Standard input carries a pickled `Job` and then stays
open for as long as the parent wants pictures; its end, also by the parent's death, is the order to stop. What there is
to say goes to EVENTS_FD, one JSON object a line, each short enough for the pipe to take whole.

Light on purpose: OpenCV and NumPy only, so that a restart is quick.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import sys
import threading
import time
from typing import TypedDict

from edge.cameras.base import EndOfStream, PictureError, Source, SourceSpec, recording_of
from edge.cameras.content import Content
from edge.cameras.picture import shrunk
from edge.cameras.privacy import Privacy
from edge.cameras.slot import SlotWriter
from edge.cameras.sources import open_source
from edge.errors import CameraError, ImageError
from edge.processes import renice_process
from edge.scene import ImageArray, Outline

_MESSAGE_CHARACTERS = 600  # as JSON at most 6 bytes each: below PIPE_BUF, 4096
_CLOSE_S = 1.0
_LOCKSTEP_POLL_S = 0.001
_MOST_REFUSED, _MOST_REFUSED_S = 30, 8.0
"""So many pictures in a row and for so long that cannot be used are a failure of the source."""


class Job(TypedDict):
    """What the child is to do."""

    spec: SourceSpec
    capacity_bytes: int
    first_sequence: int
    masks: tuple[Outline, ...]


def event_line(kind: str, message: str = "") -> bytes:
    """One event as it goes through the pipe."""
    event = {"event": kind, "message": message[:_MESSAGE_CHARACTERS]}
    return json.dumps(event, ensure_ascii=False).encode(errors="replace") + b"\n"


class _Child:
    def __init__(self, slot_fd: int, events_fd: int) -> None:
        self.slot_fd, self.events_fd = slot_fd, events_fd
        self.stop = threading.Event()
        self.privacy = Privacy(())
        self.sizes_vary = False
        """Whether the source is a collection of pictures of any size."""
        self._degraded: tuple[str, ...] = ()
        self._size_px: tuple[int, int] | None = None
        self._shrunk_px: set[tuple[int, int]] = set()

    def tell(self, kind: str, message: str = "") -> None:
        """Send an event; one that the parent does not fetch is lost rather than waited for."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self.events_fd, event_line(kind, message))

    def watch_parent(self) -> None:
        """Wait for the end of standard input, then give the capture a moment to close and leave."""
        while os.read(0, 4096):
            pass
        self.stop.set()
        time.sleep(_CLOSE_S)
        os._exit(0)

    def run(self, job: Job) -> int:
        """Capture until told to stop; gives the exit status."""
        try:
            source = open_source(job["spec"])
        except CameraError as error:
            self.tell("error", str(error))
            return 1
        self.tell("opened")
        slot = SlotWriter(self.slot_fd, job["capacity_bytes"], first_sequence=job["first_sequence"])
        recording = recording_of(job["spec"])
        self.sizes_vary, self.privacy = recording is not None, Privacy(job["masks"])
        lockstep = recording is not None and recording.pace == "fast"
        try:
            self.capture(source, slot, lockstep=lockstep)
        except EndOfStream as end:
            self.tell("ended", str(end))
        except (CameraError, ImageError) as error:
            self.tell("error", str(error))
            return 1
        finally:
            source.close()
        return 0

    def capture(self, source: Source, slot: SlotWriter, *, lockstep: bool) -> None:
        """Pictures from the source into the slot; in lockstep the next follows when the last was taken."""
        content, refused, good_s = Content(), 0, time.monotonic()
        while not self.stop.is_set():
            try:
                picture = source.read()
            except PictureError as error:
                self.tell("warning", str(error))
                refused += 1
                if refused >= _MOST_REFUSED and time.monotonic() - good_s > _MOST_REFUSED_S:
                    raise CameraError(f"{error} (none of the last {refused} pictures can be used)") from error
                continue
            finally:
                for warning in source.take_warnings():
                    self.tell("warning", warning)
                if source.degraded != self._degraded:
                    self._degraded = source.degraded
                    self.tell("degraded", "\n".join(self._degraded))
            image = self._fitting(self.privacy.paint(picture.image), slot.capacity_bytes)
            changed_s = content.changed_s(image, picture.captured_monotonic_s)
            while lockstep and not slot.taken and not self.stop.is_set():
                time.sleep(_LOCKSTEP_POLL_S)
            slot.write(image, picture.captured_at, picture.captured_monotonic_s, changed_s, picture.seen)
            refused, good_s = 0, time.monotonic()

    def _fitting(self, image: ImageArray, capacity_bytes: int) -> ImageArray:
        """The picture, smaller where the slot cannot hold it; another size than the last one's is told."""
        height, width = image.shape[:2]
        if self._size_px not in (None, (width, height)) and not self.sizes_vary:
            before = "{}x{}".format(*self._size_px)
            self.tell("warning", f"the pictures' size changed from {before} to {width}x{height} px")
        self._size_px = width, height
        fitting = shrunk(image, capacity_bytes)
        if fitting is not image and self._size_px not in self._shrunk_px:
            self._shrunk_px.add(self._size_px)
            to = f"{fitting.shape[1]}x{fitting.shape[0]}"
            self.tell(
                "warning",
                f"pictures of {width}x{height} px are larger than a camera may send, and shrunk to {to} px. Ask the "
                "camera for smaller ones: shrinking takes time",
            )
        return fitting


def silence_libraries() -> None:
    """Show nothing that C libraries print: they repeat addresses with passwords. Python's standard error stays."""
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def main() -> int:
    """Run the job that standard input describes."""
    renice_process()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    silence_libraries()
    child = _Child(slot_fd=int(sys.argv[2]), events_fd=int(sys.argv[3]))
    signal.signal(signal.SIGTERM, lambda *_: child.stop.set())
    os.set_blocking(child.events_fd, False)
    try:
        job: Job = pickle.load(sys.stdin.buffer)
    except EOFError:
        return 0
    threading.Thread(target=child.watch_parent, name="parent", daemon=True).start()
    return child.run(job)


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # all is closed; to take Python and OpenCV apart takes longer than all that was to be stopped
