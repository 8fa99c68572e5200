"""Depth from footage: samples keep lens and motion true however varied, and scale comes from where it is known."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch
from torch import Tensor

from edge.geometry.two_views import Motion
from edge.scene import ImageArray
from tests.training.conftest import RECIPES
from tests.training.textured_room import BOX, LENS, SIZE_PX, pose, seen_from, speckled
from training.arrays import Array
from training.config.file import load_recipe
from training.config.nets import Monodepth2Config
from training.config.recipe import Recipe
from training.data.motion.pairs import Source, Studied
from training.data.samples.self_depth import SOURCES, SelfDepthSamples, moments
from training.losses.photometric import compared, motion_from_vector
from training.nets.monodepth2 import Monodepth2
from training.tasks.build import build_task
from training.tasks.self_depth import SelfDepthTask, mirrored_motion, way_lengths
from training.tasks.weights import WEIGHTS_FILE

ENGINES = RECIPES.parents[1] / "engines"
POSES = [pose(0.07 * i - 0.2, 0.01 * i, 0.02 * i, 0.8 * i, -0.3 * i) for i in range(5)]
_NO_POINTS = (np.zeros((0, 2)), np.zeros(0))


def _image(T: Array) -> np.ndarray:
    return np.rint(seen_from(T, LENS, SIZE_PX, BOX)[0] * 255).astype(np.uint8)


@lru_cache(maxsize=1)
def _footage() -> Studied:
    """Five exact frames, each with its neighbours as sources and the true motion to them."""
    sources = [
        [
            Source(j, Motion(np.linalg.inv(POSES[j]) @ POSES[i], 0.1, 0.05, *_NO_POINTS))
            for j in (i - 1, i + 1)
            if 0 <= j < len(POSES)
        ]
        for i in range(len(POSES))
    ]
    return Studied("exact", [_image(T) for T in POSES], LENS, sources, [], None, metric=True)


def _recipe(**augment: float | bool) -> Recipe:
    recipe = load_recipe(RECIPES / "depth_self.yaml")
    spec = recipe.input.model_copy(update={"width_px": SIZE_PX[0], "height_px": SIZE_PX[1]})
    changed = recipe.augment.model_copy(update={"photometric": 0.0, **augment})
    return recipe.model_copy(update={"input": spec, "augment": changed})


def _true_depth(sample: dict[str, Tensor], T: Array) -> Tensor:
    """Of the part of the picture that a sample shows, by its own lens."""
    fx, fy, cx, cy = (float(x) for x in sample["lens"])
    mirrored = bool(sample["mirrored"])
    depth = seen_from(T, (fx, fy, SIZE_PX[0] - cx if mirrored else cx, cy), SIZE_PX, BOX)[1]
    return torch.from_numpy(np.ascontiguousarray(depth[:, ::-1] if mirrored else depth)).float()[None, None]


def _batch(sample: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value[None] for name, value in sample.items()}


@pytest.mark.parametrize("seed", range(6))
def test_cut_and_mirrored_samples_keep_their_geometry(seed: int) -> None:
    """With the true depth of what a varied sample shows, its sources make its target as well as unvaried ones do."""
    items = moments([_footage()], [range(1, 4)])
    task = SelfDepthTask(_recipe())
    plain = SelfDepthSamples(items, _recipe(), None, None)
    torch.manual_seed(seed)
    varied = SelfDepthSamples(items[1:2], _recipe(zoom=1.8), 10, None)[0]
    errors = []
    for sample, T in ((plain[1], POSES[2]), (varied, POSES[2])):
        batch, depth = _batch(sample), _true_depth(sample, T)
        found = compared(batch["target"], batch["sources"], depth, batch["lens"], task.motion(batch, depth))
        wrong = compared(batch["target"], batch["sources"], depth * 1.1, batch["lens"], task.motion(batch, depth))
        errors.append(float(found.photometric.detach()))
        assert float(wrong.photometric.detach()) > 1.15 * errors[-1]
    assert errors[1] < 1.5 * errors[0] + 2e-3


def test_the_way_is_as_long_as_the_depth_says() -> None:
    """Points triangulated in lengths of the way give its metres; ten times the depth, ten times the way."""
    depth = torch.from_numpy(seen_from(pose(), LENS, SIZE_PX, BOX)[1]).float()[None, None]
    rng = np.random.default_rng(0)
    xy = np.column_stack([rng.integers(2, 126, 40) + 0.5, rng.integers(2, 94, 40) + 0.5])
    points = torch.zeros(1, 2, 64, 3)
    for s, way_m in enumerate((0.12, 0.4)):
        z = depth[0, 0, xy[:, 1].astype(int), xy[:, 0].astype(int)] / way_m
        points[0, s, :40] = torch.cat([torch.from_numpy(xy).float(), z[:, None]], dim=1)
    assert way_lengths(depth, points)[0].tolist() == pytest.approx([0.12, 0.4], rel=1e-4)
    assert way_lengths(depth * 10, points)[0].tolist() == pytest.approx([1.2, 4.0], rel=1e-4)
    points[0, 0, 5:] = 0
    assert float(way_lengths(depth, points)[0, 0]) == 0  # five points tell nothing


def test_a_mirrored_motion_is_the_motion_of_the_mirror() -> None:
    """A point mirrored and moved by it lands where the moved point is mirrored."""
    T = torch.from_numpy(np.linalg.inv(POSES[3]) @ POSES[1])
    point = torch.tensor([0.3, -0.2, 2.0, 1.0], dtype=torch.float64)
    flip = torch.tensor([-1.0, 1.0, 1.0, 1.0], dtype=torch.float64)
    assert torch.allclose(mirrored_motion(T) @ (flip * point), flip * (T @ point))


def test_a_frame_with_one_neighbour_has_one_source() -> None:
    """The first frame's second source is marked as not there and changes nothing."""
    items = moments([_footage()], [range(0, 1)])
    batch = _batch(SelfDepthSamples(items, _recipe(), None, None)[0])
    assert batch["usable"].tolist() == [[True, False]]
    task, depth = SelfDepthTask(_recipe()), _true_depth({k: v[0] for k, v in batch.items()}, POSES[0])
    found = compared(
        batch["target"], batch["sources"], depth, batch["lens"], task.motion(batch, depth), usable=batch["usable"]
    )
    batch["sources"][:, 1] = torch.rand_like(batch["sources"][:, 1])
    again = compared(
        batch["target"], batch["sources"], depth, batch["lens"], task.motion(batch, depth), usable=batch["usable"]
    )
    assert float(found.photometric.detach()) == float(again.photometric.detach())
    assert SOURCES == 2


