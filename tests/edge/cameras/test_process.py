"""Cameras in capture processes: what happens to one when its process, its source or its daemon fails."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from edge.cameras import process, slot
from edge.cameras.base import ReplaySpec, RtspSpec
from edge.cameras.process import CameraProcess, stop_together
from tests.edge.cameras.conftest import COUNT, LEVELS, MODEL, Until, plain, write_video
from tests.edge.cameras.streams import Silent, mjpeg, serving

Make = Callable[..., CameraProcess]
ROOT = Path(__file__).parents[3]


def alive(pid: int) -> bool:
    """Whether the process exists and is not merely waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def polled(camera: CameraProcess, state: str) -> Callable[[], bool]:
    """A condition: look after the camera, and see whether it is in a state."""

    def condition() -> bool:
        camera.poll()
        return camera.state == state

    return condition


def told(camera: CameraProcess, kind: str) -> list[str]:
    """Messages of the camera's events of one kind."""
    return [e.message for e in camera.take_events() if e.kind == kind]


def test_pictures_arrive_with_rising_numbers(folder: Path, camera: Make, until: Until) -> None:
    """A camera goes online, its pictures are those of its source, their numbers rise, their times are now."""
    began = time.time()
    front = camera("front", ReplaySpec(folder, fps=50))
    until(polled(front, "online"))
    last = 0
    for _ in range(10):
        until(lambda: front.sequence > last)  # noqa: B023 - called at once
        got = front.latest(last)
        assert got is not None
        assert got.sequence > last
        assert got.image.shape == (48, 64, 3)
        assert got.image[0, 0, 0] in LEVELS
        assert began <= got.captured_at <= time.time()
        assert got.captured_monotonic_s <= time.monotonic()
        assert (got.camera, got.model) == ("front", MODEL)
        last = got.sequence
    assert front.latest(10**9) is None
    assert front.captured >= last
    assert front.last_error is None
    assert front.since_s <= time.monotonic()
    event = front.take_events()[0]
    assert (event.camera, event.kind, event.message) == ("front", "state", "online")
    assert front.take_events() == []


def test_a_killed_process_is_replaced_and_others_go_on(folder: Path, camera: Make, until: Until) -> None:
    """SIGKILL on one process: its camera is offline, then online with numbers that go on; the other notices nothing."""
    front, back = (camera(name, ReplaySpec(folder, fps=50)) for name in ("front", "back"))
    until(polled(front, "online"))
    until(polled(back, "online"))
    pid, other, before = front.pid, back.pid, front.sequence
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(polled(front, "offline"))
    assert front.last_error == "the capture process was killed by SIGKILL"
    assert not alive(pid)
    until(polled(front, "online"))
    got = front.latest()
    assert got is not None
    assert got.sequence > before
    assert front.pid not in (pid, None)
    assert front.restarts == 1
    seen = back.sequence
    until(lambda: back.sequence > seen)
    back.poll()
    assert (back.state, back.pid, back.restarts) == ("online", other, 0)


def test_a_stopped_process_is_stalled_then_replaced(folder: Path, camera: Make, until: Until) -> None:
    """A process that hangs (SIGSTOP) is found out by the silence, killed and replaced."""
    front = camera("front", ReplaySpec(folder, fps=50), stall_timeout_s=0.5)
    until(polled(front, "online"))
    pid = front.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    until(polled(front, "stalled"))
    assert not alive(pid)
    assert front.last_error is not None
    assert "no picture for 0.5 s" in front.last_error
    until(polled(front, "online"))
    assert front.last_error is None


def test_a_source_that_hangs_in_open_is_killed_and_retried(
    tmp_path: Path, folder: Path, camera: Make, until: Until
) -> None:
    """A source that never opens (a FIFO that nobody writes) is killed again and again; it harms no other camera."""
    fifo = tmp_path / "clip.mp4"
    os.mkfifo(fifo)
    hung = camera("hung", ReplaySpec(fifo), first_picture_timeout_s=0.7)
    front = camera("front", ReplaySpec(folder, fps=50))
    until(polled(hung, "stalled"))
    assert hung.last_error is not None
    assert "first picture" in hung.last_error
    until(lambda: polled(hung, "stalled")() and hung.restarts >= 2)
    until(polled(front, "online"))
    assert front.restarts == 0


def test_a_missing_source_comes_back(tmp_path: Path, folder: Path, camera: Make, until: Until) -> None:
    """A source that is not there is retried with its reason shown, once as an event, and taken up when it appears."""
    path = tmp_path / "later"
    front = camera("front", ReplaySpec(path, fps=50))
    until(lambda: polled(front, "offline")() and front.restarts >= 2)
    assert front.last_error is not None
    assert "later: does not exist" in front.last_error
    assert len(told(front, "error")) == 1
    folder.rename(path)
    until(polled(front, "online"))
    assert told(front, "state")[-1] == "online"


