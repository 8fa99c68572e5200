"""One view made from another: laws of projection, and that the truth is where every term is least."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.training.textured_room import BOX, LENS, SIZE_PX, pose, rays, seen_from
from training.losses import photometric as ph

_TARGET = pose()
_SOURCES = (pose(0.09, 0.02, -0.03, 1.5, -0.7), pose(-0.08, -0.01, 0.05, -1.2, 0.5))


def _tensor(array: np.ndarray, dtype: torch.dtype = torch.float64) -> Tensor:
    image = array[..., None] if array.ndim == 2 else array
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None].to(dtype)


class _Scene:
    """A target and two sources of it, exact."""

    def __init__(self) -> None:
        views = [seen_from(T, box=BOX) for T in (_TARGET, *_SOURCES)]
        self.target, self.depth = (_tensor(a) for a in views[0])
        self.sources = torch.stack([_tensor(v[0]) for v in views[1:]], dim=1)
        self.sources_depth = torch.stack([_tensor(v[1]) for v in views[1:]], dim=1)
        self.lens = torch.tensor([LENS], dtype=torch.float64)
        motions = [np.linalg.inv(T) @ _TARGET for T in _SOURCES]
        self.T = torch.from_numpy(np.stack(motions))[None]

    def compare(self, depth: Tensor | None = None, T: Tensor | None = None, both: bool = False) -> ph.Comparison:
        return ph.compared(
            self.target, self.sources, self.depth if depth is None else depth, self.lens, self.T if T is None else T,
            sources_depth_m=self.sources_depth if both else None,
        )  # fmt: skip

    def turned(self, vector: list[float]) -> Tensor:
        return ph.motion_from_vector(torch.tensor(vector, dtype=torch.float64)) @ self.T


@lru_cache(maxsize=1)
def _scene() -> _Scene:
    return _Scene()


def test_without_motion_a_picture_is_made_of_itself() -> None:
    """The identity pose gives the source to 1e-6, whatever the depth: pixel centres are sampled where they lie."""
    s = _scene()
    warp = ph.synthesised(s.target, s.depth, s.lens, torch.eye(4, dtype=torch.float64)[None])
    assert float((warp.image - s.target).abs().max()) < 1e-6
    assert bool(warp.seen.all())


def test_cutting_the_picture_and_its_lens_alike_changes_no_projection() -> None:
    """A point's pixel moves by exactly the cut, and scales exactly with the size: half pixels are where they belong."""
    s = _scene()
    points = ph.points_from_depth(s.depth, s.lens)
    cut = s.lens - torch.tensor([0.0, 0.0, 11.0, 7.0], dtype=torch.float64)
    moved = ph.project(points, s.lens) - ph.project(points, cut)
    assert torch.allclose(moved[:, 0], torch.tensor(11.0, dtype=torch.float64), atol=1e-9)
    assert torch.allclose(moved[:, 1], torch.tensor(7.0, dtype=torch.float64), atol=1e-9)
    assert torch.allclose(ph.project(points, s.lens * 0.5), ph.project(points, s.lens) * 0.5, atol=1e-9)
    centres = ph.pixel_centres(SIZE_PX[1], SIZE_PX[0], s.depth)
    assert torch.allclose(ph.project(points, s.lens)[0], centres, atol=1e-9)


def test_the_truth_reproduces_the_target() -> None:
    """True depth and pose give the target from each source to .002 where both see the same point (median)."""
    s = _scene()
    for k in range(2):
        warp = ph.synthesised(s.sources[:, k], s.depth, s.lens, s.T[:, k])
        there = ph.sampled(s.sources_depth[:, k], warp.pixels)
        same = warp.seen & ((there - warp.depth_m).abs() < 0.02 * warp.depth_m)
        error = (warp.image - s.target).abs().mean(dim=1, keepdim=True)[same]
        assert float(error.median()) < 2e-3
        assert float(same.float().mean()) > 0.75


