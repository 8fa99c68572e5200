"""Panoramas composed of several pictures, as laws. The sphere of most tests is coloured by direction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from edge.cameras.base import CubeFaces, View
from edge.cameras.composer import Composer
from edge.cameras.cube import FACES, Layout, face_view, views_of
from edge.cameras.exposure import LINEAR
from edge.cameras.privacy import GREY
from edge.errors import GeometryError
from edge.geometry.harmonics import project_panorama
from edge.geometry.panorama import rays, solid_angles
from edge.geometry.pinhole import intrinsics_from_fov
from edge.geometry.rigid import rotation_room_camera
from edge.geometry.view import picture_rays
from edge.perception.tangent_views import TangentViews
from edge.scene import CameraModel, FisheyeCircle, ImageArray, PanoramaPart

WIDE = FisheyeCircle(np.deg2rad(200))


def coloured(directions: npt.NDArray[np.float64], turn: npt.NDArray[np.float64] | None = None) -> ImageArray:
    """What is seen in these directions of a sphere whose colour is the direction, and which is turned."""
    own = directions if turn is None else directions @ turn
    return np.round(own * 120 + 128).astype(np.uint8)


def pictured(view: View, wh: tuple[int, int], turn: npt.NDArray[np.float64] | None = None) -> ImageArray:
    """What a view sees of that sphere."""
    directions, shown = picture_rays(view.model, wh, wh)
    return np.where(shown[..., None], coloured(directions, turn), np.uint8(0))


def pinholes(count: int = 6, hfov_deg: float = 80.0) -> list[View]:
    """Ordinary cameras round about, some of them tilted and rolled."""
    yaws = np.arange(count) * 2 * np.pi / count
    return [
        View(CameraModel("perspective", hfov_rad=np.deg2rad(hfov_deg), yaw_rad=y, pitch_rad=0.1 * i, roll_rad=0.05 * i))
        for i, y in enumerate(yaws)
    ]


def dual() -> list[View]:
    """Two fisheyes back to back, the second one rolled."""
    front = CameraModel("fisheye", fisheye=WIDE)
    return [View(front), View(replace(front, yaw_rad=np.pi, roll_rad=0.5))]


def composed(views: list[View], wh: tuple[int, int] = (256, 256), width_px: int = 512) -> tuple[ImageArray, object]:
    """The panorama of views each of which has a picture of its own."""
    composer = Composer([[view] for view in views], width_px)
    return composer.compose([pictured(view, wh) for view in views], 0.0)


def test_a_cubes_solid_angles_are_the_whole_sphere() -> None:
    """6 sum of 4 / (N^2 (1 + u^2 + v^2)^1.5) is 4 pi within 1e-4 at N = 64; an equirectangular picture's exactly."""
    rays_ = picture_rays(face_view("F").model, (64, 64), (64, 64))[0]
    along = np.abs(rays_[..., 1])  # cosine to the axis: (1 + u^2 + v^2)^-0.5
    assert 6 * (4 / 64**2 * along**3).sum() == pytest.approx(4 * np.pi, rel=1e-4)
    assert solid_angles(64, 32).sum() == pytest.approx(4 * np.pi, rel=1e-12)


@pytest.mark.parametrize("order", [Layout("frblud"), Layout("opengl"), Layout("matterport", 3, clockwise=False)])
def test_a_cube_gives_the_sphere_that_it_was_cut_from(order: Layout) -> None:
    """Colour is direction: every face of 128 px, in any order, comes back within 2 of 255, and everything is seen."""
    assert sorted(order.faces) == sorted(FACES)
    views = [view for (view,) in views_of(CubeFaces(order.faces), [(128, 128)] * 6)]
    panorama, seen = composed(views, (128, 128))
    assert seen is None
    assert np.abs(panorama.astype(int) - coloured(rays(512, 256))).max() <= 2


def test_opengls_faces_are_where_its_specification_puts_them() -> None:
    """Column and row of each face grow along sc and tc of the OpenGL specification, in left-handed axes."""
    axes = {  # of +x -x +y -y +z -z: which axis is ahead, sc, tc
        0: ((1, 0, 0), (0, 0, -1), (0, -1, 0)),
        1: ((-1, 0, 0), (0, 0, 1), (0, -1, 0)),
        2: ((0, 1, 0), (1, 0, 0), (0, 0, 1)),
        3: ((0, -1, 0), (1, 0, 0), (0, 0, -1)),
        4: ((0, 0, 1), (1, 0, 0), (0, -1, 0)),
        5: ((0, 0, -1), (-1, 0, 0), (0, -1, 0)),
    }
    for n, face in enumerate(Layout("opengl").faces):
        looks = picture_rays(face_view(face).model, (2, 2), (2, 2))[0]
        ahead, sc, tc = (np.array(a) for a in axes[n])
        for row, column in np.ndindex(2, 2):
            x, y, z = ahead + (column - 0.5) * sc + (row - 0.5) * tc
            expected = np.array([x, z, y])  # its y is up, its z ahead
            assert looks[row, column] == pytest.approx(expected / np.linalg.norm(expected))


