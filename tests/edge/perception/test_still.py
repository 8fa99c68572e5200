"""The median of an hour: a room stays, people who walk through it do not."""

from __future__ import annotations

import numpy as np

from edge.perception.still import EVERY_S, SAMPLES, StillPicture

ROOM = np.full((64, 128, 3), (90, 140, 200), np.uint8)


def with_person(column: int) -> np.ndarray:
    """Somebody dark, a fifth of the picture wide."""
    image = ROOM.copy()
    image[10:60, column : column + 26] = (20, 10, 30)
    return image


def test_whoever_moves_is_not_in_it() -> None:
    """Somebody who is at another place in every picture is nowhere in the median, to JPEG's own error."""
    still = StillPicture()
    for k in range(SAMPLES):
        still.offer(k * EVERY_S, with_person(5 * k))
    median = still.median()
    assert median is not None
    assert np.abs(median.astype(int) - ROOM).max() <= 12


def test_there_is_none_before_an_hour_and_pictures_in_between_do_not_count() -> None:
    """Twenty pictures, three minutes apart; frames in between are passed over, another size begins anew."""
    still = StillPicture()
    for second in range(0, int(EVERY_S * (SAMPLES - 1)), 10):
        assert still.due(second) == (second % int(EVERY_S) == 0)
        still.offer(second, ROOM)
    assert (still.missing, still.median()) == (1, None)
    still.offer(EVERY_S * SAMPLES, ROOM)
    assert still.median() is not None
    still.offer(EVERY_S * (SAMPLES + 1), ROOM[:, :64])
    assert still.missing == SAMPLES - 1
