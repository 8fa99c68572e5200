"""Stage 3 on toys: balls and slabs in two colours, each with a teacher of its own."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from training.config.file import recipe_from_mapping
from training.config.losses import ObjectsLossConfig
from training.config.recipe import Recipe
from training.data.samples.objects import Crop, tensor_of
from training.distill import objects as stage_3
from training.distill.objects import Plan, Told, asked, looks_loss, teach
from training.losses.objects import ObjectsLoss
from training.metrics.objects import iou
from training.nets.objects import ObjectNet
from training.tasks.objects import build_object_net

KINDS = ("ball", "slab")
LOSS = {"rays": 32, "samples": 16}
PLAN: dict[str, Any] = {"batch": 8, "lr": 3e-3, "encoder_lr": 1e-3, "synthetic": 0.0}


def recipe_of(**loss: float) -> Recipe:
    """Of a small network for pictures of 32 px."""
    content: dict[str, Any] = {
        "name": "things", "version": "0", "task": "objects", "loss": LOSS | loss, "optim": {"steps": 2},
        "net": {"net": "objects", "width": 0.35, "latent": 16, "channels": [16, 16, 16, 16]},
        "input": {"name": "image", "width_px": 32, "height_px": 32, "projection": "perspective", "mask_channel": True},
    }  # fmt: skip
    return recipe_from_mapping(content, "test")


def toy(kind: str, seed: int) -> Told:
    """A thing seen from the front, and its true cells."""
    rng = np.random.default_rng(seed)
    axis = (np.arange(32) + 0.5) / 32 - 0.5
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    width, height, radius = rng.uniform(0.12, 0.16), rng.uniform(0.4, 0.45), rng.uniform(0.38, 0.42)
    ball, slab = x**2 + y**2 + z**2 < radius**2, (abs(x) < width) & (abs(y) < height) & (abs(z) < 0.4)
    full, paint = (ball, [200, 60, 40]) if kind == "ball" else (slab, [40, 80, 210])
    colour = np.array(paint) + rng.integers(-30, 30, 3)
    mask = np.where(full.any(axis=2).T[::-1], 255, 0).astype(np.uint8)
    image = (colour * (mask > 0)[..., None]).astype(np.uint8)
    painted = np.broadcast_to(colour[:, None, None, None], (3, 32, 32, 32)).astype(np.uint8)
    return Told(Crop(f"{kind}-{seed}", image, mask), np.where(full, 255, 0).astype(np.uint8), painted, "truth")


LEARNT = {kind: [toy(kind, seed) for seed in range(24)] for kind in KINDS}
TRIED = {kind: [toy(kind, 100 + seed) for seed in range(8)] for kind in KINDS}


def taught(net: ObjectNet, told: Sequence[Told], steps: int, **plan: Any) -> ObjectNet:
    """A copy of the network that has learnt what was told."""
    own = copy.deepcopy(net)
    teach(own, told, recipe_of(), Plan(steps=steps, **PLAN | plan))
    return own.eval()


def said(net: ObjectNet, told: Sequence[Told], name: str) -> list[Told]:
    """What a network says of the same pictures."""
    return [Told(t.crop, *asked(net, t.crop, recipe_of(), name), name) for t in told]


def overlap(net: ObjectNet, kind: str) -> float:
    """Mean IoU with the true cells of things that nobody learnt from."""
    pairs = zip(said(net, TRIED[kind], kind), TRIED[kind], strict=True)
    return float(np.mean([iou(found.occupancy > 127, true.occupancy > 127) for found, true in pairs]))


@pytest.fixture(scope="module")
def start() -> ObjectNet:
    """Stage 1: a little of both kinds, its statistics those of the pictures."""
    torch.manual_seed(1)
    net = build_object_net(recipe_of())
    net.finish()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain mean
    everything = [t for told in LEARNT.values() for t in told]
    with torch.no_grad():
        net.train()(torch.stack([tensor_of(t.crop.image, t.crop.mask, recipe_of().input) for t in everything]))
    return taught(net.eval(), everything, 25)


@pytest.fixture(scope="module")
def teacher(start: ObjectNet) -> ObjectNet:
    """Of balls alone."""
    return taught(start, LEARNT["ball"], 60)


def test_a_teacher_taught_to_itself_stays_what_it_is(teacher: ObjectNet) -> None:
    """Distilling a network into itself keeps its IoU with the truth within .005."""
    told = said(teacher, LEARNT["ball"], "itself")
    own = taught(teacher, told, 20, lr=Plan.lr, encoder_lr=Plan.encoder_lr)
    assert overlap(own, "ball") == pytest.approx(overlap(teacher, "ball"), abs=0.005)


@pytest.mark.slow
def test_two_teachers_become_one_network(start: ObjectNet, teacher: ObjectNet) -> None:
    """The student's mean IoU is at least the teachers' mean - .02, and no kind is more than .05 below its teacher's.

    Neither stage 1 nor the other kind's teacher is as good, so this was learnt.
    """
    teachers = {"ball": teacher, "slab": taught(start, LEARNT["slab"], 60)}
    told = [t for kind in KINDS for t in said(teachers[kind], LEARNT[kind], kind)]
    student = taught(start, told, 80)
    theirs = {kind: overlap(teachers[kind], kind) for kind in KINDS}
    ours = {kind: overlap(student, kind) for kind in KINDS}
    assert np.mean([*ours.values()]) >= np.mean([*theirs.values()]) - 0.02
    for kind, other in zip(KINDS, reversed(KINDS), strict=True):
        assert ours[kind] >= theirs[kind] - 0.05
        assert max(overlap(start, kind), overlap(teachers[other], kind)) < theirs[kind] - 0.05


def grids(seed: int, count: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Occupancy (B, 32, 32, 32) and colours (B, 3, 32, 32, 32) of balls that are partly clear."""
    things = [toy("ball", seed + i) for i in range(count)]
    occupancy = torch.stack([torch.from_numpy(t.occupancy) for t in things]).float() * 0.9 / 255
    return occupancy, torch.stack([torch.from_numpy(t.colour) for t in things]).float() / 255