def test_waits_grow(tmp_path: Path, until: Until) -> None:
    """The n-th wait before a restart is at most 2**n times the shortest, and at most the longest."""
    front = CameraProcess("front", ReplaySpec(tmp_path / "gone"), MODEL, backoff_s=(0.1, 0.4))
    front.start()
    waits = []
    try:
        for _ in range(4):
            until(lambda: front.poll() or front._next_start_s is not None)
            assert front._next_start_s is not None
            waits.append((front._next_start_s, time.monotonic()))
            until(lambda: front.poll() or front._next_start_s is None)
    finally:
        front.stop()
    for (planned, at), bound in zip(waits, (0.1, 0.2, 0.4, 0.4), strict=True):
        assert planned - at <= bound
    assert front.restarts == 4


def test_a_camera_that_restarts_is_back_soon(tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch) -> None:
    """No wait is longer than 8 s while it is gone for less than two minutes (here 0.3 s); after that the longest is."""
    longest: list[float] = []
    monkeypatch.setattr(process, "backoff", lambda _n, _shortest_s, longest_s: longest.append(longest_s) or 0.2)
    monkeypatch.setattr(process, "_RESTARTING_S", 0.3)
    front = CameraProcess("front", ReplaySpec(tmp_path / "gone"), MODEL)
    front.start()
    try:
        until(lambda: front.poll() or 60.0 in longest)
    finally:
        front.stop()
    assert longest[0] == 8.0
    assert longest == sorted(longest)


def test_a_silent_network_camera_is_offline_not_hung(camera: Make, until: Until) -> None:
    """A camera that accepts and stays silent fails by its own timeout, and no message has the password."""
    with serving(Silent) as port:
        front = camera("front", RtspSpec(f"rtsp://user:secret@127.0.0.1:{port}/a", open_timeout_s=0.3))
        until(lambda: polled(front, "offline")() and front.last_error is not None)
        assert front.last_error is not None
        assert f"rtsp://127.0.0.1:{port}: " in front.last_error
        assert "secret" not in front.last_error
        assert "secret" not in Path(f"/proc/{front.pid or os.getpid()}/cmdline").read_text()
        front.stop()


def test_a_stream_that_hangs_up_is_taken_up_again(camera: Make, until: Until) -> None:
    """When a stream ends the camera goes offline and connects anew."""
    jpeg = cv2.imencode(".jpg", plain(100))[1].tobytes()
    with serving(mjpeg([jpeg] * 50, then_silent=False)) as port:
        front = camera("front", RtspSpec(f"http://127.0.0.1:{port}/", read_timeout_s=1.0))
        until(lambda: front.poll() or (front.restarts >= 2 and front.captured >= 100))
        assert any("stopped sending" in m for m in told(front, "error"))
        front.stop()


def test_a_recording_ends_and_stays_ended(folder: Path, camera: Make, until: Until) -> None:
    """Without loop the camera goes offline at the end, keeps its last picture, and is not started again."""
    front = camera("front", ReplaySpec(folder, loop=False, fps=50))
    until(lambda: front.poll() or front.ended)
    front.poll()
    assert (front.state, front.pid, front.restarts) == ("offline", None, 0)
    assert front.last_error is not None
    assert "played to its end" in front.last_error
    got = front.latest()
    assert got is not None
    assert (got.sequence, got.image[0, 0, 0]) == (COUNT, LEVELS[-1])


def test_fast_replay_skips_nothing(folder: Path, camera: Make, until: Until) -> None:
    """At pace fast every picture reaches a reader however slow, in order; waiting for it is not a stall."""
    front = camera("front", ReplaySpec(folder, loop=False, pace="fast"), stall_timeout_s=0.2)
    levels: list[int] = []

    def take() -> bool:
        front.poll()
        got = front.latest(len(levels))
        if got is not None:
            levels.append(int(got.image[0, 0, 0]))
            time.sleep(0.3 if len(levels) == 2 else 0.0)
        return front.ended

    until(take)
    assert tuple(levels) == LEVELS
    assert front.restarts == 0


