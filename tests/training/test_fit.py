"""A run: what it writes, how it goes on after a stop, when it ends."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import lightning
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from edge.errors import DataError
from tests.training.conftest import CPU
from training.config.file import with_overrides
from training.config.optim import OptimConfig
from training.config.recipe import Recipe
from training.data.sources import datasets
from training.fit import Hardware, Loading, fit
from training.tasks.base import Plateau, learning_rate, read_checkpoint
from training.tasks.build import build_task

Make = Callable[..., Recipe]


class OutOfPower(Exception):
    pass


class PowerCut(lightning.Callback):
    """Ends a run in the middle."""

    def __init__(self, after_steps: int) -> None:
        self._after_steps = after_steps

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        if trainer.global_step == self._after_steps:
            raise OutOfPower


def _run(recipe: Recipe, out: Path, **more: Any) -> dict[str, Any]:
    loading = Loading(more.pop("workers", 0), threads=1)
    final = fit(recipe, out, hardware=more.pop("hardware", CPU), loading=loading, show_progress=False, **more)
    return read_checkpoint(final)[1]


def _rows(out: Path, column: str) -> list[float]:
    """Values of a column of the last run's log."""
    path = max((out / "log").glob("version_*/metrics.csv"), key=lambda p: int(p.parent.name.split("_")[1]))
    with path.open() as file:
        return [float(row[column]) for row in csv.DictReader(file) if row.get(column)]


def _assert_same(a: Any, b: Any, where: str = "") -> None:
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            _assert_same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            _assert_same(x, y, f"{where}[{i}]")
    else:
        assert a == b, where


@pytest.mark.parametrize(
    ("task", "optim", "workers"),
    [
        ("layout", {"schedule": "cosine"}, 0),
        pytest.param(
            "depth", {"schedule": "plateau", "plateau_patience": 0, "optimizer": "sgd"}, 1, marks=pytest.mark.slow
        ),
    ],
)
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(
    task: str, optim: dict[str, Any], workers: int, tmp_path: Path, box_rooms: Path, small_recipe: Make
) -> None:
    """Weights, their average, optimiser and schedule end bit for bit as without the interruption."""
    recipe = small_recipe(task, data={"rooms": str(box_rooms), "max_rooms": 8}, optim={"steps": 6, **optim})
    whole = _run(recipe, tmp_path / "whole", workers=workers)
    with pytest.raises(OutOfPower):
        _run(recipe, tmp_path / "cut", callbacks=[PowerCut(after_steps=3)])
    last = tmp_path / "cut" / "last.ckpt"
    assert read_checkpoint(last)[1]["global_step"] == 2
    resumed = _run(recipe, tmp_path / "cut", resume=last)
    for part in ("global_step", "state_dict", "optimizer_states"):
        _assert_same(resumed[part], whole[part], part)
    assert resumed.get("plateau") == whole.get("plateau")


