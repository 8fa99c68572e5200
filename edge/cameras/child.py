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

from edge.cameras.base import EndOfStream, PictureError, ReplaySpec, Source, SourceSpec
from edge.cameras.picture import content_hash
from edge.cameras.slot import SlotWriter
from edge.cameras.sources import open_source
from edge.errors import CameraError, ImageError
from edge.processes import renice_process

_MESSAGE_CHARACTERS = 600  # as JSON at most 6 bytes each: below PIPE_BUF, 4096
_CLOSE_S = 1.0
_LOCKSTEP_POLL_S = 0.001


class Job(TypedDict):
    """What the child is to do."""

    spec: SourceSpec
    capacity_bytes: int
    first_sequence: int


def event_line(kind: str, message: str = "") -> bytes:
    """One event as it goes through the pipe."""
    event = {"event": kind, "message": message[:_MESSAGE_CHARACTERS]}
    return json.dumps(event, ensure_ascii=False).encode(errors="replace") + b"\n"


class _Child:
    def __init__(self, slot_fd: int, events_fd: int) -> None:
        self.slot_fd, self.events_fd = slot_fd, events_fd
        self.stop = threading.Event()
        self._said: set[str] = set()

    def tell(self, kind: str, message: str = "") -> None:
        """Send an event; one that the parent does not fetch is lost rather than waited for."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self.events_fd, event_line(kind, message))

    def warn(self, message: str) -> None:
        """Send a warning, each one once."""
        if message not in self._said:
            self._said.add(message)
            self.tell("warning", message)

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
        lockstep = isinstance(job["spec"], ReplaySpec) and job["spec"].pace == "fast"
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
        seen, changed_s = -1, 0.0
        while not self.stop.is_set():
            try:
                picture = source.read()
            except PictureError as error:
                self.warn(str(error))
                continue
            finally:
                for warning in source.take_warnings():
                    self.warn(warning)
            now = content_hash(picture.image)
            if now != seen:
                seen, changed_s = now, picture.captured_monotonic_s
            while lockstep and not slot.taken and not self.stop.is_set():
                time.sleep(_LOCKSTEP_POLL_S)
            slot.write(picture.image, picture.captured_at, picture.captured_monotonic_s, changed_s)


def main() -> int:
    """Run the job that standard input describes."""
    renice_process()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
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
    sys.exit(main())