def test_a_picture_that_does_not_change_is_frozen(folder: Path, camera: Make, until: Until) -> None:
    """Content that stands still makes the camera frozen, not offline; it is left alone. Unchecked, it is online."""
    still = ReplaySpec(folder / "000.png", fps=50)
    front, unchecked = camera("front", still, frozen_after_s=0.3), camera("unchecked", still)
    moving = camera("moving", ReplaySpec(folder, fps=50), frozen_after_s=0.3)
    until(polled(front, "frozen"))
    until(polled(unchecked, "online"))
    until(polled(moving, "online"))
    until(lambda: moving.poll() or moving.captured > 50)
    assert (front.restarts, moving.state) == (0, "online")
    seen = front.sequence
    until(lambda: front.sequence > seen)


def test_bad_pictures_are_told_and_skipped(folder: Path, camera: Make, until: Until) -> None:
    """A 1 x 1 and a cut picture among good ones are each told once; the good ones go on; sizes may change."""
    (folder / "001.png").write_bytes(cv2.imencode(".png", plain(0, 1, 1))[1].tobytes())
    (folder / "002.png").write_bytes((folder / "002.png").read_bytes()[:60])
    assert cv2.imwrite(str(folder / "003.png"), plain(LEVELS[3], 320, 200))
    front = camera("front", ReplaySpec(folder, fps=50))
    shapes, levels = set(), set()

    def take() -> bool:
        front.poll()
        got = front.latest()
        if got is not None:
            shapes.add(got.image.shape)
            levels.add(int(got.image[0, 0, 0]))
        return front.captured > 5 * COUNT and len(shapes) == 2

    until(take)
    assert shapes == {(48, 64, 3), (200, 320, 3)}
    assert levels <= set(LEVELS) - {LEVELS[1], LEVELS[2]}
    warnings = told(front, "warning")
    assert len(warnings) == 2
    assert "1x1 px" in warnings[0]
    assert "002.png" in warnings[1]
    assert front.restarts == 0


def test_a_cut_video_loops_with_a_warning(tmp_path: Path, camera: Make, until: Until) -> None:
    """A cut video is served as far as it goes, again and again, and told."""
    path = write_video(tmp_path / "cut.avi")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    front = camera("front", ReplaySpec(path, fps=100))
    until(lambda: front.poll() or front.captured > 50)
    assert [w for w in told(front, "warning") if "cut short" in w]
    assert front.state == "online"


def test_a_picture_beyond_the_capacity_is_shrunk(folder: Path, camera: Make, until: Until) -> None:
    """A picture larger than the slot comes in its own proportions, smaller; that is said once, and nothing fails."""
    front = camera("front", ReplaySpec(folder, fps=50), capacity_bytes=32 * 24 * 3)
    until(lambda: front.poll() or front.captured >= 3 * COUNT)
    got = front.latest()
    assert got is not None
    assert got.image.shape == (24, 32, 3)
    assert got.image[0, 0, 0] in LEVELS
    events = front.take_events()
    assert [e.message for e in events if e.kind == "state"] == ["online"]
    assert [e.kind for e in events] == ["warning", "state"] or [e.kind for e in events] == ["state", "warning"]
    assert any("64x48 px" in e.message and "32x24 px" in e.message for e in events)


@pytest.mark.parametrize("state", ["running", "stopped", "killed"])
def test_stop_leaves_nothing(folder: Path, until: Until, state: str) -> None:
    """After stop no process and no descriptor is left (and memory had no name), whatever state the process was in."""
    descriptors = len(os.listdir("/proc/self/fd"))
    front = CameraProcess("front", ReplaySpec(folder, fps=50), MODEL)
    front.start()
    until(polled(front, "online"))
    pid = front.pid
    assert pid is not None
    assert "/dev/shm" not in Path(f"/proc/{pid}/maps").read_text()
    if state != "running":
        os.kill(pid, signal.SIGSTOP if state == "stopped" else signal.SIGKILL)
    captured = front.captured
    front.stop()
    front.stop()
    assert not Path(f"/proc/{pid}").exists()
    assert (front.state, front.pid, front.latest()) == ("offline", None, None)
    assert front.captured >= captured
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_cameras_that_hang_together_are_stopped_together(folder: Path, until: Until) -> None:
    """Six stopped processes, as behind one USB hub: all gone within the two seconds that one may take."""
    cameras = [CameraProcess(f"c{n}", ReplaySpec(folder, fps=20), MODEL) for n in range(6)]
    for each in cameras:
        each.start()
    for each in cameras:
        until(polled(each, "online"))
    pids = [each.pid for each in cameras]
    for pid in pids:
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
    begun_s = time.monotonic()
    stop_together(cameras)
    assert time.monotonic() - begun_s < 3.0  # one after the other takes at least 6 x 1.2 s
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_camera_starts_again_after_stop(folder: Path, camera: Make, until: Until) -> None:
    """Stopped and started, a camera goes on with rising numbers."""
    front = camera("front", ReplaySpec(folder, fps=50))
    until(polled(front, "online"))
    front.request_stop()
    front.stop()
    before = front.captured
    front.start()
    front.start()
    until(polled(front, "online"))
    got = front.latest()
    assert got is not None
    assert got.sequence > before


