"""Network cameras whose streams the hardware decodes; by the CPU where it does not, which is said."""

from __future__ import annotations

import threading
import time
from collections import deque

from edge.cameras.base import Picture, RtspSpec, Source
from edge.cameras.decoder import JETSON, PARSERS, Decoder, DecoderError
from edge.cameras.doubt import DECODED_AHEAD
from edge.cameras.rtsp import RtspSource
from edge.errors import CameraError

_FIRST_PICTURE_S = 8.0
_START_CODES = (b"\0\0\1", b"\0\0\0\1")


class HardwareSource(Source):
    """A stream that FFmpeg receives, in packets, and a decoder makes pictures of. It tells no damage.

    Args:
        spec: the camera.
        elements: what decodes, as gst-launch-1.0 takes it.
    """

    def __init__(self, spec: RtspSpec, elements: str = JETSON) -> None:
        super().__init__()
        self.spec, self._elements = spec, elements
        self._packets = RtspSource(spec, decoded=False)
        self._decoder: Decoder | None = None
        self._by_cpu: RtspSource | None = None
        self._feeder: threading.Thread | None = None
        self._failure: CameraError | None = None
        self._closing = threading.Event()
        self._captured: deque[tuple[float, float]] = deque(maxlen=DECODED_AHEAD)
        """When the packets came whose pictures have not, on both clocks."""
        self._first: Picture | None = None

    def open(self) -> None:
        """Connect, and see the first picture; where the decoder gives none, the CPU decodes from then on."""
        self._closing.clear()
        self._failure = None
        self._packets.open()
        codec = self._packets.codec
        if codec not in PARSERS:
            self._fall_back(None)
            return
        try:
            self._decoder = Decoder(codec, self._elements)
            self._feeder = threading.Thread(target=self._feed, args=(self._decoder,), name="packets", daemon=True)
            self._feeder.start()
            self._first = self._picture(self._decoder, _FIRST_PICTURE_S + self.spec.read_timeout_s)
        except CameraError as error:
            stream_ended = self._failure
            self.close()
            if stream_ended is not None:
                raise stream_ended from None
            self._fall_back(str(error))

    def read(self) -> Picture:
        """The next picture, dated when its packet came."""
        if self._by_cpu is not None:
            return self._by_cpu.read()
        if self._decoder is None:
            raise CameraError(f"{self._packets.label}: is not open. Open it before reading")
        first, self._first = self._first, None
        try:
            return first or self._picture(self._decoder, self.spec.read_timeout_s + 1.0)
        except CameraError as error:
            raise self._failure or CameraError(f"{self._packets.label}: {error}") from error

    def close(self) -> None:
        """Hang up; harmless when it is not open."""
        self._closing.set()
        decoder, self._decoder = self._decoder, None
        feeder, self._feeder = self._feeder, None
        if decoder is not None:
            decoder.kill()
        if feeder is not None:
            feeder.join(self.spec.read_timeout_s + 1.0)
        if decoder is not None:
            decoder.close()
        self._packets.close()
        by_cpu, self._by_cpu = self._by_cpu, None
        if by_cpu is not None:
            by_cpu.close()

    def _fall_back(self, why: str | None) -> None:
        self._packets.close()
        if why is not None:
            self.degraded = (f"the CPU decodes: {why}",)
        self._by_cpu = RtspSource(self.spec)
        self._by_cpu.open()

    def _picture(self, decoder: Decoder, within_s: float) -> Picture:
        image = decoder.read(time.monotonic() + within_s)
        try:
            captured_at, captured_monotonic_s = self._captured.popleft()
        except IndexError:  # it gave more pictures than packets
            captured_at, captured_monotonic_s = time.time(), time.monotonic()
        return Picture(image, captured_at, captured_monotonic_s)

    def _feed(self, decoder: Decoder) -> None:
        """On a thread of its own: packets from the camera to the decoder, until either ends."""
        try:
            parameters = self._packets.parameters()
            if parameters.startswith(_START_CODES):
                decoder.feed(parameters)
            while not self._closing.is_set():
                packet = self._packets.packet()
                self._captured.append((time.time(), time.monotonic()))
                decoder.feed(packet)
        except CameraError as error:
            if not (self._closing.is_set() or isinstance(error, DecoderError)):
                self._failure = error
        finally:
            decoder.end()