def test_every_sample_of_a_run_is_another(box_rooms: Path, small_recipe: Make, tmp_path: Path) -> None:
    """No two steps see the same pictures, also past the length of the data, and another seed shows others."""
    seen: list[torch.Tensor] = []

    class Look(lightning.Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            seen.extend(batch["image"].clone())

    recipe = small_recipe("depth", data={"rooms": str(box_rooms), "max_rooms": 2}, optim={"steps": 4})
    for seed in (0, 1):
        changed = with_overrides(recipe, optim={"seed": seed})
        _run(changed, tmp_path / str(seed), callbacks=[Look()])
    assert len(seen) == 16
    assert all(not torch.equal(a, b) for i, a in enumerate(seen) for b in seen[:i])


@pytest.mark.parametrize(
    ("schedule", "step", "progress", "expected"),
    [
        ("constant", 900, 0.9, 1.0),
        ("poly", 500, 0.5, 0.5**0.9),
        ("poly", 1000, 1.0, 0.0),
        ("step", 399, 0.0, 1.0),
        ("step", 400, 0.0, 0.1),
        ("step", 800, 0.0, 0.01),
        ("cosine", 500, 0.5, 0.5),
        ("plateau", 999, 1.0, 1.0),
    ],
)
def test_schedules_follow_their_published_formulas(schedule: Any, step: int, progress: float, expected: float) -> None:
    """Poly is (1 - t/T)^0.9 (DeepLab), step a power of its factor, cosine half way at half time."""
    config = OptimConfig(
        steps=1000, lr=1.0, warmup_steps=0, final_lr_factor=0.0, schedule=schedule, decay_every=400, decay_factor=0.1
    )
    assert learning_rate(config, step, progress) == pytest.approx(expected)


def test_plateau_cuts_when_the_error_stays() -> None:
    """The rate falls by the factor once patience is used up, not before, and never below its end."""
    config = OptimConfig(steps=1, schedule="plateau", plateau_patience=1, decay_factor=0.5, final_lr_factor=0.25)
    plateau, factors = Plateau(config), []
    for error in (1.0, 0.5, 0.6, 0.6, 0.6, 0.6, 0.4, 0.6, 0.6, 0.6, 0.6):
        plateau.step(error)
        factors.append(plateau.factor)
    assert factors == [1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25]


@pytest.mark.parametrize(("name", "kind"), [("adamw", "AdamW"), ("adam", "Adam"), ("sgd", "SGD")])
def test_the_recipe_chooses_the_optimiser(name: str, kind: str, small_recipe: Make) -> None:
    """Each has the recipe's rate and decay; vectors (biases, normalisation) are not decayed; sgd has its momentum."""
    optim = {"optimizer": name, "lr": 0.01, "weight_decay": 5e-4, "momentum": 0.9}
    optimizer = build_task(small_recipe("depth", optim=optim)).configure_optimizers()
    assert type(optimizer).__name__ == kind
    for group in optimizer.param_groups:
        assert group["lr"] == 0.01
        assert all(p.ndim > 1 for p in group["params"]) == (group["weight_decay"] == 5e-4)
        assert kind != "SGD" or group["momentum"] == 0.9


def test_what_is_frozen_keeps_its_statistics(tmp_path: Path, box_rooms: Path, small_recipe: Make) -> None:
    """Training moves no running mean with freeze_norm, and those of frozen blocks in no case."""
    data = {"rooms": str(box_rooms), "max_rooms": 2}
    begin = {"steps": 1, "ema_decay": 0.0, "freeze_norm": True}
    state = _run(small_recipe("depth", data=data, optim=begin), tmp_path)["state_dict"]
    assert not any(v.any() for k, v in state.items() if k.endswith("running_mean"))
    go_on = {"steps": 2, "ema_decay": 0.0, "freeze_blocks": 4}
    recipe = small_recipe("depth", data=data, optim=go_on)
    state = _run(recipe, tmp_path, resume=tmp_path / "final.ckpt")["state_dict"]
    frozen = [f"net.encoder.{n}" for n, _ in _named(build_task(recipe))]
    moved = {k for k, v in state.items() if k.endswith("running_mean") and v.any()}
    assert frozen and moved and not any(k.startswith(tuple(frozen)) for k in moved)


def _named(learner: Any) -> list[tuple[str, torch.nn.Module]]:
    """Blocks of the encoder that are frozen, by their names in it."""
    blocks = {id(b) for b in learner.net.encoder.first(4)}
    return [(f"{n}.", m) for n, m in learner.net.encoder.named_modules() if id(m) in blocks]


def test_a_run_that_stops_learning_is_ended(tmp_path: Path, box_rooms: Path, small_recipe: Make) -> None:
    """With a rate too small to change anything, patience ends the run."""
    optim = {"steps": 50, "validate_every": 1, "patience": 2, "lr": 1e-12, "ema_decay": 0.0, "freeze_norm": True}
    recipe = small_recipe("depth", data={"rooms": str(box_rooms), "max_rooms": 2}, optim=optim)
    assert _run(recipe, tmp_path)["global_step"] == 3


@pytest.fixture
def hdri(tmp_path: Path) -> Path:
    """A folder of two small environments."""
    folder = tmp_path / "hdri"
    folder.mkdir()
    for i, name in enumerate(("indoor__a", "indoor__b")):
        pixels = np.random.default_rng(i).uniform(0.1, 1, (32, 64, 3)).astype(np.float32)
        cv2.imwrite(str(folder / f"{name}.hdr"), pixels)
    return folder


@pytest.mark.parametrize("task", ["depth", "layout", "lighting"])
def test_tensorboard_is_given_numbers_and_pictures(
    task: str, tmp_path: Path, box_rooms: Path, hdri: Path, small_recipe: Make
) -> None:
    """Each validation logs its numbers and pictures of predictions beside the truth."""
    data = {"rooms": str(box_rooms), "hdri": str(hdri), "hold_out_hdri": ["b"], "max_rooms": 8}
    recipe = small_recipe(task, data=data, optim={"steps": 2, "validate_every": 1})
    _run(recipe, tmp_path, logger="tensorboard")
    events = EventAccumulator(str(tmp_path / "log" / "version_0"))
    events.Reload()
    tags = events.Tags()
    assert "val/error" in tags["scalars"]
    assert tags["images"]
    for tag in tags["images"]:
        assert [e.step for e in events.Images(tag)] == [1, 2]
        assert all(e.width >= 128 and e.height >= 64 for e in events.Images(tag))


def test_rates_are_logged(tmp_path: Path, box_rooms: Path, small_recipe: Make) -> None:
    """The log has the learning rate of its steps, warm-up first."""
    optim = {"steps": 4, "lr": 0.004, "warmup_steps": 4, "schedule": "constant"}
    recipe = small_recipe("depth", data={"rooms": str(box_rooms), "max_rooms": 2}, optim=optim)
    _run(recipe, tmp_path)
    assert _rows(tmp_path, "lr") == pytest.approx([0.002, 0.004])


def test_a_logger_that_is_not_installed_or_unknown_is_said(
    tmp_path: Path, box_rooms: Path, small_recipe: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the flag and the way out."""
    recipe = small_recipe("depth", data={"rooms": str(box_rooms)})
    with pytest.raises(DataError, match="--logger paper: unknown; give one of csv"):
        _run(recipe, tmp_path, logger="paper")

    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'wandb'")

    monkeypatch.setattr("training.fit.loggers.WandbLogger", missing)
    with pytest.raises(DataError, match="pip install wandb"):
        _run(recipe, tmp_path, logger="wandb")


@pytest.mark.parametrize(
    ("change", "hardware", "message"),
    [
        ({"batch_size": 3}, Hardware("cpu", devices=2), "batch_size.*3 samples"),
        ({}, Hardware("cpu", devices=0), "--devices 0.*at least 1"),
        ({}, Hardware("cpu", strategy="telepathy"), "telepathy.*correct"),
    ],
)
def test_devices_that_do_not_fit_are_refused(
    change: dict[str, Any], hardware: Hardware, message: str, tmp_path: Path, box_rooms: Path, small_recipe: Make
) -> None:
    """Before anything is trained, one message with the remedy."""
    recipe = small_recipe("depth", data={"rooms": str(box_rooms), "max_rooms": 2}, optim=change)
    with pytest.raises(DataError, match=message):
        _run(recipe, tmp_path, hardware=hardware)


def test_what_a_checkpoint_does_not_hold_cannot_go_on(tmp_path: Path, box_rooms: Path, small_recipe: Make) -> None:
    """Another optimiser, an average begun or dropped on the way, and bare weights are refused with the remedy."""
    recipe = small_recipe("depth", data={"rooms": str(box_rooms), "max_rooms": 2}, optim={"steps": 1})
    _run(recipe, tmp_path)
    for change, message in (
        ({"optimizer": "sgd"}, "adamw.*optim.optimizer: adamw"),
        ({"ema_decay": 0.0}, r"ema_decay: 0\.9.*--weights"),
    ):
        other = with_overrides(recipe, optim={"steps": 2, **change})
        with pytest.raises(DataError, match=message):
            fit(other, tmp_path, resume=tmp_path / "final.ckpt", hardware=CPU, show_progress=False)
    bare = read_checkpoint(tmp_path / "final.ckpt")[1]
    del bare["optimizer_states"]
    torch.save(bare, tmp_path / "bare.ckpt")
    with pytest.raises(DataError, match="weights alone.*--weights"):
        fit(recipe, tmp_path, resume=tmp_path / "bare.ckpt", hardware=CPU, show_progress=False)


def test_validation_counts_every_sample_once(tmp_path: Path, box_rooms: Path, small_recipe: Make) -> None:
    """What a run logs is the mean over the validation set, whatever the batches."""
    recipe = small_recipe("layout", data={"rooms": str(box_rooms)}, optim={"steps": 1, "batch_size": 3})
    _run(recipe, tmp_path)
    from training.tasks.build import load_task

    learner = load_task(tmp_path / "final.ckpt")
    held: Any = datasets(recipe).validation
    with torch.no_grad():
        each = [
            learner.score(learner.inference_net, torch.utils.data.default_collate([held[i]])) for i in range(len(held))
        ]
    assert _rows(tmp_path, "val/error")[-1] == pytest.approx(sum(e["error"] for e in each) / len(each), rel=1e-4)


def _worse_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first validation stays the best."""
    errors = iter(range(1, 100))
    monkeypatch.setattr(
        "training.tasks.depth.DepthTask.score", lambda *_: {"error": float(next(errors)), "delta1": 0.0}
    )


def test_last_is_the_state_of_the_last_validation(
    tmp_path: Path, box_rooms: Path, small_recipe: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it is no longer the best, which is kept in a file of its own."""
    _worse_each_time(monkeypatch)
    recipe = small_recipe("depth", data={"rooms": str(box_rooms), "max_rooms": 2}, optim={"validate_every": 1})
    final = _run(recipe, tmp_path)
    steps = {name: read_checkpoint(tmp_path / f"{name}.ckpt")[1]["global_step"] for name in ("best", "last", "final")}
    assert steps == {"best": 1, "last": 4, "final": 4}
    _assert_same(read_checkpoint(tmp_path / "last.ckpt")[1]["state_dict"], final["state_dict"])


class Poison(lightning.Callback):
    """Puts a value where a network, a loss or a sample has none such, before a step."""

    def __init__(self, at_step: int, what: str, value: float) -> None:
        self._at_step, self._what, self._value = at_step, what, value

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step != self._at_step:
            return
        if self._what in batch:
            batch[self._what][1][(-1,) * (batch[self._what].ndim - 1)] = self._value
        elif self._what == "gradient":
            first = next(p for p in pl_module.net.parameters() if p.requires_grad)
            first.register_hook(lambda gradient: gradient * self._value)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        if self._what == "weight" and trainer.global_step == self._at_step:
            with torch.no_grad():
                next(p for p in pl_module.net.parameters() if p.ndim == 1)[0] = self._value


@pytest.mark.parametrize(
    ("what", "value", "message"),
    [
        ("coefficients", 3e38, r"step 3, samples 6, 7: .*sample 7 has 3e\+38 in its coefficients.*remove"),
        ("coefficients", float("inf"), "step 3, .*the loss is nan; sample 7 has inf in its coefficients"),
        ("image", float("nan"), "step 3, .*the loss is nan; sample 7 has nan in its image"),
        ("gradient", float("nan"), r"step 3, .*the gradient is not finite.*lower optim\.lr"),
        ("weight", float("inf"), r"step 3: .*lower optim\.lr"),
    ],
)
def test_a_run_that_is_no_longer_finite_ends_and_keeps_its_good_checkpoints(
    what: str, value: float, message: str, tmp_path: Path, box_rooms: Path, hdri: Path, small_recipe: Make
) -> None:
    """It names step, samples and remedy; every checkpoint is finite, and the run can go on from the last."""
    data = {"rooms": str(box_rooms), "hdri": str(hdri), "hold_out_hdri": ["b"], "max_rooms": 8}
    recipe = small_recipe("lighting", data=data, optim={"steps": 6, "validate_every": 1})
    with pytest.raises(DataError, match=message) as refused:
        _run(recipe, tmp_path, callbacks=[Poison(3, what, value)])
    assert "--resume" in str(refused.value)
    assert not (tmp_path / "final.ckpt").exists()
    for path in tmp_path.glob("*.ckpt"):
        state = read_checkpoint(path)[1]["state_dict"]
        assert all(bool(torch.isfinite(weights).all()) for weights in state.values())
    last = tmp_path / "last.ckpt"
    assert read_checkpoint(last)[1]["global_step"] == (2 if what == "weight" else 3)
    assert _run(recipe, tmp_path, resume=last)["global_step"] == 6


def test_a_validation_error_that_is_no_number_ends_the_run(
    tmp_path: Path, box_rooms: Path, small_recipe: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can rank no checkpoint, and so none is written for it."""
    monkeypatch.setattr("training.tasks.depth.DepthTask.score", lambda *_: {"error": float("nan")})
    recipe = small_recipe("depth", data={"rooms": str(box_rooms), "max_rooms": 2})
    with pytest.raises(DataError, match=r"step 2: val/error is nan.*splits\.json"):
        _run(recipe, tmp_path)
    assert not list(tmp_path.glob("*.ckpt"))


@pytest.mark.parametrize(
    ("optimizer", "before", "after"),
    [
        (
            "adamw",
            {"weight_decay": 0.5, "encoder_lr_factor": 1.0, "lr": 1e-3, "patience": 9},
            {"weight_decay": 0.0, "encoder_lr_factor": 0.25, "lr": 1e-4, "patience": 2},
        ),
        ("sgd", {"momentum": 0.9, "weight_decay": 0.5}, {"momentum": 0.5, "weight_decay": 0.25}),
    ],
)
def test_a_run_that_goes_on_has_the_settings_of_its_recipe(
    optimizer: str,
    before: dict[str, Any],
    after: dict[str, Any],
    tmp_path: Path,
    box_rooms: Path,
    small_recipe: Make,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing of what is set comes from the checkpoint, and the log says what is not as it was."""
    base = {"steps": 2, "optimizer": optimizer, "schedule": "constant", "warmup_steps": 0}
    data = {"rooms": str(box_rooms), "max_rooms": 2}
    _run(small_recipe("depth", data=data, optim=base | before), tmp_path)
    used: list[Any] = []

    class Look(lightning.Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            used.extend(pl_module.optimizers().param_groups)
            used.extend(c for c in trainer.callbacks if isinstance(c, lightning.pytorch.callbacks.EarlyStopping))

    recipe = small_recipe("depth", data=data, optim=base | after | {"steps": 3})
    with caplog.at_level("INFO", logger="training.fit"):
        _run(recipe, tmp_path, resume=tmp_path / "final.ckpt", callbacks=[Look()])
    groups = [g for g in used if isinstance(g, dict)]
    fresh = build_task(recipe).configure_optimizers().param_groups
    assert [{k: v for k, v in g.items() if k not in ("params", "lr")} for g in groups] == [
        {k: v for k, v in g.items() if k not in ("params", "lr")} for g in fresh
    ]
    assert [g["lr"] for g in groups] == [recipe.optim.lr * g["lr_factor"] for g in fresh]
    assert all(c.patience == after["patience"] for c in used if not isinstance(c, dict))
    for key, value in after.items():
        assert f"optim.{key}: {value} (was {before[key]})" in caplog.text
