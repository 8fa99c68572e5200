"""Pictures worth keeping, of cameras whose way is known: those that went far enough, and none of one that stays."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from edge.geometry.pinhole import intrinsics_from_fov
from edge.perception import key_frames
from edge.perception.key_frames import LARGEST_PARALLAX, LEAST_PARALLAX, Kept, KeyFrames, Verdict
from edge.scene import ImageArray
from tests.training.textured_room import pose, speckled

SIZE_PX = (240, 180)
LENS = intrinsics_from_fov(*SIZE_PX, np.radians(62.0))


@pytest.fixture(autouse=True)
def _a_few_pictures_tell() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_frames, "_PATIENCE", 4)
        yield


def _picture(x_m: float = 0.0, yaw_deg: float = 0.0) -> ImageArray:
    lens = (LENS.fx_px, LENS.fy_px, LENS.cx_px, LENS.cy_px)
    return speckled(pose(x_m, 0.0, 0.0, yaw_deg), lens, SIZE_PX)


def _offered(images: list[ImageArray]) -> tuple[KeyFrames, list[Verdict], list[Kept]]:
    keys = KeyFrames(LENS)
    answers = [keys.offer(image, 0.1 * i) for i, image in enumerate(images)]
    return keys, [verdict for verdict, _ in answers], [one for _, kept in answers for one in kept]


def test_what_is_kept_has_the_parallax_that_training_asks_for() -> None:
    """A walk of 8 cm steps sideways: the first of a pair is kept with the second, and the way is to the right."""
    keys, said, kept = _offered([_picture(0.08 * i) for i in range(6)])
    assert keys.pairs == len(kept) - 1 == said.count("moved") >= 2
    assert kept[0].motion is None and kept[0].at_s == 0.0
    for one in kept[1:]:
        assert one.motion is not None
        assert LEAST_PARALLAX <= one.motion.parallax <= LARGEST_PARALLAX
        assert one.motion.T_second_first[0, 3] < -0.95  # the room goes left as the camera goes right
    assert keys.refusal() is None


def test_nothing_is_kept_of_a_camera_that_stands_still() -> None:
    """However long, with the sensor's noise; it is told to be carried."""
    rng, still = np.random.default_rng(0), _picture().astype(np.int16)
    noisy = [np.clip(still + rng.normal(0, 2, still.shape), 0, 255).astype(np.uint8) for _ in range(6)]
    keys, said, kept = _offered(noisy)
    assert kept == [] and set(said[1:]) == {"still"}
    assert "does not move (median shift 0." in (keys.refusal() or "") and "carry it" in (keys.refusal() or "")


def test_nothing_is_kept_of_a_camera_that_only_turns() -> None:
    """A pan by 3.5 degrees a picture, for 14: points move far, and by none of it once the turn is undone."""
    keys, said, kept = _offered([_picture(yaw_deg=3.5 * i - 7) for i in range(5)])
    assert kept == [] and "turned" in said and "moved" not in said
    assert "only turns" in (keys.refusal() or "") and "step sideways" in (keys.refusal() or "")


def test_after_a_leap_it_goes_on_from_there() -> None:
    """Too far to be compared: no pair is made across it, and the next step makes one."""
    near, far = [_picture(0.16 * i) for i in range(2)], [_picture(0.7 + 0.16 * i, yaw_deg=-14.0) for i in range(3)]
    keys, said, kept = _offered(near + far)
    assert said[1:3] == ["moved", "far"] and said[-1] == "moved"
    starts = [one for one in kept if one.motion is None]
    assert len(starts) == 2 and keys.pairs == len(kept) - 2


@pytest.mark.parametrize(
    ("spoilt", "verdict", "told"),
    [
        (lambda image: (image // 20).astype(np.uint8), "dark", "lights on"),
        (lambda image: np.clip(image.astype(int) * 6, 0, 255).astype(np.uint8), "bright", "overexposed"),
        (lambda image: np.full_like(image, 120), "plain", "textured things"),
    ],
)
def test_pictures_that_show_nothing(spoilt: object, verdict: Verdict, told: str) -> None:
    """Too dark, overexposed, a bare wall: left out, with what to do."""
    assert callable(spoilt)
    keys, said, kept = _offered([spoilt(_picture())] * 5)
    assert kept == [] and set(said) == {verdict}
    assert told in (keys.refusal() or "")


def test_smeared_pictures_are_left_out() -> None:
    """As a lens that moved while the shutter was open: less sharp than half of what came before."""
    sharp, smeared = _picture(), cv2.blur(_picture(0.16), (9, 1))
    _, said, kept = _offered([sharp, sharp, sharp, smeared, _picture(0.16)])
    assert said[3:] == ["blurred", "moved"] and len(kept) == 2


def test_a_privacy_mask_is_not_darkness() -> None:
    """Half of the picture painted black: the other half is judged."""
    images = [_picture(0.06 * i) for i in range(2)]
    for image in images:
        image[:, 130:] = 0
    assert _offered(images)[1][-1] in ("moved", "near")