@pytest.mark.parametrize("grid", [(6, 1), (1, 6), (3, 2), (2, 3), (4, 3)])
def test_a_cube_in_one_picture_is_its_faces(grid: tuple[int, int]) -> None:
    """In a row, a column, 3 by 2 and a cross: the same panorama."""
    columns, rows = grid
    picture = np.zeros((rows * 128, columns * 128, 3), np.uint8)
    (views,) = views_of(CubeFaces(FACES), [(columns * 128, rows * 128)])
    for face, view in zip(FACES, views, strict=True):
        left, top, right, bottom = np.multiply(view.crop, (columns, rows, columns, rows)).round().astype(int) * 128
        picture[top:bottom, left:right] = pictured(face_view(face), (128, 128))
    panorama, _ = Composer([views], 512).compose([picture], 0.0)
    assert np.abs(panorama.astype(int) - coloured(rays(512, 256))).max() <= 2


def test_a_face_that_lies_on_its_side_is_set_upright() -> None:
    """A picture that must be turned clockwise by 90 degrees says so, and is the same."""
    upright = pictured(face_view("U"), (128, 128))
    panorama, _ = Composer([[face_view("U", 90)]], 512).compose([np.rot90(upright)], 0.0)
    expected, _ = Composer([[face_view("U")]], 512).compose([upright], 0.0)
    assert np.abs(panorama.astype(int) - expected).max() <= 2


@pytest.mark.parametrize(
    ("sizes", "says"), [([(64, 64)] * 5 + [(32, 32)], "squares of one size"), ([(70, 64)] * 6, "70x64")]
)
def test_faces_that_make_no_cube_are_refused(sizes: list[tuple[int, int]], says: str) -> None:
    """Faces of different sizes, or that are no squares."""
    composer = Composer(views_of(CubeFaces(FACES), sizes), 256, square=True)
    with pytest.raises(GeometryError, match=says):
        composer.compose([np.zeros((h, w, 3), np.uint8) for w, h in sizes], 0.0)


def test_a_picture_that_holds_no_cube_is_refused() -> None:
    """Of 5:1 nobody knows where the faces are."""
    with pytest.raises(GeometryError, match="cross"):
        views_of(CubeFaces(FACES), [(500, 100)])


@pytest.mark.parametrize("views", [pinholes(), dual()], ids=["pinholes", "dual fisheye"])
def test_a_turned_rig_sees_a_turned_sphere(views: list[View]) -> None:
    """What all cameras of a rig see of a sphere that is turned by R is that sphere, turned by R."""
    turn = rotation_room_camera(0.4, 0.3, -0.2) @ rotation_room_camera().T
    composer = Composer([[view] for view in views], 512)
    panorama, seen = composer.compose([pictured(view, (256, 256), turn) for view in views], 0.0)
    expected = coloured(rays(512, 256), turn)
    mask = np.ones((256, 512), np.bool_) if seen is None else seen
    assert np.abs(panorama.astype(int) - expected)[mask].max() <= 4


@pytest.mark.parametrize("views", [pinholes(), dual(), pinholes(3, 120.0)], ids=["pinholes", "dual", "wide"])
def test_the_order_of_cameras_changes_nothing(views: list[View]) -> None:
    """To the last byte, exposure matched."""
    one, mask = composed(views, width_px=256)
    other, other_mask = composed(views[::-1], width_px=256)
    assert np.array_equal(one, other)
    assert np.array_equal(np.asarray(mask), np.asarray(other_mask))


@pytest.mark.parametrize("views", [pinholes(), dual(), [face_view(f) for f in FACES], pinholes(2)])
def test_a_flat_colour_stays_flat(views: list[View]) -> None:
    """Weights sum to one wherever something is seen; elsewhere the panorama is grey and the mask says so."""
    flat = np.full((200, 200, 3), (200, 31, 97), np.uint8)
    panorama, seen = Composer([[view] for view in views], 512).compose([flat] * len(views), 0.0)
    mask = np.ones((256, 512), np.bool_) if seen is None else seen
    assert (panorama[mask] == (200, 31, 97)).all()
    assert (panorama[~mask] == GREY).all()


def test_two_fisheyes_of_more_than_180_degrees_see_everything() -> None:
    """And the seam of the panorama, in the middle of the second one, is like any other column."""
    panorama, seen = composed(dual(), (400, 400))
    assert seen is None
    columns = panorama.astype(int)
    across = np.abs(columns - np.roll(columns, 1, axis=1)).mean(axis=(0, 2))
    assert across[0] <= 1.5 * np.median(across) + 0.5
    assert np.abs(columns - coloured(rays(512, 256))).max() <= 4


