"""Each task can learn, stop by time, and go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import pytest
import torch

from edge.errors import DataError
from tests.training.conftest import ALONE, CPU
from training.config.file import with_overrides
from training.config.optim import OptimConfig
from training.config.recipe import Recipe
from training.data.samples.hdri import LightingValidation
from training.data.samples.rooms import split_rooms
from training.data.sources import datasets
from training.fit import fit
from training.nets.encoders import IMAGENET
from training.tasks.base import learning_rate, read_checkpoint, runs_of
from training.tasks.build import build_task, load_task


def _samples(recipe: Recipe, rooms: Path) -> dict[str, torch.Tensor]:
    if recipe.task == "lighting":
        rng = torch.Generator().manual_seed(0)
        maps = [(torch.rand(64, 128, 3, generator=rng) * 0.4).numpy() for _ in range(4)]
        for i, m in enumerate(maps):
            m[5:12, 20 * i : 20 * i + 12] = 8.0
        data = LightingValidation(maps, recipe.input, yaws=1)
    else:
        data = datasets(with_overrides(recipe, data={"rooms": rooms}))[1]  # type: ignore[assignment]
    return torch.utils.data.default_collate([data[i] for i in range(4)])


@pytest.mark.parametrize(("task", "steps", "share"), [("depth", 25, 0.6), ("layout", 25, 0.7), ("lighting", 25, 0.8)])
def test_four_samples_can_be_learnt(
    task: str, steps: int, share: float, box_rooms: Path, small_recipe: Callable[..., Recipe]
) -> None:
    """On four fixed samples the loss falls to well under what it was."""
    recipe = small_recipe(task)
    learner = build_task(recipe).train()
    batch = _samples(recipe, box_rooms)
    optimizer = torch.optim.AdamW(learner.net.parameters(), lr=2e-3)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = learner.loss_of(batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) / 5 < share * losses[0]


def test_learning_rate_warms_up_and_anneals() -> None:
    """It starts near 0, reaches its height after the warm-up, and ends at the stated share."""
    config = OptimConfig(steps=100, lr=1.0, warmup_steps=10, final_lr_factor=0.1)
    assert learning_rate(config, 0, 0.0) == pytest.approx(0.1)
    assert learning_rate(config, 9, 0.0) == pytest.approx(1.0)
    assert learning_rate(config, 100, 1.0) == pytest.approx(0.1)
    rates = [learning_rate(config, s, s / 100) for s in range(10, 100)]
    assert rates == sorted(rates, reverse=True)


def test_steps_of_the_learning_rate_fall_where_they_are_said_to() -> None:
    """By steps of 10 with a factor of 0.5: steps 0 to 9 at full height, 10 to 19 at half, 20 at a quarter."""
    config = OptimConfig(steps=100, lr=2.0, warmup_steps=0, schedule="step", decay_every=10, decay_factor=0.5)
    rates = [learning_rate(config, step, step / 100) for step in (0, 9, 10, 19, 20)]
    assert rates == pytest.approx([2.0, 2.0, 1.0, 1.0, 0.5])
    warming = config.model_copy(update={"warmup_steps": 4})
    assert [learning_rate(warming, step, 0.0) for step in range(5)] == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0])


def test_curves_of_the_learning_rate() -> None:
    """Half way, a cosine is half way down and a polynomial at 0.5 to its power; both end at the stated share."""
    base = OptimConfig(steps=100, lr=1.0, warmup_steps=0, final_lr_factor=0.2)
    cosine = base.model_copy(update={"schedule": "cosine"})
    poly = base.model_copy(update={"schedule": "poly", "poly_power": 0.9})
    assert learning_rate(cosine, 50, 0.5) == pytest.approx(0.2 + 0.8 * 0.5)
    assert learning_rate(poly, 50, 0.5) == pytest.approx(0.2 + 0.8 * 0.5**0.9)
    for config in (cosine, poly):
        assert [learning_rate(config, 0, p) for p in (-1.0, 0.0, 1.0, 2.0)] == pytest.approx([1.0, 1.0, 0.2, 0.2])


def test_fit_writes_checkpoints_that_load_and_go_on(
    tmp_path: Path, box_rooms: Path, small_recipe: Callable[..., Recipe]
) -> None:
    """A finished run resumes to more steps; its weights are those that were saved; too few steps are refused."""
    recipe = with_overrides(small_recipe("depth"), data={"rooms": box_rooms})
    final = fit(recipe, tmp_path, hardware=CPU, loading=ALONE, show_progress=False)
    assert {p.name for p in tmp_path.glob("*.ckpt")} == {"best.ckpt", "last.ckpt", "final.ckpt"}
    content = read_checkpoint(final)[1]
    assert content["global_step"] == 4
    restored = load_task(final)
    for name, value in restored.state_dict().items():
        torch.testing.assert_close(value, content["state_dict"][name], msg=name)
    with pytest.raises(DataError, match="raise --steps"):
        fit(recipe, tmp_path, resume=final, hardware=CPU, loading=ALONE, show_progress=False)
    runs = runs_of(content)
    assert [(r["steps"], r["rooms"], r["validation_rooms"]) for r in runs] == [(4, *_split_sizes(box_rooms))]
    assert {"commit", "dirty"} <= runs[0].keys()
    longer = with_overrides(recipe, optim={"steps": 6})
    final = fit(longer, tmp_path, resume=final, hardware=CPU, loading=ALONE, show_progress=False)
    content = read_checkpoint(final)[1]
    assert content["global_step"] == 6
    assert [r["steps"] for r in runs_of(content)] == [4, 6]
    other = with_overrides(small_recipe("layout"), data={"rooms": box_rooms})
    with pytest.raises(DataError, match="another network"):
        fit(other, tmp_path, resume=final, hardware=CPU, loading=ALONE, show_progress=False)


def _split_sizes(rooms: Path) -> tuple[int, int]:
    return len(split_rooms(rooms, "train")), len(split_rooms(rooms, "val"))


def test_random_weights_are_not_frozen(tmp_path: Path, box_rooms: Path, small_recipe: Callable[..., Recipe]) -> None:
    """Blocks are kept as they are only where they start from something learnt."""
    recipe = with_overrides(small_recipe("depth", optim={"freeze_blocks": 4}), data={"rooms": box_rooms})
    with pytest.raises(DataError, match="freeze_blocks.*--weights"):
        fit(recipe, tmp_path, hardware=CPU, loading=ALONE, show_progress=False)


@pytest.mark.parametrize(("task", "encoder"), [("depth", "resnet18"), ("lighting", "mobilenet_v2")])
def test_imagenet_weights_that_cannot_be_had_are_said(
    task: str, encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_recipe: Callable[..., Recipe]
) -> None:
    """Without a network, `--weights imagenet` is one message that names the way out."""

    def cut(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", cut)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    change = {"net": {"encoder": encoder, "skips": False}} if task == "depth" else {}
    with pytest.raises(DataError, match=f"{encoder} cannot be had.*--weights a file"):
        build_task(small_recipe(task, **change), weights=IMAGENET)


def test_a_time_limit_ends_the_run(tmp_path: Path, box_rooms: Path, small_recipe: Callable[..., Recipe]) -> None:
    """With no time left, one step is made and everything is written."""
    recipe = with_overrides(small_recipe("layout"), data={"rooms": box_rooms}, optim={"steps": 50})
    final = fit(recipe, tmp_path, max_minutes=1e-6, hardware=CPU, loading=ALONE, show_progress=False)
    assert read_checkpoint(final)[1]["global_step"] == 1
    assert {p.name for p in tmp_path.glob("*.ckpt")} == {"best.ckpt", "last.ckpt", "final.ckpt"}


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    """Any other file: one message with the remedy."""
    path = tmp_path / "x.ckpt"
    path.write_bytes(b"not one")
    with pytest.raises(DataError, match="edge-train fit"):
        load_task(path)
    torch.save({"weights": 1}, path)
    with pytest.raises(DataError, match="edge-train fit"):
        load_task(path)


def test_pictures_without_depth_count_nowhere(small_recipe: Callable[..., Recipe]) -> None:
    """A picture of which nothing is known is no picture with an error of 0: means are over the others."""
    task = build_task(small_recipe("depth"))
    depth = torch.zeros(3, 1, 8, 8)
    depth[1, 0, 2, 3] = 1.0
    assert task.scored({"image": torch.zeros(3, 3, 16, 16), "depth": depth}) == 1
