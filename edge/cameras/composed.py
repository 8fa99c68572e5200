"""A panorama of several sources, or of several lenses in one picture: read together, composed, dated by the oldest.

Recordings are read in step, picture by picture: those of one number belong together. A live source has a capture
process of its own, which is watched and started again like any camera's, so that a driver that hangs takes nothing with
it; the pictures composed are the newest that were taken close enough to each other. A source that sends nothing is left
out: its part of the panorama is masked, and what is made of it says why.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from edge.cameras.base import (
    ComposedSpec,
    HttpSpec,
    Member,
    Picture,
    PictureError,
    ReplaySpec,
    SingleSpec,
    Source,
    View,
)
from edge.cameras.circles import located, seeks
from edge.cameras.composer import Composer
from edge.cameras.cube import views_of
from edge.cameras.process import CameraProcess, stop_together
from edge.errors import CameraError, GeometryError
from edge.scene import CameraModel, Frame, ImageArray

_POLL_S = 0.002
_LOOK_AFTER_S = 0.1
_START_S = 10.0
"""So long at first every source is waited for."""
_HOLD_S = 5.0
"""So long no two pictures may be close enough in time before that counts as a failure."""
_KEPT = 4
"""Pictures of each source to choose from."""
_SEEK_EVERY_S = 5.0
"""Between two attempts to find the circles of fisheyes."""
_ANY = CameraModel("equirectangular")


SourceOf = Callable[[SingleSpec], Source]
"""The source of a description, not yet open."""


class Together(NamedTuple):
    """One picture of each member, None of those that are missing, and when the oldest was taken."""

    images: list[ImageArray | None]
    captured_at: float
    captured_monotonic_s: float


class _Feed(ABC):
    """What gives pictures that belong together."""

    @abstractmethod
    def open(self) -> None:
        """Begin."""

    @abstractmethod
    def read(self) -> Together:
        """The next pictures."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the sources."""

    def missing(self) -> tuple[str, ...]:
        """Which members' pictures are not there, and why."""
        return ()

    @abstractmethod
    def degraded(self) -> tuple[str, ...]:
        """Which members' pictures are there, and show less or cost more than they should, and why."""

    @abstractmethod
    def take_warnings(self) -> list[str]:
        """What the members said since the last call."""


class _InStep(_Feed):
    """Members read one after the other, each once."""

    def __init__(self, members: tuple[Member, ...], source_of: SourceOf) -> None:
        self._sources = [source_of(member.spec) for member in members]
        self._names = [member.label for member in members]

    def open(self) -> None:
        for source in self._sources:
            source.open()

    def read(self) -> Together:
        pictures: list[Picture] = []
        failed: PictureError | None = None
        for source in self._sources:
            try:
                pictures.append(source.read())
            except PictureError as error:  # the others are read too, or they would fall out of step
                failed = error
        if failed is not None:
            raise failed
        oldest = min(pictures, key=lambda p: p.captured_monotonic_s)
        return Together([p.image for p in pictures], oldest.captured_at, oldest.captured_monotonic_s)

    def close(self) -> None:
        for source in self._sources:
            source.close()

    def degraded(self) -> tuple[str, ...]:
        pairs = zip(self._names, self._sources, strict=True)
        return tuple(f"{name}: {reason}" for name, source in pairs for reason in source.degraded)

    def take_warnings(self) -> list[str]:
        return [warning for source in self._sources for warning in source.take_warnings()]


def closest(kept: list[list[float]]) -> tuple[list[int], float]:
    """Which of each source's pictures were taken together last, and over what time.

    Args:
        kept: of each source, when its pictures were taken, oldest first; at least one each.

    Returns:
        The index of one picture of each, and the time from the first to the last of them, s.
    """
    at = min(times[-1] for times in kept)  # all have one as new as that
    chosen = [min(range(len(times)), key=lambda k: abs(times[k] - at)) for times in kept]
    taken = [times[k] for times, k in zip(kept, chosen, strict=True)]
    return chosen, max(taken) - min(taken)