def test_gradients_reach_depth_and_motions_and_nothing_that_is_kept() -> None:
    """One step's loss moves the network and the pair's own motion, and never the network that the run started from."""
    found = _footage()
    points = Motion(np.linalg.inv(POSES[3]) @ POSES[2], 0.1, 0.05, np.tile([[40.5, 30.5]], (9, 1)), np.full(9, 30.0))
    footage = replace(found, metric=False, sources=[[], [], [Source(3, points)], [], []])
    recipe = _recipe()
    recipe = recipe.model_copy(update={"loss": recipe.loss.model_copy(update={"settle_steps": 0})})
    task = SelfDepthTask(recipe)
    batch = _batch(SelfDepthSamples(moments([footage], [range(2, 3)]), recipe, 4, None)[0])
    task.loss_of(batch).backward()  # type: ignore[no-untyped-call]
    assert task.net.answer.weight.grad is not None and float(task.net.answer.weight.grad.abs().sum()) > 0
    moved = task.motions.weight.grad
    assert moved is not None and float(moved[batch["pair"][0, 0]].abs().sum()) > 0
    assert float(moved.abs().sum()) == pytest.approx(float(moved[batch["pair"][0, 0]].abs().sum()))
    assert all(p.grad is None for p in task.start.parameters())


def test_stereo_pairs_give_metres() -> None:
    """The right eye is a source whose motion is the baseline, to the left, in metres, and known."""
    right = [_image(T @ pose(0.1)) for T in POSES]
    footage = Studied("rig", [_image(T) for T in POSES], LENS, [], right, 0.1)
    sample = SelfDepthSamples(moments([footage], [range(5)]), _recipe(), None, None)[2]
    batch, depth = _batch(sample), _true_depth(sample, POSES[2])
    task = SelfDepthTask(_recipe())
    T = task.motion(batch, depth)
    assert T[0, 0, :3, 3].tolist() == pytest.approx([-0.1, 0, 0])
    losses = [
        float(compared(batch["target"], batch["sources"], depth * s, batch["lens"], T, usable=batch["usable"])
              .photometric.detach())
        for s in (0.9, 1.0, 1.1)
    ]  # fmt: skip
    assert losses[1] < min(losses[0], losses[2])