@pytest.mark.parametrize("shift_px", [0.5, -0.5])
def test_half_a_pixel_off_is_worse(shift_px: float) -> None:
    """A lens whose centre is half a pixel off, as with pixel centres at whole numbers, more than doubles the error."""
    s = _scene()
    points = ph.transformed(ph.points_from_depth(s.depth, s.lens), s.T[:, 0])
    pixels = ph.project(points, s.lens)
    there = ph.sampled(s.sources_depth[:, 0], pixels)
    same = ((there - points[:, 2:]).abs() < 0.02 * points[:, 2:]) & ph.inside(pixels, SIZE_PX[1], SIZE_PX[0])
    right, off = (
        float(ph.unlikeness(s.target, ph.sampled(s.sources[:, 0], at))[same].mean())
        for at in (pixels, pixels + shift_px)
    )
    assert off > 2 * right


@pytest.mark.parametrize("factor", [0.7, 0.8, 0.9, 0.95, 1.05, 1.1, 1.25, 1.4])
def test_every_other_depth_scale_is_worse_and_its_gradient_points_back(factor: float) -> None:
    """With the true motion the loss is least at the true scale of depth, and falls towards it from either side."""
    s = _scene()
    log_scale = torch.tensor(float(np.log(factor)), dtype=torch.float64, requires_grad=True)
    loss = s.compare(s.depth * torch.exp(log_scale)).photometric
    assert float(loss.detach()) > 1.3 * float(s.compare().photometric)
    (gradient,) = torch.autograd.grad(loss, log_scale)
    if 0.75 < factor < 1.3:
        assert np.sign(float(gradient)) == np.sign(np.log(factor))


@pytest.mark.parametrize("axis", range(3))
def test_every_other_motion_is_worse(axis: int) -> None:
    """A turn by a quarter of a degree, or a tenth more or less of the way, about or along any axis raises the loss."""
    s = _scene()
    truth = float(s.compare().photometric)
    for degrees in (-1.0, -0.25, 0.25, 1.0):
        vector = [0.0] * 6
        vector[axis] = float(np.radians(degrees))
        assert float(s.compare(T=s.turned(vector)).photometric) > truth, degrees
    for share in (0.8, 0.9, 1.1, 1.25):
        T = s.T.clone()
        T[..., :3, 3] *= share
        assert float(s.compare(T=T).photometric) > truth


def test_scale_of_depth_and_of_motion_together_cannot_be_seen() -> None:
    """Depth and translation times the same factor give the same loss: scale must come from elsewhere."""
    s = _scene()
    truth = float(s.compare().photometric)
    for factor in (0.5, 0.9, 1.7):
        T = s.T.clone()
        T[..., :3, 3] *= factor
        assert float(s.compare(s.depth * factor, T).photometric) == pytest.approx(truth, abs=1e-6)


def test_depths_agree_at_the_truth_and_contradict_where_something_hides() -> None:
    """The contradiction of true depths is under 1 % off occlusions, and over 5 % for most of the occluded points."""
    s = _scene()
    warp = ph.synthesised(s.sources[:, 0], s.depth, s.lens, s.T[:, 0])
    found = ph.contradiction(warp.depth_m, ph.sampled(s.sources_depth[:, 0], warp.pixels))
    hidden = warp.seen & (ph.sampled(s.sources_depth[:, 0], warp.pixels) < 0.9 * warp.depth_m)
    assert float(found[warp.seen & ~hidden].median()) < 0.01
    assert int(hidden.sum()) > 20
    assert float((found[hidden] > 0.05).float().mean()) > 0.8
    assert float(s.compare(both=True).geometric) < 0.01


def test_a_fifth_too_deep_contradicts_by_one_eleventh() -> None:
    """|z - 1.2 z| / (2.2 z) = .0909 exactly."""
    z = torch.rand(1, 1, 5, 7, dtype=torch.float64) + 1
    assert torch.allclose(ph.contradiction(z, 1.2 * z), torch.full_like(z, 0.2 / 2.2))


def test_a_camera_that_stands_still_says_nothing() -> None:
    """Equal target and sources: nothing counts, the loss and its gradient are exactly 0."""
    s = _scene()
    depth = s.depth.clone().requires_grad_(True)
    found = ph.compared(s.target, torch.stack([s.target, s.target], dim=1), depth, s.lens, s.T)
    assert float(found.counted.double().mean()) == 0
    assert float(found.photometric.detach()) == 0
    (gradient,) = torch.autograd.grad(found.photometric, depth)
    assert float(gradient.abs().max()) == 0