def test_what_is_missing_is_masked_and_the_rest_is_whole() -> None:
    """Without one of its pictures a rig shows what the others do, and no more."""
    views = pinholes()
    pictures = [pictured(view, (256, 256)) for view in views]
    composer = Composer([[view] for view in views], 512)
    _, all_seen = composer.compose(pictures, 0.0)
    panorama, seen = composer.compose([None, *pictures[1:]], 0.1)
    alone, own = Composer([[view] for view in views[1:]], 512).compose(pictures[1:], 0.0)
    assert all_seen is not None
    assert seen is not None
    assert np.array_equal(seen, own)
    assert seen.sum() < all_seen.sum()
    assert np.abs(panorama.astype(int) - alone).max() <= 2
    assert composer.compose(pictures, 0.2)[1] is all_seen


def test_gains_come_back_up_to_a_common_factor() -> None:
    """Sources whose light is multiplied by known factors are made alike again, within 2 %."""
    views, rng = pinholes(), np.random.default_rng(0)
    factors = rng.uniform(0.75, 1.3, (6, 3))
    pictures = []
    for view, factor in zip(views, factors, strict=True):
        light = np.clip(LINEAR[pictured(view, (256, 256))] * 0.5 * factor, 0, 1)
        pictures.append(np.searchsorted((LINEAR[1:] + LINEAR[:-1]) / 2, light).astype(np.uint8))
    composer = Composer([[view] for view in views], 512)
    composer.compose(pictures, 0.0)
    product = composer.gains * factors
    assert product / product.mean(axis=0) == pytest.approx(np.ones((6, 3)), abs=0.02)


def test_gains_follow_slowly() -> None:
    """A lamp that is switched on in one picture changes its gain with a time constant of 2 s, not at once."""
    views = pinholes(2, 120.0)
    views = [views[0], View(replace(views[0].model, yaw_rad=0.6))]
    flat = np.full((64, 64, 3), 100, np.uint8)
    composer = Composer([[view] for view in views], 256)
    composer.compose([flat, flat], 0.0)
    composer.compose([flat, flat + 40], 1.0)
    first = composer.gains[1, 0]
    for at_s in np.arange(2.0, 20.0):
        composer.compose([flat, flat + 40], float(at_s))
    last = composer.gains[1, 0]
    assert last < first < 1
    assert (1 - first) / (1 - last) == pytest.approx(1 - np.exp(-0.5), abs=0.02)


def test_light_of_a_rigs_panorama_is_the_spheres() -> None:
    """Spherical harmonics of a composed sphere are those of the sphere itself, within 1 %."""
    sphere = coloured(rays(512, 256))
    panorama, _ = composed([face_view(face) for face in FACES], (256, 256))
    own, true = (project_panorama(image.astype(np.float64) / 255) for image in (panorama, sphere))
    assert np.abs(own - true).max() <= 0.01 * np.abs(true).max()


def test_six_tangent_views_compose_to_the_panorama_that_they_were_cut_from() -> None:
    """The views that depth networks look at, put together again."""
    panorama = coloured(rays(1024, 512))
    cut = TangentViews((256, 192), (1024, 512))
    half = cut.intrinsics.width_px / 2 / cut.intrinsics.fx_px
    looks = [(0, 0), (90, 0), (180, 0), (-90, 0), (0, 90), (0, -90)]
    views = [
        View(
            CameraModel(
                "perspective",
                intrinsics=intrinsics_from_fov(256, 192, 2 * float(np.arctan(half))),
                yaw_rad=float(np.deg2rad(yaw)),
                pitch_rad=float(np.deg2rad(pitch)),
            )
        )
        for yaw, pitch in looks
    ]
    again, seen = Composer([[view] for view in views], 512, match_exposure=False).compose(cut.cut(panorama), 0.0)
    assert seen is None
    assert np.abs(again.astype(int) - coloured(rays(512, 256))).max() <= 3


@pytest.mark.parametrize("nadir_deg", [0, 20])
def test_a_part_of_a_panorama_stays_a_part(nadir_deg: float) -> None:
    """It lies where it is said to, at the whole sphere's scale, and a tripod under it is not shown."""
    part = PanoramaPart(-np.pi, np.pi, -np.pi / 2, np.pi / 2 - 85 / 256 * np.pi)
    sphere = coloured(rays(512, 256))
    composer = Composer(
        [[View(CameraModel("equirectangular", part=part))]], nadir_mask_rad=float(np.deg2rad(nadir_deg))
    )
    panorama, seen = composer.compose([sphere[85:]], 0.0)
    assert panorama.shape == (256, 512, 3)
    assert seen is not None
    last = 256 - round(256 * nadir_deg / 180)
    assert seen[85:last].all()
    assert not seen[:85].any()
    assert not seen[last + 1 :].any()
    assert np.abs(panorama.astype(int) - sphere)[85:last].max() <= 1