def test_the_network_is_served_as_any_depth_network() -> None:
    """The recipe's manifest is a depth model's, and a pose network is in no file that is exported."""
    from training.export.proof.runners import manifest_of

    recipe = _recipe()
    assert manifest_of(recipe).task == "depth"
    names = [name for name, _ in SelfDepthTask(recipe).inference_net.named_parameters()]
    assert not any("pose" in name or "motions" in name for name in names)


@pytest.mark.parametrize("alone", [False, True])
def test_a_network_may_see_the_motion(alone: bool) -> None:
    """`motion: network`: the turn that points show and what the network adds; alone, what the network says.

    Mirrored, it is the motion of the mirror; a motion that is known is taken as it is; and its gradient reaches the
    network that sees it.
    """
    found = replace(_footage(), metric=False)
    recipe = _recipe()
    said = {"motion": "network_alone" if alone else "network", "settle_steps": 0}
    task = SelfDepthTask(recipe.model_copy(update={"loss": recipe.loss.model_copy(update=said)})).eval()
    assert task.pose is not None
    torch.nn.init.zeros_(task.pose.answer.weight)
    step = torch.tensor([0.02, -0.01, 0.03, 0.1, 0.05, -0.08])
    with torch.no_grad():
        task.pose.answer.bias.copy_(step / 0.01)
    batch = _batch(SelfDepthSamples(moments([found], [range(2, 3)]), recipe, None, None)[0])
    depth = torch.ones(1, 1, SIZE_PX[1], SIZE_PX[0])
    turn = torch.eye(4).expand(2, 4, 4).clone()
    if not alone:
        turn[:, :3, :3] = batch["T"][0, :, :3, :3]
    T = task.motion(batch, depth)
    assert torch.allclose(T[0], turn @ motion_from_vector(step), atol=1e-5)
    T[..., 0, 3].sum().backward()
    assert task.pose.answer.bias.grad is not None and float(task.pose.answer.bias.grad.abs().sum()) > 0
    seen = task.motion(batch | {"mirrored": torch.tensor([True])}, depth)
    mirrored_turn = turn if alone else mirrored_motion(turn)
    assert torch.allclose(seen[0], mirrored_turn @ motion_from_vector(step), atol=1e-5)
    known = task.motion(batch | {"known": torch.tensor([[True, True]])}, depth)
    assert torch.allclose(known, batch["T"])


def test_a_network_of_several_sizes_learns_at_each() -> None:
    """Monodepth2's: every size has a gradient, and the one that is served has the picture's size."""
    recipe = _recipe()
    net = Monodepth2Config(net="monodepth2")
    loss = recipe.loss.model_copy(update={"settle_steps": 0, "smooth_on": "disparity"})
    task = SelfDepthTask(recipe.model_copy(update={"net": net, "loss": loss}))
    batch = _batch(SelfDepthSamples(moments([_footage()], [range(2, 3)]), recipe, None, None)[0])
    task.loss_of(batch).backward()  # type: ignore[no-untyped-call]
    assert isinstance(task.net, Monodepth2)
    for answer in task.net.answers:
        grad = answer.weight.grad
        assert isinstance(grad, Tensor) and float(grad.abs().sum()) > 0


