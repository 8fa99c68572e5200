"""Learning jointly: each noun by its own labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from edge.scene import Task
from training.config.file import with_overrides
from training.config.recipe import Recipe
from training.data.samples.joint import joint_samples
from training.tasks.build import build_task
from training.tasks.joint import JointTask

LABELS: dict[Task, tuple[str, ...]] = {
    "depth": ("depth",),
    "layout": ("boundary", "corners", "seen"),
    "lighting": ("coefficients", "cells"),
}
HEADS: dict[Task, str] = {"depth": "depth", "layout": "layout", "lighting": "light"}
Batch = dict[str, torch.Tensor]


@pytest.fixture
def learner(small_recipe: Callable[..., Recipe]) -> JointTask:
    """A small network with random weights."""
    task = build_task(small_recipe("joint"))
    assert isinstance(task, JointTask)
    return task.train()


@pytest.fixture
def batch(box_rooms: Path, small_recipe: Callable[..., Recipe]) -> Batch:
    """Four rooms."""
    held = joint_samples(with_overrides(small_recipe("joint"), data={"rooms": box_rooms}), box_rooms, 4)[1]
    return torch.utils.data.default_collate([held[i] for i in range(4)])


@pytest.mark.parametrize("noun", list(LABELS))
def test_a_noun_s_loss_moves_with_its_own_labels_alone(learner: JointTask, batch: Batch, noun: Task) -> None:
    """Other labels of one noun change its term and leave the other two as they were."""
    learner.eval()
    before = learner.terms(batch)
    changed = learner.terms(batch | {name: batch[name] * 0.8 for name in LABELS[noun]})
    for other, term in before.items():
        assert bool(torch.equal(term, changed[other])) == (other != noun)


@pytest.mark.parametrize("noun", list(LABELS))
def test_a_noun_s_loss_teaches_its_own_head_and_the_encoder(learner: JointTask, batch: Batch, noun: Task) -> None:
    """Its gradient reaches the encoder and its head, and no other head."""
    learner.terms(batch)[noun].backward()
    for other, head in HEADS.items():
        reached = any(p.grad is not None and bool(p.grad.any()) for p in getattr(learner.net, head).parameters())
        assert reached == (other == noun)
    if noun != "lighting":  # its head starts as plain projection: nothing of the encoder counts yet
        assert any(p.grad is not None and bool(p.grad.any()) for p in learner.net.encoder.parameters())


def test_what_a_batch_does_not_know_costs_nothing(learner: JointTask, batch: Batch) -> None:
    """Without known range and counted edges these terms are 0 and move no weight; light is learnt all the same."""
    unknown = {name: torch.zeros_like(batch[name]) for name in ("depth", "seen")}
    terms = learner.terms(batch | unknown)
    assert not terms["depth"].any()
    assert not terms["layout"].any()
    learner.loss_of(batch | unknown).backward()
    for head in ("depth", "layout"):
        assert not any(p.grad is not None and bool(p.grad.any()) for p in getattr(learner.net, head).parameters())
    assert bool(learner.net.light.answer.bias.grad.any())


def test_all_nouns_are_learnt_at_once(learner: JointTask, batch: Batch) -> None:
    """On four fixed rooms every noun's loss falls by a quarter and more."""
    optimizer = torch.optim.AdamW(learner.net.parameters(), lr=2e-3)
    history: list[dict[Task, float]] = []
    for _ in range(20):
        optimizer.zero_grad()
        terms = learner.terms(batch)
        sum(terms.values(), torch.zeros(())).backward()
        optimizer.step()
        history.append({noun: term.item() for noun, term in terms.items()})
    for noun in LABELS:
        assert sum(h[noun] for h in history[-5:]) / 5 < 0.75 * history[0][noun]
    with torch.no_grad():
        scores = learner.eval().score(learner.net, batch)
    assert scores["error"] == pytest.approx((scores["depth"] + scores["layout"] + scores["lighting"]) / 3)