class _Live(_Feed):
    """Members that send pictures by themselves."""

    def __init__(self, spec: ComposedSpec) -> None:
        self._spec = spec
        self._processes = [CameraProcess(member.label, member.spec, _ANY) for member in spec.members]
        self._kept: list[deque[Frame]] = [deque(maxlen=_KEPT) for _ in spec.members]
        self._last: tuple[int, ...] = ()
        self._looked_s = 0.0
        self._opened_s = 0.0
        self._given_s = 0.0
        self._apart_s: float | None = None
        """Since when no pictures are close enough to each other."""
        self._warnings: list[str] = []

    def open(self) -> None:
        self._opened_s = self._given_s = time.monotonic()
        for process in self._processes:
            process.start()

    def read(self) -> Together:
        while True:
            now_s = time.monotonic()
            self._look(now_s)
            live = self._live(now_s)
            everyone = len(live) == len(self._processes)
            if live and (everyone or self._last or now_s - self._opened_s > _START_S):
                found = self._chosen(live, now_s)
                if found is not None:
                    self._given_s = now_s
                    return found
            elif not live and (now_s - self._given_s > _START_S or self._none_opens()):
                raise CameraError("none of its cameras sends pictures: " + "; ".join(self.missing()))
            time.sleep(_POLL_S)

    def _none_opens(self) -> bool:
        return not self._last and all(process.last_error for process in self._processes)

    def _look(self, now_s: float) -> None:
        """Take new pictures; look after the processes a few times a second."""
        for process, kept in zip(self._processes, self._kept, strict=True):
            frame = process.latest(kept[-1].sequence if kept else 0)
            if frame is not None:
                kept.append(frame)
        if now_s - self._looked_s < _LOOK_AFTER_S:
            return
        self._looked_s = now_s
        for process in self._processes:
            process.poll()
            said = [event for event in process.take_events() if event.kind != "state"]
            self._warnings += [f"{process.name}: {event.message}" for event in said]

    def _live(self, now_s: float) -> list[int]:
        """Members whose newest picture is new enough."""
        return [
            i
            for i, kept in enumerate(self._kept)
            if kept and now_s - kept[-1].captured_monotonic_s <= _patience_s(self._spec, i)
        ]

    def _chosen(self, live: list[int], now_s: float) -> Together | None:
        """The newest pictures that were taken close enough to each other, if they are not those of the last time."""
        chosen, spread_s = closest([[f.captured_monotonic_s for f in self._kept[i]] for i in live])
        frames = {i: self._kept[i][k] for i, k in zip(live, chosen, strict=True)}
        numbers = tuple(frames[i].sequence if i in frames else 0 for i in range(len(self._processes)))
        if spread_s <= self._spec.spread_s:
            self._apart_s = None
        else:
            self._apart_s = now_s if self._apart_s is None else self._apart_s
            if now_s - self._apart_s > _HOLD_S:
                names = ", ".join(self._processes[i].name for i in live)
                raise CameraError(
                    f"the pictures of {names} are taken {spread_s * 1000:.0f} ms apart, more than the "
                    f"{self._spec.spread_s * 1000:.0f} ms of spread_ms. Let them send more pictures a second, or raise "
                    "spread_ms where nothing moves"
                )
            return None
        if numbers == self._last:
            return None
        self._last = numbers
        oldest = min(frames.values(), key=lambda f: f.captured_monotonic_s)
        images = [frames[i].image if i in frames else None for i in range(len(self._processes))]
        return Together(images, oldest.captured_at, oldest.captured_monotonic_s)

    def close(self) -> None:
        stop_together(self._processes)

    def missing(self) -> tuple[str, ...]:
        live = self._live(time.monotonic())
        return tuple(
            f"{process.name} sends no pictures" + (f" ({process.last_error})" if process.last_error else "")
            for i, process in enumerate(self._processes)
            if i not in live
        )

    def degraded(self) -> tuple[str, ...]:
        there = [self._processes[i] for i in self._live(time.monotonic())]
        return tuple(f"{process.name}: {reason}" for process in there for reason in process.degraded)

    def take_warnings(self) -> list[str]:
        taken, self._warnings = self._warnings, []
        return taken


