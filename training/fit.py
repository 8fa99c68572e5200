"""Training: from a recipe and data folders to checkpoints.

Every validation writes `last.ckpt` and, if it is the best so far, `best.ckpt`; the end writes `final.ckpt`. A time
limit anneals the learning rate to its end as the limit nears, so a short run is a whole run.
"""

from __future__ import annotations

import logging
import time
import warnings
from pathlib import Path
from typing import Any

import cv2
import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from torch.utils.data import DataLoader, Dataset

from edge.errors import DataError
from training.config import Recipe
from training.data.sources import datasets
from training.provenance import source_state
from training.tasks.base import NounTask, read_checkpoint
from training.tasks.build import build_task

_LOG = logging.getLogger(__name__)


class Clock(lightning.Callback):
    """Tells the task how far the run is, by steps or by time, and ends it when the time is up."""

    def __init__(self, steps: int, limit_s: float | None) -> None:
        """Take the run's length; `limit_s` None = steps alone."""
        self._steps, self._limit_s = steps, limit_s
        self._start_s, self._start_progress, self._before_s = 0.0, 0.0, 0.0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start counting."""
        assert isinstance(pl_module, NounTask)
        self._start_s = time.monotonic()
        self._before_s = pl_module.trained_s
        self._start_progress = min(1.0, trainer.global_step / self._steps)
        pl_module.progress = self._start_progress

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any) -> None:
        """Advance; stop when the time is up."""
        assert isinstance(pl_module, NounTask)
        elapsed_s = time.monotonic() - self._start_s
        pl_module.trained_s = self._before_s + elapsed_s
        progress = trainer.global_step / self._steps
        if self._limit_s is not None:
            by_time = self._start_progress + (1 - self._start_progress) * elapsed_s / self._limit_s
            progress = max(progress, by_time)
            trainer.should_stop = trainer.should_stop or elapsed_s >= self._limit_s
        pl_module.progress = progress


class Report(lightning.Callback):
    """One log line for each validation."""

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Say the step and every number."""
        numbers = {k: round(float(v), 4) for k, v in trainer.callback_metrics.items()}
        _LOG.info("step %d: %s", trainer.global_step, numbers)


def _one_thread(_: int) -> None:
    cv2.setNumThreads(1)


def _loader(data: Dataset[dict[str, torch.Tensor]], batch_size: int, workers: int, train: bool) -> Any:
    return DataLoader(
        data,
        batch_size=batch_size,
        num_workers=workers,
        persistent_workers=workers > 0,
        worker_init_fn=_one_thread,
        drop_last=train,
        prefetch_factor=4 if workers else None,
    )


def _loggers(kind: str, out: Path) -> list[Logger]:
    if kind == "tensorboard":
        return [TensorBoardLogger(out, name="log")]
    return [CSVLogger(out, name="log", flush_logs_every_n_steps=50)]


def _start(recipe: Recipe, resume: Path | None) -> NounTask:
    """A new task, or checks that one can go on from a checkpoint."""
    if resume is None:
        if recipe.optim.freeze_blocks and recipe.data.weights is None:
            raise DataError(
                f"optim.freeze_blocks: {recipe.optim.freeze_blocks} would keep random weights for ever; give --weights "
                "(a file, or imagenet), go on from a checkpoint with --resume, or set it to 0"
            )
        return build_task(recipe, weights=recipe.data.weights)
    old, content = read_checkpoint(resume)
    if old.net != recipe.net or old.input != recipe.input:
        raise DataError(f"{resume}: was made by another network than {recipe.name}'s; give its own recipe")
    if content["global_step"] >= recipe.optim.steps:
        raise DataError(f"{resume}: already trained its {recipe.optim.steps} steps; raise --steps to go on")
    return build_task(recipe)


def fit(
    recipe: Recipe,
    out: Path,
    *,
    resume: Path | None = None,
    max_minutes: float | None = None,
    workers: int = 1,
    threads: int = 0,
    accelerator: str = "auto",
    logger: str = "csv",
    show_progress: bool = True,
) -> Path:
    """Train; returns `final.ckpt`.

    Args:
        recipe: what to train; its data folders must be set.
        out: folder for checkpoints and logs.
        resume: checkpoint to go on from.
        max_minutes: end, with the learning rate annealed, after this long.
        workers: data loading processes.
        threads: torch's threads; 0 = its own choice.
        accelerator: Lightning's name.
        logger: csv or tensorboard.
        show_progress: draw a progress bar.

    Raises:
        DataError: data, recipe or checkpoint do not fit.
    """
    if threads:
        torch.set_num_threads(threads)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    optim = recipe.optim
    lightning.seed_everything(optim.seed, workers=True, verbose=False)
    out.mkdir(parents=True, exist_ok=True)
    task = _start(recipe, resume)
    train, validation, counts = datasets(recipe)
    task.run = source_state() | counts | _start_of(recipe, resume)
    _LOG.info("%s: %d validation samples, %d parameters", recipe.name, len(validation), _parameters(task))  # type: ignore[arg-type]
    checkpoints = ModelCheckpoint(
        dirpath=out, filename="best", monitor="val/error", mode="min", save_last=True, enable_version_counter=False
    )
    interval = min(optim.validate_every, optim.steps)
    trainer = lightning.Trainer(
        max_steps=optim.steps,
        max_epochs=-1,
        val_check_interval=interval,
        check_val_every_n_epoch=None,
        gradient_clip_val=optim.clip_norm,
        precision=optim.precision,
        accelerator=accelerator,
        devices=1,
        logger=_loggers(logger, out),
        callbacks=[Clock(optim.steps, max_minutes * 60 if max_minutes else None), Report(), checkpoints],
        enable_progress_bar=show_progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=min(50, interval),
        default_root_dir=out,
    )
    held_out = _loader(validation, optim.batch_size, 0, train=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*Checkpoint directory.*")
        warnings.filterwarnings("ignore", message=".*dirpath has changed.*")
        warnings.filterwarnings("ignore", message=".*ended before the epoch ended.*")  # every sample is drawn anew
        warnings.filterwarnings("ignore", category=FutureWarning)
        trainer.fit(task, _loader(train, optim.batch_size, workers, train=True), held_out, ckpt_path=resume)
        trainer.validate(task, held_out, verbose=False)
    final = out / "final.ckpt"
    trainer.save_checkpoint(final)
    return final


def _start_of(recipe: Recipe, resume: Path | None) -> dict[str, str]:
    """What the weights of a run start from, for its record."""
    if resume is not None:
        return {"resumed": resume.name}
    return {"weights": recipe.data.weights.name} if recipe.data.weights is not None else {}


def _parameters(task: NounTask) -> int:
    return sum(p.numel() for p in task.net.parameters())
