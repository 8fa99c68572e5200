"""What puts pictures aside for review: when, how often, without whom, and nothing unless it was asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest

from edge.config.review import ReviewConfig
from edge.daemon.reports import review_lost
from edge.daemon.review import ReviewWatch
from edge.errors import EdgeError
from edge.keep.review import Bounds, Review
from edge.monitor.metrics import Metrics
from edge.mqtt.messages import Message
from edge.perception.picture_features import PICTURE_FEATURES
from edge.perception.still import EVERY_S, SAMPLES
from edge.pipeline.pipeline import Result
from edge.publish import compose
from edge.publish.compose import Source
from edge.scene import Frame, RoomLayout

TOO_HIGH_M = 6.0
METRICS = Metrics()
Made = Callable[..., ReviewWatch]


def said(result: Result, latency_s: float) -> Message:
    """The message of a result."""
    return compose.message_of(result.value, result.frame, Source("dev", "m", "0" * 64), latency_s, None)


def never(engine: Any, tensor: Any) -> Any:
    """Nothing is asked of a network about a perspective camera's pictures."""
    raise AssertionError


class Hall:
    """A camera that looks at one room; its clock goes as it is told."""

    def __init__(self, frame: Frame, layout: RoomLayout) -> None:
        self.frame = replace(frame, camera="hall", image=np.full((120, 160, 3), 120, np.uint8))
        self.layout = replace(layout, ceiling_height_m=TOO_HIGH_M)

    def result(self, at_s: float, image: np.ndarray | None = None) -> Result:
        """What is inferred at a time."""
        picture = self.frame.image if image is None else image
        frame = replace(
            self.frame, captured_monotonic_s=at_s, captured_at=1767225600.0 + at_s, sequence=int(at_s), image=picture
        )
        engine = cast(Any, SimpleNamespace())
        return Result(frame, "layout", self.layout, engine, {})

    def pass_by(self, watch: ReviewWatch, first_s: float, last_s: float) -> None:
        """A result and a look every minute."""
        for at_s in np.arange(first_s, last_s, 60.0):
            watch.take(self.result(float(at_s)))
            watch.look(float(at_s))