def test_what_looks_alike_teaches_nothing_by_its_looks() -> None:
    """Where student is teacher, term and gradients are exactly 0; where shape or colour differs they are not."""
    loss = ObjectsLoss(ObjectsLossConfig(**LOSS))
    target, paint = grids(0)
    given = target[:, None].clone().requires_grad_(), paint.clone().requires_grad_()
    same = looks_loss(*given, target, paint, loss, 3)
    same.backward()
    assert same.item() == 0
    assert all(g.grad is not None and float(g.grad.abs().max()) == 0 for g in given)
    other = looks_loss(0.3 * given[0], given[1], target, paint, loss, 3)
    painted = looks_loss(given[0], given[1] * 0.5, target, paint, loss, 3)
    (other + painted).backward()
    assert other.item() > 1e-3 and painted.item() > 1e-3
    assert all(float(g.grad.abs().max()) > 0 for g in given)  # type: ignore[union-attr]


def test_looks_are_compared_from_all_sides() -> None:
    """A view is decided by its number alone, and a flaw in any corner of a thing is seen from some."""
    loss = ObjectsLoss(ObjectsLossConfig(rays=128, samples=16))
    target, paint = grids(0, 1)
    apart = [float(looks_loss(target[:, None], paint * 0.5, target, paint, loss, seed)) for seed in (1, 1, 2)]
    assert apart[0] == apart[1] != apart[2]
    middle = (np.arange(32) + 0.5) / 32 - 0.5
    x, _, z = torch.meshgrid(*[torch.from_numpy(middle)] * 3, indexing="ij")
    for side in (x > 0, x < 0, z > 0, z < 0):
        flawed = torch.where(side, 0.0, paint).float()
        assert max(float(looks_loss(target[:, None], flawed, target, paint, loss, seed)) for seed in range(8)) > 0.01


def test_the_weight_of_looks_is_the_recipes(start: ObjectNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first step's loss grows by the weight times the term; at 0 nothing is rendered, nor anything else changed."""
    told = LEARNT["ball"][:4]

    def history(weight: float, steps: int) -> list[float]:
        return teach(copy.deepcopy(start), told, recipe_of(distilled_looks=weight), Plan(steps=steps, **PLAN))

    none, little, much = (history(w, 1)[0] for w in (0.0, 0.1, 0.4))
    assert little > none
    assert much - none == pytest.approx(4 * (little - none), rel=1e-3)
    monkeypatch.setattr(stage_3, "looks_loss", lambda *_: torch.zeros(()))
    without = history(0.1, 3)
    monkeypatch.delattr(stage_3, "looks_loss")
    assert history(0.0, 3) == without
    assert ObjectsLossConfig().distilled_looks == 0.1