def test_the_process_dies_with_its_parent(folder: Path, until: Until) -> None:
    """Kill the daemon, and its capture processes are gone too."""
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom edge.cameras.base import ReplaySpec\n"
        "from edge.cameras.process import CameraProcess, stop_together\nfrom edge.scene import CameraModel\n"
        "c = CameraProcess('front', ReplaySpec(Path(sys.argv[1]), fps=50), CameraModel('perspective')); c.start()\n"
        "while not c.sequence: time.sleep(0.01)\n"
        "print(c.pid, flush=True); time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    until(lambda: not alive(pid))


def test_the_process_is_light() -> None:
    """The capture process loads OpenCV and NumPy, and none of the daemon's other heavy modules."""
    heavy = ("torch", "onnxruntime", "pydantic", "typer", "rich", "paho", "amqtt", "yaml", "shapely", "multiprocessing")
    script = f"import sys, edge.cameras.child; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert run.stdout.strip() == "[]"


def test_a_source_that_is_gone_is_never_called_online(folder: Path, camera: Make, until: Until) -> None:
    """Killed with unread pictures and its source gone: no picture, number 0 and no `online` until it is back."""
    front = camera("front", ReplaySpec(folder, fps=50), backoff_s=(0.1, 0.2))
    until(polled(front, "online"))
    seen = front.sequence
    until(lambda: front.sequence > seen + 2)  # pictures that no poll has seen yet
    assert front.pid is not None
    folder.rename(folder.with_name("gone"))
    os.kill(front.pid, signal.SIGKILL)
    until(polled(front, "offline"))
    front.take_events()
    before = front.restarts
    until(lambda: polled(front, "offline")() and front.restarts >= before + 2)
    assert not [m for m in told(front, "state") if m.startswith("online")]
    assert front.sequence == 0
    assert front.latest() is None
    folder.with_name("gone").rename(folder)
    until(polled(front, "online"))
    assert front.sequence > seen


def test_a_relative_path_counts_from_where_the_parent_runs(
    folder: Path, camera: Make, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The capture process runs in "/", and opens the parent's folder all the same."""
    monkeypatch.chdir(folder.parent)
    front = camera("front", ReplaySpec(Path(folder.name), fps=50))
    until(polled(front, "online"))
    assert os.readlink(f"/proc/{front.pid}/cwd") == "/"


def refuse(*_arguments: object, **_options: object) -> None:
    """As Linux does when a limit is reached."""
    raise OSError(errno.ENOMEM, "Cannot allocate memory")


@pytest.mark.parametrize(
    "place",
    [(os, "ftruncate"), (os, "pipe"), (os, "set_blocking"), (slot.mmap, "mmap"), (process, "start_child")],
    ids=lambda place: place[1],
)
def test_a_start_that_fails_half_way_leaves_nothing(
    folder: Path, until: Until, monkeypatch: pytest.MonkeyPatch, place: tuple[object, str]
) -> None:
    """Wherever the system refuses, the camera is offline with a remedy, no descriptor stays open, and it comes back."""
    descriptors = len(os.listdir("/proc/self/fd"))
    front = CameraProcess("front", ReplaySpec(folder, fps=50), MODEL, backoff_s=(0.01, 0.02))
    try:
        with monkeypatch.context() as patched:
            patched.setattr(*place, refuse)
            front.start()
            until(lambda: front.poll() or front.restarts >= 5)
            assert front.state == "offline"
            assert "Free memory" in str(front.last_error)
            assert len(os.listdir("/proc/self/fd")) == descriptors
        until(polled(front, "online"))
    finally:
        front.stop()
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_pictures_that_vanish_together_are_one_warning(tmp_path: Path, camera: Make, until: Until) -> None:
    """Thirty files that are gone at once are told once, not thirty times."""
    for i in range(31):
        cv2.imwrite(str(tmp_path / f"{i:03}.png"), plain(90))
    front = camera("front", ReplaySpec(tmp_path, fps=100))
    until(polled(front, "online"))
    for i in range(1, 31):
        (tmp_path / f"{i:03}.png").unlink()
    until(lambda: front.poll() or front.captured >= 33)
    warnings = told(front, "warning")
    assert len(warnings) == 1
    assert "cannot be read" in warnings[0]