@pytest.fixture
def hall(frame: Frame, layout: RoomLayout) -> Hall:
    """Whose ceiling is said to be too high."""
    return Hall(frame, layout)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A watch as a daemon makes it."""

    def make(*, people: str = "kept", automatic: bool = True, **bounds: float) -> ReviewWatch:
        kept = Bounds(**{"most_age_s": 1e12, "least_free_bytes": 0} | cast(Any, bounds))
        review = Review(tmp_path / "review", kept, lambda reason, count: METRICS.review_dropped.add(reason, by=count))
        return ReviewWatch(review, people=cast(Any, people), automatic=automatic, said=said, infer=never)

    return make


def test_nothing_is_kept_unless_a_folder_is_named(hall: Hall, made: Made, tmp_path: Path) -> None:
    """No folder by default; with one, nothing on its own by default; people are removed by default."""
    config = ReviewConfig()
    assert (config.folder, config.automatic, config.people) == (None, False, "removed")
    watch = made(automatic=False)
    hall.pass_by(watch, 0, 7200)
    watch.drifted("hall")
    hall.pass_by(watch, 7200, 14400)
    assert list(tmp_path.iterdir()) == []


def test_what_contradicts_itself_is_put_aside_once_an_hour(hall: Hall, made: Made) -> None:
    """With the rule, its number and its limit; a room that is well is not."""
    watch = made()
    hall.pass_by(watch, 0, 3 * 3600)
    entries = watch.review.entries()
    assert len(entries) == 3
    about = json.loads(watch.review.file(entries[0], "about.json"))
    (reason,) = about["reasons"]
    assert (reason["rule"], reason["value"], reason["limit"]) == ("ceiling_height", TOO_HIGH_M, 4.5)
    assert about["results"]["layout"]["metric"]["ceiling_height_m"] == TOO_HIGH_M
    hall.layout = replace(hall.layout, ceiling_height_m=2.5)
    hall.pass_by(watch, 3 * 3600, 6 * 3600)
    assert watch.review.entries() == entries


def test_a_drift_puts_eight_aside_over_the_next_day(hall: Hall, made: Made) -> None:
    """Three hours apart, whatever rules say."""
    hall.layout = replace(hall.layout, ceiling_height_m=2.5)
    watch = made()
    watch.drifted("hall")
    hall.pass_by(watch, 0, 2 * 86400)
    hours = [json.loads(watch.review.file(e, "about.json"))["captured_at"][11:13] for e in watch.review.entries()]
    assert hours == ["00", "03", "06", "09", "12", "15", "18", "21"]


def test_nobody_is_in_a_picture_unless_the_configuration_says_so(hall: Hall, made: Made) -> None:
    """Before there is a median the request is refused, with when to come back; then whoever is there is not in it."""
    watch, person = made(people="removed", automatic=False), hall.frame.image.copy()
    person[20:100, 40:80] = 0
    for k in range(SAMPLES):
        if k == 15:
            with pytest.raises(EdgeError, match="for 15 minutes yet"):
                watch.flag(hall.result(k * EVERY_S).frame, {}, {}, "")
        watch.take(hall.result(k * EVERY_S, person if k % 3 == 0 else None))
    entry = watch.flag(hall.result(SAMPLES * EVERY_S, person).frame, {}, {}, "look")
    kept = cv2.imdecode(np.frombuffer(watch.review.file(entry, "picture.jpg"), np.uint8), cv2.IMREAD_COLOR)
    assert kept is not None
    assert np.abs(kept.astype(int) - hall.frame.image).max() <= 6


def test_numbers_alone_are_kept_if_the_configuration_says_so(hall: Hall, made: Made) -> None:
    """No picture in the folder or its name in any file; features, room and rule are there."""
    watch = made(people="no_picture")
    hall.pass_by(watch, 0, 600)
    (entry,) = watch.review.entries()
    assert [path.name for path in (watch.review.folder / entry).iterdir()] == ["about.json"]
    assert not watch.review.has_picture(entry)
    about = json.loads(watch.review.file(entry, "about.json"))
    assert set(PICTURE_FEATURES) < set(about["features"])
    assert about["features"]["layout_height"] == pytest.approx(np.log(TOO_HIGH_M), abs=1e-5)
    assert about["results"]["layout"]["metric"]["ceiling_height_m"] == TOO_HIGH_M
    assert "by its configuration" in about["picture"]["missing"]


def test_what_cannot_be_blurred_is_kept_without_its_picture(hall: Hall, made: Made) -> None:
    """There is no depth here: who stands in the room cannot be told from it."""
    watch = made(people="blurred")
    hall.pass_by(watch, 0, 600)
    (entry,) = watch.review.entries()
    assert not watch.review.has_picture(entry)
    about = json.loads(watch.review.file(entry, "about.json"))
    assert "not both known in metres" in about["picture"]["missing"]


def test_what_is_lost_to_a_bound_is_counted(hall: Hall, made: Made) -> None:
    """The oldest for a newer one, what waited too long, what the disk does not take: in health, by reason."""
    before = review_lost(METRICS)
    watch = made(people="no_picture", most_entries=2)
    hall.pass_by(watch, 0, 5 * 3600)
    assert len(watch.review.entries()) == 2
    watch.review.expire(now_s=3e12)
    full = made(people="no_picture", least_free_bytes=2**62)
    hall.pass_by(full, 0, 600)
    lost = {reason: count - before.get(reason, 0) for reason, count in review_lost(METRICS).items()}
    assert lost == {"review_full": 3, "review_expired": 2, "review_refused": 1}


def test_a_disk_that_takes_nothing_is_told_and_ends_nothing(
    hall: Hall, made: Made, caplog: pytest.LogCaptureFixture
) -> None:
    """The daemon goes on; the log has the remedy."""
    watch = made()
    watch.review.folder.parent.joinpath("review").write_bytes(b"")
    hall.pass_by(watch, 0, 600)
    assert "set review.folder" in caplog.text
