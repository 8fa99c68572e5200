"""`edge record`: a camera that somebody carries through a room, kept to learn depth from; and its recordings."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge.commands.log import log_to_stderr
from edge.commands.signals import signals_end
from edge.commands.terminal import EXIT_FAILED, ConfigPath, console, err, errors_as_exit_codes, loaded
from edge.errors import EdgeError

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from edge.config.cameras import CameraConfig
    from edge.keep.recordings import Recording, Recordings
    from edge.perception.key_frames import Kept, KeyFrames
    from edge.perception.pinhole_view import PinholeView
    from edge.scene import Frame, ImageArray

WIDTH_PX = 512
"""Training reads footage at no more than that."""
_QUALITY = 95
_EVERY_S = 0.1
_FEWEST = 30
"""Useful pictures without which training refuses."""
_TELL_EVERY_S = 3.0


def record(
    camera: Annotated[str | None, typer.Argument(metavar="CAMERA", help="Its name in the configuration.")] = None,
    config: ConfigPath = Path("config.yaml"),
    out: Annotated[
        Path | None, typer.Option(help="Folder of recordings; left out: record.folder of the configuration.")
    ] = None,
    pictures: Annotated[int, typer.Option(min=_FEWEST, max=1500, help="So many useful ones are enough.")] = 240,
    for_s: Annotated[float, typer.Option("--for", min=1, max=3600, help="Stop after so many seconds.")] = 600.0,
    patience_s: Annotated[
        float, typer.Option("--patience", min=1, max=600, help="Stop where it has not moved for so many seconds.")
    ] = 60.0,
    height_m: Annotated[
        float | None, typer.Option("--height", min=0.05, max=20, help="Of the lens all the while, as on a trolley, m.")
    ] = None,
    names: Annotated[bool, typer.Option("--list", help="Print what was recorded, and end.")] = False,
    delete: Annotated[str | None, typer.Option(metavar="WHAT", help="Delete all, or one by its name, and end.")] = None,
) -> None:
    """Record a camera while it is carried through a room, for `edge-train fit training/recipes/depth_self.yaml`.

    Kept are pictures between which the camera moved, of at most 512 px, in a private folder of this device; nothing is
    sent. A camera that stands still or only turns is refused, and leaves nothing. docs/training.md says how to walk.
    """
    log_to_stderr("WARNING", "%(message)s")
    with errors_as_exit_codes():
        kept = _recordings(out, config)
        kept.expire()
        if names:
            for name in kept.names():
                console.print(name, markup=False, highlight=False, soft_wrap=True)
        elif delete is not None:
            _delete(kept, delete)
        else:
            chosen = _chosen(camera, config)
            walk = _Walk(chosen, kept, pictures, height_m)
            enough = walk.go(signals_end(), for_s, patience_s)
            if not enough:
                raise typer.Exit(EXIT_FAILED)


def _recordings(out: Path | None, config: Path) -> Recordings:
    from edge.daemon.build import recordings_of
    from edge.keep.recordings import Recordings

    if out is not None:
        return Recordings(out)
    kept = recordings_of(loaded(config))
    if kept is None:
        raise EdgeError(f"{config}: nothing is recorded on this device; set record.folder, or name one with --out")
    return kept


def _delete(kept: Recordings, what: str) -> None:
    found = kept.names() if what == "all" else [what]
    for name in found:
        kept.delete(name)
    _told(f"{len(found)} deleted from {kept.folder}")


def _chosen(name: str | None, config: Path) -> CameraConfig:
    cameras = loaded(config).cameras
    found = next((camera for camera in cameras if camera.name == name), None)
    if found is None:
        there = ", ".join(camera.name for camera in cameras)
        raise EdgeError(f"{config} has no camera {name!r}; give the name of one that is there: {there}")
    return found


def _told(text: str) -> None:
    err.print(text, markup=False, highlight=False, soft_wrap=True)


class _Walk:
    """One recording, from the first picture to what is told at the end."""

    def __init__(self, camera: CameraConfig, kept: Recordings, pictures: int, height_m: float | None) -> None:
        self._camera, self._kept, self._pictures, self._height_m = camera, kept, pictures, height_m
        self._view: PinholeView | None = None
        self._keys: KeyFrames | None = None
        self._recording: Recording | None = None
        self._image_wh = (0, 0)
        self._frames: list[dict[str, Any]] = []
        self._moved_s = self._told_s = 0.0

    def go(self, stop: threading.Event, for_s: float, patience_s: float) -> bool:
        """Record; whether there is enough.

        Raises:
            EdgeError: nothing could be kept, and why.
        """
        from edge.commands.camera_pictures import frames_of

        _told(f"{self._camera.name}: carry it slowly, sideways too, 5 to 20 cm a step, nobody in view; Ctrl-C ends")
        begun_s = self._moved_s = self._told_s = time.monotonic()
        with frames_of(self._camera) as frames, self._described():
            for frame in frames:
                now_s = time.monotonic()
                if frame is not None:
                    self._take(frame, now_s)
                    stop.wait(max(0.0, _EVERY_S - (time.monotonic() - now_s)) if self._live else 0.0)
                if stop.is_set() or self._done or now_s - begun_s > for_s or now_s - self._moved_s > patience_s:
                    break
                self._tell(now_s)
        return self._ended()

    @property
    def _live(self) -> bool:
        from edge.cameras.base import recording_of

        return recording_of(self._camera.spec) is None

    @property
    def _done(self) -> bool:
        return self._keys is not None and self._keys.pairs >= self._pictures

    def _take(self, frame: Frame, now_s: float) -> None:
        from edge.perception.key_frames import KeyFrames
        from edge.perception.pinhole_view import PinholeView

        image_wh = (frame.image.shape[1], frame.image.shape[0])
        if self._view is None or self._keys is None or self._recording is None:
            self._view, self._image_wh = PinholeView(frame.model, image_wh, WIDTH_PX), image_wh
            if frame.seen is not None and not self._view.shows(frame.seen):
                raise EdgeError(
                    f"camera {self._camera.name} shows nothing of what is ahead; point yaw_deg where it does"
                )
            self._keys = KeyFrames(self._view.lens)
            self._recording = self._kept.begin(self._camera.name, self._about(), frame.captured_at)
        if image_wh != self._image_wh:
            raise EdgeError(f"the pictures changed from {self._image_wh} to {image_wh} px; record again at one size")
        image = self._view.apply(frame.image)
        _, kept = self._keys.offer(image, frame.captured_at)
        for one in kept:
            self._frames.append(_said_of(self._recording.add(_jpeg(one.image)), one))
            self._moved_s = now_s

    @contextmanager
    def _described(self) -> Iterator[None]:
        """Whatever ends it, `camera.json` says what there is."""
        try:
            yield
        finally:
            if self._recording is not None and self._recording.count:
                way_s = self._frames[-1]["at"] - self._frames[0]["at"]
                rate = {"rate_hz": round((len(self._frames) - 1) / way_s, 3)} if way_s > 0 else {}
                self._recording.describe({**rate, "frames": self._frames})

    def _about(self) -> dict[str, Any]:
        """What `camera.json` says of the lens and of how the camera hangs when nobody carries it."""
        import edge

        assert self._view is not None
        lens, camera = self._view.lens, self._camera
        about: dict[str, Any] = {"schema": "edge.footage/1", "edge": edge.__version__, "camera": camera.name}
        about |= {key: getattr(lens, key) for key in ("width_px", "height_px", "fx_px", "fy_px", "cx_px", "cy_px")}
        if self._height_m is not None:
            about["camera_height_m"] = self._height_m
        hangs = {key: getattr(camera, key) for key in ("yaw_deg", "pitch_deg", "roll_deg", "camera_height_m")}
        return about | {"projection": camera.projection, "hangs": hangs, "masked": bool(camera.privacy_masks)}

    def _tell(self, now_s: float) -> None:
        if self._keys is None or now_s - self._told_s < _TELL_EVERY_S:
            return
        self._told_s = now_s
        hint = self._keys.refusal()
        _told(f"{self._keys.pairs} of {self._pictures} useful pictures" + (f"; {hint}" if hint else ""))

    def _ended(self) -> bool:
        keys, recording = self._keys, self._recording
        if keys is None or recording is None or not recording.count:
            why = (keys.refusal() if keys else None) or "too few pictures came to tell how it moves; record for longer"
            raise EdgeError(f"nothing of camera {self._camera.name} was kept: {why}")
        where = f"{keys.pairs} useful pictures in {recording.folder}"
        if keys.pairs < _FEWEST:
            said = keys.refusal()
            _told(f"{where}: too few, {_FEWEST} are needed; " + (said or "record again, for longer"))
            return False
        some = "" if self._done else f"; {self._pictures} would be better"
        _told(f"{where}{some}. Where you train: edge-train fit training/recipes/depth_self.yaml --video FOLDER ...")
        console.print(str(recording.folder), markup=False, highlight=False, soft_wrap=True)
        return True


def _jpeg(image: ImageArray) -> bytes:
    from edge.publish.pictures import jpeg

    return jpeg(image, _QUALITY)


def _said_of(file: str, kept: Kept) -> dict[str, Any]:
    """Of a picture: when it was taken, and how the camera turned and in which direction it went since the last."""
    import cv2

    said: dict[str, Any] = {"file": file, "at": round(kept.at_s, 3)}
    if kept.motion is not None:
        T = kept.motion.T_second_first
        turn = cv2.Rodrigues(T[:3, :3])[0][:, 0]
        said["since_last"] = {
            "rotation_vector_rad": [round(float(v), 5) for v in turn],
            "direction": [round(float(v), 4) for v in T[:3, 3]],
            "parallax": round(kept.motion.parallax, 4),
        }
    return said