def _patience_s(spec: ComposedSpec, member: int) -> float:
    """How old a member's newest picture may be before it counts as missing."""
    source = spec.members[member].spec
    if isinstance(source, HttpSpec):
        return max(spec.stale_after_s, 3 * source.every_s + source.timeout_s)
    if isinstance(source, ReplaySpec):
        return float("inf") if source.watch else max(spec.stale_after_s, 3 / (source.fps or 1.0))
    return spec.stale_after_s


class ComposedSource(Source):
    """See the module."""

    def __init__(self, spec: ComposedSpec, source_of: SourceOf) -> None:
        super().__init__()
        self.spec, self._source_of = spec, source_of
        self._feed: _Feed | None = None
        self._composer: Composer | None = None
        self._placed = spec
        """With the circles of its lenses where they were found."""
        self._sought_s = -_SEEK_EVERY_S
        self._not_found: tuple[str, ...] = ()

    def open(self) -> None:
        """Open the sources."""
        self.close()
        self._feed = _feed_of(self.spec, self._source_of)
        self._feed.open()

    def read(self) -> Picture:
        """The next panorama."""
        if self._feed is None:
            raise CameraError("the panorama's sources are not open. Open them before reading")
        together = self._feed.read()
        for warning in self._feed.take_warnings():
            self.warn(warning)
        missing = self._feed.missing() if any(image is None for image in together.images) else ()
        self._seek_circles(together)
        masked = tuple(f"{reason}; its part of the panorama is masked" for reason in missing)
        self.degraded = (*masked, *self._feed.degraded(), *self._not_found)
        try:
            if self._composer is None:
                self._composer = composer_of(self._placed, together.images)
            panorama, seen = self._composer.compose(together.images, together.captured_monotonic_s)
        except GeometryError as error:
            raise CameraError(str(error)) from error
        return Picture(panorama, together.captured_at, together.captured_monotonic_s, seen)

    def _seek_circles(self, together: Together) -> None:
        """Place the lenses by the circles in the picture, now and then until they are found."""
        if not seeks(self._placed) or together.captured_monotonic_s - self._sought_s < _SEEK_EVERY_S:
            return
        self._sought_s = together.captured_monotonic_s
        try:
            self._placed, _ = located(self.spec, together.images)
        except GeometryError as error:
            self._not_found = (f"the fisheyes' circles are taken to be in the middle of their halves: {error}",)
            return
        self._not_found, self._composer = (), None

    def close(self) -> None:
        """Let go of the sources; harmless when they are not open."""
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.close()


def _feed_of(spec: ComposedSpec, source_of: SourceOf) -> _Feed:
    return _InStep(spec.members, source_of) if spec.recorded or len(spec.members) == 1 else _Live(spec)


def first_pictures(spec: ComposedSpec, source_of: SourceOf) -> list[ImageArray]:
    """One picture of each member, for looking at how they meet.

    Raises:
        CameraError: one of them sends none.
    """
    feed = _feed_of(spec, source_of)
    try:
        feed.open()
        images = feed.read().images
        if any(image is None for image in images):
            raise CameraError("; ".join(feed.missing()))
        return [image for image in images if image is not None]
    finally:
        feed.close()


def composer_of(spec: ComposedSpec, images: Sequence[ImageArray | None]) -> Composer:
    """What composes the pictures of such a source, of which these are the first.

    Raises:
        GeometryError: a picture holds no cube.
    """
    views: Sequence[Sequence[View]] = [member.views for member in spec.members]
    if spec.cube is not None:
        views = views_of(spec.cube, [image.shape[1::-1] for image in images if image is not None])
    return Composer(
        views,
        spec.width_px,
        match_exposure=spec.match_exposure and spec.cube is None,
        nadir_mask_rad=spec.nadir_mask_rad,
        square=spec.cube is not None,
    )
