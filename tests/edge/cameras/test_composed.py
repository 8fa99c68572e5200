"""Sources composed of several: read together, one missing, none close enough in time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cameras import composed
from edge.cameras.base import ComposedSpec, CubeFaces, EndOfStream, Member, PictureError, ReplaySpec, View
from edge.cameras.composed import ComposedSource, closest
from edge.cameras.cube import FACES, face_view
from edge.cameras.process import CameraProcess
from edge.cameras.sources import source_from_spec
from edge.errors import CameraError
from edge.geometry.panorama import rays
from edge.scene import CameraModel
from tests.edge.cameras.conftest import Until
from tests.edge.cameras.test_composer import coloured, pictured

WIDE = CameraModel("perspective", hfov_rad=np.deg2rad(100))
VIEWS = tuple(View(replace(WIDE, yaw_rad=np.deg2rad(yaw))) for yaw in (-45, 45))


def clip(folder: Path, levels: list[int]) -> Path:
    """A folder with a flat picture of each level."""
    folder.mkdir()
    for n, level in enumerate(levels):
        cv2.imwrite(str(folder / f"{n:03}.png"), np.full((48, 64, 3), level, np.uint8))
    return folder


def rig(*specs: ReplaySpec, **options: Any) -> ComposedSpec:
    """A rig of two cameras."""
    members = tuple(
        Member(f"camera-{n}", spec, (view,)) for n, (spec, view) in enumerate(zip(specs, VIEWS, strict=True))
    )
    return ComposedSpec(members, 256, match_exposure=False, **options)


def test_recordings_go_in_step(tmp_path: Path) -> None:
    """Pictures of one number are composed, whichever is read faster; a damaged one drops its number, and only that."""
    one, other = clip(tmp_path / "one", [10, 20, 30]), clip(tmp_path / "other", [15, 25, 35])
    (other / "001.png").write_bytes(b"no picture")
    found, missed = [], 0
    with source_from_spec(rig(*(ReplaySpec(p, pace="fast", loop=False) for p in (one, other)))) as source:
        while True:
            try:
                picture = source.read()
            except PictureError:
                missed += 1
                continue
            except EndOfStream:
                break
            assert picture.seen is not None
            left, right = picture.image[64, 80, 0], picture.image[64, 170, 0]
            found.append((int(left), int(right)))
    assert found == [(10, 15), (30, 35)]
    assert missed == 1


def test_a_cube_of_files_is_a_panorama(tmp_path: Path) -> None:
    """Six files, as configured, give the sphere that they were cut from."""
    paths = [tmp_path / f"{face}.png" for face in FACES]
    for path, face in zip(paths, FACES, strict=True):
        cv2.imwrite(str(path), pictured(face_view(face), (128, 128))[..., ::-1])
    members = tuple(Member(p.name, ReplaySpec(p, pace="fast")) for p in paths)
    with source_from_spec(ComposedSpec(members, 512, cube=CubeFaces(FACES))) as source:
        picture = source.read()
    assert picture.seen is None
    assert np.abs(picture.image.astype(int) - coloured(rays(512, 256))).max() <= 2


times = st.lists(st.floats(0, 10), min_size=1, max_size=4).map(sorted)


@given(st.lists(times, min_size=1, max_size=4))
def test_the_newest_pictures_that_belong_together_are_chosen(kept: list[list[float]]) -> None:
    """None of a source could be nearer to the newest moment that all have reached; the spread is theirs."""
    chosen, spread_s = closest(kept)
    at = min(own[-1] for own in kept)
    for own, k in zip(kept, chosen, strict=True):
        assert abs(own[k] - at) == min(abs(t - at) for t in own)
    taken = [own[k] for own, k in zip(kept, chosen, strict=True)]
    assert spread_s == max(taken) - min(taken)


def live(tmp_path: Path, **options: Any) -> ComposedSpec:
    """A rig of two watched files, which come when they come, like live cameras."""
    one, other = clip(tmp_path / "one", [50]), clip(tmp_path / "other", [90])
    return rig(*(ReplaySpec(p, watch=True) for p in (one, other)), **options)


def test_live_cameras_are_composed_and_a_lost_one_is_masked(tmp_path: Path, until: Until) -> None:
    """Each has a capture process; when one's is gone and stays away, the rest goes on, and says what is missing."""
    spec = live(tmp_path, spread_s=30.0)
    source = ComposedSource(spec, source_from_spec)
    source.open()
    try:
        whole = source.read()
        assert whole.seen is not None
        assert source.degraded == ()
        feed = source._feed
        assert isinstance(feed, composed._Live)
        feed._processes[1].stop()
        feed._kept[1].clear()
        less = source.read()
        assert less.seen is not None
        assert less.seen.sum() < whole.seen.sum()
        (reason,) = source.degraded
        assert "camera-1 sends no pictures" in reason
        assert "masked" in reason
    finally:
        source.close()
    assert all(process.pid is None for process in feed._processes)


def test_pictures_too_far_apart_are_not_composed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cameras of which no pictures belong together fail, with how far apart they are and what to do."""
    monkeypatch.setattr(composed, "_HOLD_S", 0.3)
    spec = live(tmp_path, spread_s=1e-9)
    with source_from_spec(spec) as source, pytest.raises(CameraError, match="raise spread_ms"):
        source.read()


def test_cameras_that_send_nothing_are_named(tmp_path: Path) -> None:
    """A rig none of whose cameras opens says of each why, without waiting for what will not come."""
    gone = [ReplaySpec(tmp_path / name, watch=True) for name in ("a", "b")]
    with source_from_spec(rig(*gone)) as source, pytest.raises(CameraError, match="none of its cameras") as caught:
        source.read()
    assert "camera-0 sends no pictures" in str(caught.value)
    assert "does not exist" in str(caught.value)


def test_a_composed_camera_reaches_the_daemon_with_its_mask(tmp_path: Path, until: Until) -> None:
    """Through the capture process: panorama, mask, privacy masks in the panorama's own fractions."""
    one, other = clip(tmp_path / "one", [50]), clip(tmp_path / "other", [90])
    spec = rig(*(ReplaySpec(p, pace="fast") for p in (one, other)))
    hidden = ((0.25, 0.4), (0.35, 0.4), (0.35, 0.6), (0.25, 0.6))
    process = CameraProcess("rig", spec, CameraModel("equirectangular", masks=(hidden,)))
    process.start()
    try:
        until(lambda: process.poll() or process.sequence > 0)
        first = process.latest()
        assert first is not None
        until(lambda: process.poll() or process.sequence > first.sequence)
        second = process.latest(first.sequence)
    finally:
        process.stop()
    assert second is not None
    assert first.image.shape == (128, 256, 3)
    assert first.seen is not None
    assert second.seen is first.seen
    assert not first.seen[64, 0]
    assert first.seen[64, 128]
    assert first.degraded == ()
    assert (first.image[64, 77] == 128).all()
    assert abs(int(first.image[64, 95, 0]) - 50) <= 1
