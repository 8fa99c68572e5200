"""The lens of a film is found from what it shows, or refused where it does not show it."""

from __future__ import annotations

import numpy as np
import pytest

from edge.errors import DataError
from edge.geometry.two_views import points_of
from tests.edge.geometry.test_two_views import LENS, SIZE_PX, picture
from tests.training.textured_room import pose
from training.data.motion.lens import lens_found


@pytest.mark.slow
def test_the_focal_length_is_found_from_a_walk_that_turns() -> None:
    """Within 4 % of the truth from twelve frames, though the true lens is neither square nor centred."""
    walk = [pose(0.07 * i - 0.4, 0.02 * np.sin(i), 0.05 * i, 2.5 * i - 14, 2.0 * np.sin(0.8 * i)) for i in range(12)]
    found = lens_found("walk", [points_of(picture(T)) for T in walk], SIZE_PX)
    assert found[0] == pytest.approx(np.sqrt(LENS[0] * LENS[1]), rel=0.04)


def test_a_film_that_does_not_tell_is_refused() -> None:
    """Frames that show nothing have no lens: the option that says it is named."""
    blank = points_of(np.full((120, 160, 3), 90, np.uint8))
    with pytest.raises(DataError, match=r"dull: the lens cannot be found.*hfov_deg"):
        lens_found("dull", [blank] * 12, (160, 120))


def test_no_point_is_looked_for_where_something_moves_by_itself() -> None:
    """A mask over half of a picture: neither points nor corners there, and as many as before elsewhere."""
    image = picture(pose())
    moving = np.zeros(image.shape[:2], bool)
    moving[:, : image.shape[1] // 2] = True
    whole, masked = points_of(image), points_of(image, moving)
    for found, left in ((whole.pixels, masked.pixels), (whole.corners, masked.corners)):
        assert (left[:, 0] > image.shape[1] // 2 - 0.5).all()
        assert len(left) > 0.8 * (found[:, 0] > image.shape[1] // 2).sum()