def test_a_moving_camera_says_something_of_nearly_all() -> None:
    """At the truth more than four fifths of the picture count."""
    assert float(_scene().compare().counted.double().mean()) > 0.8


def test_what_moves_with_the_camera_is_left_out() -> None:
    """A patch pasted at one place in all pictures: nine tenths of it do not count."""
    s = _scene()
    patch = torch.rand(1, 3, 24, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    target, sources = s.target.clone(), s.sources.clone()
    target[..., 10:34, 40:64] = patch
    sources[..., 10:34, 40:64] = patch[:, None]
    found = ph.compared(target, sources, s.depth, s.lens, s.T)
    assert float(found.counted[..., 12:32, 42:62].double().mean()) < 0.1


def test_another_exposure_changes_little_and_would_change_much() -> None:
    """Sources times .8 plus .05 cost less than 5 % more; without the fitted exposure they would cost over twice."""
    s = _scene()
    truth = float(s.compare().photometric)
    dimmed = s.sources * 0.8 + 0.05
    again = float(ph.compared(s.target, dimmed, s.depth, s.lens, s.T).photometric)
    assert again < 1.05 * truth + 1e-5
    warp = ph.synthesised(dimmed[:, 0], s.depth, s.lens, s.T[:, 0])
    assert float(ph.unlikeness(s.target, warp.image)[warp.seen].mean()) > 2 * truth


def test_gradients_are_those_of_the_formulas() -> None:
    """Numerical derivatives of projecting, sampling and comparing agree, away from whole pixels."""
    s = _scene()
    rows, columns = slice(40, 46), slice(30, 37)
    lens = s.lens - torch.tensor([0, 0, 30.0, 40.0], dtype=torch.float64)

    def loss(log_depth: Tensor, vector: Tensor) -> Tensor:
        T = ph.motion_from_vector(vector) @ s.T[:, 0]
        warp = ph.synthesised(s.sources[:, 0], torch.exp(log_depth), lens, T)
        return ph.unlikeness(s.target[..., rows, columns], warp.image)

    log_depth = torch.log(s.depth[..., rows, columns]).clone().requires_grad_(True)
    vector = torch.full((1, 6), 0.003, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (log_depth, vector), eps=1e-7, atol=1e-4)


def test_nothing_is_gained_by_pushing_points_out_of_the_picture() -> None:
    """Depth so small that no source shows a pixel costs as much as not moving at all, and more than the truth."""
    s = _scene()
    away = s.compare(s.depth * 0.01)
    assert float(away.counted.double().mean()) < 0.02
    still = torch.eye(4, dtype=torch.float64).expand_as(s.T)
    unmoved = float(s.compare(T=still).photometric)
    assert float(away.photometric) == pytest.approx(unmoved, rel=0.05)
    assert unmoved > 3 * float(s.compare().photometric)


def test_no_number_is_infinite_where_there_is_nothing_to_compare() -> None:
    """A flat picture, points behind the camera, and no overlap give finite losses and gradients."""
    s = _scene()
    for image in (torch.full_like(s.target, 0.4), s.target):
        for z in (-8.0, 0.0, 50.0):
            T = torch.eye(4, dtype=torch.float64).repeat(1, 2, 1, 1)
            T[..., 2, 3], T[..., 0, 3] = z, 30.0
            depth = s.depth.clone().requires_grad_(True)
            both = torch.stack([image, image], dim=1)
            found = ph.compared(image, both, depth, s.lens, T, sources_depth_m=s.sources_depth)
            assert bool(torch.isfinite(found.photometric))
            (gradient,) = torch.autograd.grad(found.photometric + found.geometric + depth.sum() * 0, depth)
            assert bool(torch.isfinite(gradient).all())


def test_a_stereo_pair_gives_depth_by_its_baseline() -> None:
    """Depth f b / d of the true disparity reproduces the other eye, and swapped eyes do not."""
    s = _scene()
    right_pose = pose(0.1)
    right, right_depth = (_tensor(a) for a in seen_from(right_pose, box=BOX))
    disparity = LENS[0] * 0.1 / s.depth
    depth = LENS[0] * 0.1 / disparity
    T = torch.eye(4, dtype=torch.float64).repeat(1, 1, 1, 1)
    T[..., 0, 3] = -0.1
    found = ph.compared(s.target, right[:, None], depth, s.lens, T, sources_depth_m=right_depth[:, None])
    swapped = ph.compared(right, s.target[:, None], right_depth, s.lens, T)
    assert float(found.photometric) < 0.01
    assert float(found.geometric) < 0.01
    assert float(swapped.photometric) > 3 * float(found.photometric)


def test_scale_alone_is_tied_to_the_start() -> None:
    """Another shape with the same median costs nothing; another scale costs its squared logarithm."""
    start = torch.log(_scene().depth)
    wave = torch.sin(torch.arange(start.numel(), dtype=torch.float64)).reshape(start.shape)
    wave = wave - wave.median()
    assert float(ph.scale_difference(start + 0.1 * wave, start)) < 1e-6
    assert float(ph.scale_difference(start + np.log(1.1), start)) == pytest.approx(np.log(1.1) ** 2)


def test_a_rotation_vector_gives_its_rotation() -> None:
    """Rodrigues' formula: the axis stays, the angle is its length, and at zero it is the identity with a gradient."""
    vector = torch.tensor([0.3, -0.2, 0.5, 1.0, 2.0, 3.0], dtype=torch.float64)
    T = ph.motion_from_vector(vector)
    axis = vector[:3] / vector[:3].norm()
    assert torch.allclose(T[:3, :3] @ axis, axis)
    angle = torch.arccos((T[:3, :3].trace() - 1) / 2)
    assert float(angle) == pytest.approx(float(vector[:3].norm()))
    assert torch.allclose(T[:3, 3], vector[3:])
    zero = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    assert torch.equal(ph.motion_from_vector(zero).detach(), torch.eye(4, dtype=torch.float64))
    assert torch.autograd.gradcheck(ph.motion_from_vector, (zero,))


def test_people_teach_nothing_of_their_depth_and_change_nothing_around_them() -> None:
    """A blob that walked in from nowhere: with the mask no gradient reaches its depth, and elsewhere it is as without.

    Without the mask it does, which is what the mask is for. Two pixels around it, where SSIM's windows reach, are free.
    """
    s = _scene()
    blob = torch.zeros(1, 1, *s.depth.shape[2:], dtype=torch.bool)
    blob[..., 30:60, 40:80] = True
    target = torch.where(blob, torch.rand(1, 3, *s.depth.shape[2:], generator=torch.manual_seed(0)).double(), s.target)
    inside = -torch.nn.functional.max_pool2d(-blob.double(), 5, stride=1, padding=2) > 0
    outside = torch.nn.functional.max_pool2d(blob.double(), 5, stride=1, padding=2) == 0

    def gradient(picture: Tensor, still: Tensor | None) -> Tensor:
        depth = (s.depth * 1.05).requires_grad_()
        none = torch.ones(1, 2, *s.depth.shape[1:], dtype=torch.bool) if still is not None else None
        ph.compared(picture, s.sources, depth, s.lens, s.T, still=still, sources_still=none).photometric.backward()
        assert depth.grad is not None
        return depth.grad

    masked = gradient(target, ~blob)
    assert float(masked[inside].abs().max()) == 0
    assert float(gradient(target, None)[inside].abs().max()) > 0
    assert torch.allclose(masked[outside], gradient(s.target, ~blob)[outside])


def test_people_in_a_source_are_not_compared_with() -> None:
    """One in the first source alone: what the target has there is compared with the second, whatever he wears."""
    s = _scene()
    blob = torch.zeros(1, 2, *s.depth.shape[1:], dtype=torch.bool)
    blob[:, 0, :, 30:60, 40:80] = True
    still = torch.ones_like(s.depth, dtype=torch.bool)
    found = []
    for colour in (0.3, 0.7):
        sources = torch.where(blob, torch.full_like(s.sources, colour), s.sources)
        found.append(ph.compared(s.target, sources, s.depth, s.lens, s.T, still=still, sources_still=~blob))
        assert float(found[-1].counted.double().mean()) > 0.8
    assert float((found[0].residual - found[1].residual).abs()[found[0].counted].mean()) < 1e-3


def test_a_camera_knows_its_height_by_the_floor() -> None:
    """From exact depth of the floor, however the camera is tilted: 1.3 m above it, less what it was lowered.

    Told another height, the loss is the squared ln of the ratio, whatever a tenth of the floor's depth says.
    """
    for T, height_m in ((pose(pitch_deg=-15), 1.3), (pose(0.2, 0.3, yaw_deg=20, pitch_deg=-25), 1.0)):
        _, depth = seen_from(T)
        points = T[:3, 3] + (rays() * depth[..., None]) @ T[:3, :3].T
        floor, z = torch.from_numpy(points[..., 1] > 1.3 - 1e-6)[None, None], _tensor(depth)
        lens = torch.tensor([LENS], dtype=torch.float64)
        assert float(ph.plane_distances(z, lens, floor)) == pytest.approx(height_m, rel=1e-4)
        wrong = torch.where(torch.rand(z.shape, generator=torch.manual_seed(1)) < 0.1, z * 1.5, z)
        said = torch.tensor([height_m * 1.2], dtype=torch.float64)
        for shown, near in ((z, 1e-3), (wrong, 0.06)):
            loss = ph.height_difference(shown, lens, floor, said)
            assert float(loss) == pytest.approx(np.log(1.2) ** 2, abs=near)
        assert float(ph.height_difference(z, lens, floor, torch.zeros(1))) == 0
        assert float(ph.height_difference(z, lens, torch.zeros_like(floor), said)) == 0


def test_told_a_lower_height_everything_comes_nearer() -> None:
    """A camera at 1.5 m told 1.2 m: descending the loss in one scale brings it to 0.8 within 0.02."""
    T = pose(y=-0.2, pitch_deg=-20)
    _, depth = seen_from(T)
    points = T[:3, 3] + (rays() * depth[..., None]) @ T[:3, :3].T
    floor, z = torch.from_numpy(points[..., 1] > 1.3 - 1e-6)[None, None], _tensor(depth)
    lens, said = torch.tensor([LENS], dtype=torch.float64), torch.tensor([1.2], dtype=torch.float64)
    log_scale = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([log_scale], lr=0.05)
    for _ in range(80):
        optimizer.zero_grad()
        ph.height_difference(z * torch.exp(log_scale), lens, floor, said).backward()
        optimizer.step()
    assert float(torch.exp(log_scale.detach())) == pytest.approx(0.8, abs=0.02)


def test_ssim_is_that_of_each_window() -> None:
    """Wang et al. 2004, eq. 13 on 3x3 pixels with C1 = .01^2 and C2 = .03^2; on the border of the mirrored picture."""
    a, b = torch.rand(2, 1, 1, 6, 7, generator=torch.manual_seed(0), dtype=torch.float64)
    found = ph.ssim(a, b)
    x, y = (np.pad(t[0, 0].numpy(), 1, mode="reflect") for t in (a, b))
    for i, j in ((0, 0), (3, 4), (5, 6)):
        u, v = x[i : i + 3, j : j + 3], y[i : i + 3, j : j + 3]
        shared = ((u - u.mean()) * (v - v.mean())).mean()
        above = (2 * u.mean() * v.mean() + 1e-4) * (2 * shared + 9e-4)
        expected = above / ((u.mean() ** 2 + v.mean() ** 2 + 1e-4) * (u.var() + v.var() + 9e-4))
        assert float(found[0, 0, i, j]) == pytest.approx(expected, abs=1e-6)


def test_scale_over_a_batch_leaves_each_picture_free() -> None:
    """Two pictures off by a factor and its inverse: together nothing is wrong, each by itself is."""
    start = torch.zeros(2, 1, 8, 8)
    off = torch.tensor([0.3, -0.3])[:, None, None, None] + start
    assert float(ph.scale_difference(off, start, together=True)) == pytest.approx(0, abs=1e-7)
    assert float(ph.scale_difference(off, start)) == pytest.approx(0.09)
    assert float(ph.scale_difference(off + 0.2, start, together=True)) == pytest.approx(0.04)


def test_smoothness_of_disparity_knows_no_scale() -> None:
    """Monodepth2's term is the same for a depth map and for half of it; a plane parallel to the picture has none."""
    s = _scene()
    log_depth = torch.log(s.depth)
    one, half = (float(ph.smoothness(x, s.target, of_disparity=True)) for x in (log_depth, log_depth - np.log(2)))
    assert one == pytest.approx(half) and one > 0
    assert float(ph.smoothness(torch.zeros_like(log_depth), s.target, of_disparity=True)) == 0