def test_samples_say_where_people_and_the_floor_are_however_varied() -> None:
    """A mask is cut, enlarged and mirrored as its picture: a picture painted by its own mask stays so."""
    rng = np.random.default_rng(0)
    masks = [rng.random((SIZE_PX[1] // 32, SIZE_PX[0] // 32)) < 0.4 for _ in POSES]
    masks = [np.kron(mask, np.ones((32, 32))) > 0 for mask in masks]
    images = [np.repeat(np.where(mask, 255, 0).astype(np.uint8)[..., None], 3, axis=-1) for mask in masks]
    footage = replace(_footage(), images=images, moving=masks, floor=[~m for m in masks], camera_height_m=1.4)
    torch.manual_seed(3)
    for sample in [
        SelfDepthSamples(moments([footage], [range(1, 4)]), _recipe(zoom=1.8), 10, None)[i] for i in range(4)
    ]:
        painted = sample["target"][:1] > 0.5
        assert float((painted == ~sample["still"]).float().mean()) > 0.97
        assert float(((sample["sources"][:, :1] > 0.5) == ~sample["sources_still"]).float().mean()) > 0.97
        assert torch.equal(sample["floor"], sample["still"])
        assert float(sample["camera_height_m"]) == pytest.approx(1.4)


def _walked(walk: list[Array], images: list[ImageArray], shift: int) -> Studied:
    """Frames with a neighbour on either side, the way's length unknown; `shift`: take the motion of another pair."""

    def motion(i: int, j: int) -> Motion:
        i, j = (i + shift) % len(walk), (j + 2 * shift) % len(walk)
        T = np.linalg.inv(walk[j]) @ walk[i]
        size = float(np.linalg.norm(T[:3, 3]))
        T[:3, 3] /= size
        depth = seen_from(walk[i], LENS, SIZE_PX, BOX)[1]
        xy = np.random.default_rng(i).integers(2, 94, (40, 2))
        return Motion(T, 0.1, 0.05, xy + 0.5, depth[xy[:, 1], xy[:, 0]] / size)

    count = len(walk)
    sources = [[Source(j, motion(i, j)) for j in (i - 2, i + 2) if 0 <= j < count] for i in range(count)]
    return Studied("walk", images, LENS, sources, [], None)


@pytest.mark.slow
def test_a_network_learns_the_room_that_it_is_carried_through() -> None:
    """From frames and motions alone, median-scaled delta1 of frames that it has not seen rises by .03.

    The start is the depth network that ships, which has seen nothing like this room. Given the motions of other pairs
    it learns nothing.
    """
    walk = [pose(0.06 * i - 0.6, 0.01 * np.sin(i), 0.02 * i, 0.7 * i - 8, -4 + 0.2 * i) for i in range(22)]
    images = [speckled(T) for T in walk]
    before = _delta1(None, walk)
    after, shuffled = (_delta1(_walked(walk, images, shift), walk) for shift in (0, 7))
    assert after > before + 0.03, (before, after)
    assert shuffled < before + 0.01, (before, shuffled)


def _delta1(footage: Studied | None, walk: list[Array]) -> float:
    """Of the last five frames, after 60 steps on the first fifteen; None: before any."""
    recipe = _recipe(zoom=1.2, photometric=0.5)
    loss = recipe.loss.model_copy(update={"settle_steps": 0, "shape": 0.0})
    task = build_task(recipe.model_copy(update={"loss": loss}), weights=ENGINES / "depth" / WEIGHTS_FILE)
    assert isinstance(task, SelfDepthTask)
    task.start.load_state_dict(task.net.state_dict())
    if footage is not None:
        samples = SelfDepthSamples(moments([footage], [range(15)]), recipe, 1000, None)
        optimizer = torch.optim.Adam([p for p in task.net.parameters() if p.requires_grad], lr=1e-4)
        torch.manual_seed(1)
        task.train()
        for step in range(60):
            batch = torch.utils.data.default_collate([samples[2 * step], samples[2 * step + 1]])
            optimizer.zero_grad()
            task.loss_of(batch).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(task.net.parameters(), 1.0)
            optimizer.step()
    task.eval()
    plain = Studied("held", [speckled(T) for T in walk[-5:]], LENS, [[]] * 5, [speckled(T) for T in walk[-5:]], 0.1)
    held = SelfDepthSamples(moments([plain], [range(5)]), recipe, None, None)
    shares = []
    for i, T in enumerate(walk[-5:]):
        sample = _batch(held[i])
        with torch.no_grad():
            found = torch.exp(task.log_depth(task.net, sample["image"], sample["per_canonical"]))[0, 0].numpy()
        truth = seen_from(T, LENS, SIZE_PX, BOX)[1]
        ratio = found * np.median(truth / found) / truth
        shares.append(float((np.maximum(ratio, 1 / ratio) < 1.25).mean()))
    return float(np.mean(shares))
