"""Training: from a recipe and data folders to checkpoints.

Every validation writes `last.ckpt` and, if it is the best so far, `best.ckpt`; the end writes `final.ckpt`. A time
limit anneals the learning rate to its end as the limit nears, so a short run is a whole run. A run that goes on from
`last.ckpt` computes what it would have computed uninterrupted; where its recipe was changed meanwhile, the recipe
holds. Several devices share each batch (DDP): they are given the samples that one device would have been given.
"""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import lightning
import numpy as np
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import loggers
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerFn
from torch.utils.data import DataLoader, Dataset

from edge.errors import DataError
from edge.scene import ImageArray
from training.config.optim import OptimConfig
from training.config.recipe import Recipe
from training.data.mix import splits
from training.data.mix.order import Batches, Numbered, Shares
from training.data.motion.footage import Finder, Regions
from training.data.samples.pseudo_samples import with_pseudo
from training.data.sources import datasets
from training.nets.ade20k import CLASSES, classes_in, read_segmenter
from training.provenance import source_state
from training.tasks.base import NounTask, read_checkpoint
from training.tasks.build import build_task

_LOG = logging.getLogger(__name__)

LOGGERS: dict[str, Callable[[Path, str], loggers.Logger]] = {
    "csv": lambda out, name: loggers.CSVLogger(out, name="log", flush_logs_every_n_steps=50),
    "tensorboard": lambda out, name: loggers.TensorBoardLogger(out, name="log"),
    "wandb": lambda out, name: loggers.WandbLogger(project=name, save_dir=out),
    "mlflow": lambda out, name: loggers.MLFlowLogger(
        experiment_name=name, tracking_uri=os.environ.get("MLFLOW_TRACKING_URI", f"file:{out / 'log'}")
    ),
    "comet": lambda out, name: loggers.CometLogger(prefix=name),
}
"""Where numbers (and, for tensorboard and wandb, pictures) go, by the flag's name; services read their own
environment variables for address and account."""
_PACKAGE = {"comet": "comet-ml"}


class Clock(lightning.Callback):
    """Tells the task how far the run is, by steps or by time, and ends it when the time is up."""

    def __init__(self, steps: int, limit_s: float | None) -> None:
        """Take the run's length; `limit_s` None = steps alone."""
        self._steps, self._limit_s = steps, limit_s
        self._start_s, self._start_progress, self._before_s = 0.0, 0.0, 0.0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Note the time and how far the run had come."""
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
            # One clock for all devices: their learning rates must be the same.
            progress, out_of_time = trainer.strategy.broadcast((max(progress, by_time), elapsed_s >= self._limit_s))
            trainer.should_stop = trainer.should_stop or out_of_time
        pl_module.progress = progress


class Report(lightning.Callback):
    """One log line for each validation, and pictures of its first batch where the logger shows some."""

    def on_validation_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the first batch of a validation where the logger shows pictures."""
        shows = isinstance(trainer.logger, loggers.TensorBoardLogger | loggers.WandbLogger)
        if batch_idx or not shows or not trainer.is_global_zero or trainer.state.fn != TrainerFn.FITTING:
            return
        assert isinstance(pl_module, NounTask) and trainer.logger is not None
        for name, picture in pl_module.preview(pl_module.inference_net, batch).items():
            _show(trainer.logger, name, picture, trainer.global_step)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Log the step and every number of the validation."""
        if trainer.is_global_zero:
            numbers = {k: float(f"{float(v):.4g}") for k, v in trainer.callback_metrics.items()}
            _LOG.info("step %d: %s", trainer.global_step, numbers)


def _show(logger: loggers.Logger, name: str, picture: ImageArray, step: int) -> None:
    if isinstance(logger, loggers.TensorBoardLogger):
        logger.experiment.add_image(name, picture, step, dataformats="HWC")
    elif isinstance(logger, loggers.WandbLogger):
        logger.log_image(name, [picture])


@dataclass(frozen=True)
class Hardware:
    """What a run computes on; names are Lightning's. Under torchrun, it says how many devices and nodes."""

    accelerator: str = "auto"
    devices: int = 1
    """Of each node; all of them share each batch."""
    nodes: int = 1
    strategy: str = "auto"
    """How devices share; auto is ddp for several."""

    @property
    def count(self) -> int:
        """Devices of all nodes together."""
        return self.devices * self.nodes

    @property
    def on_cpu(self) -> bool:
        """Whether the accelerator is, or turns out to be, the CPU."""
        return self.accelerator == "cpu" or (self.accelerator == "auto" and not torch.cuda.is_available())

    def as_started(self) -> Hardware:
        """The same with the devices and nodes that torchrun started, where it started this process."""
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            return self
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        return replace(self, devices=devices, nodes=int(os.environ["WORLD_SIZE"]) // devices)


@dataclass(frozen=True)
class Loading:
    """The processor's share of the work, on each device."""

    workers: int = 1
    """Processes that read and vary samples; 0 = none beside the one that trains."""
    threads: int = 0
    """Torch's threads for the network; 0 = its own choice."""


def _loader(data: Dataset[dict[str, torch.Tensor]], batches: Batches | Shares, workers: int) -> Any:
    return DataLoader(
        data,
        batch_sampler=batches,
        num_workers=workers,
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
    )


def _logger(kind: str, out: Path, name: str) -> loggers.Logger:
    if kind not in LOGGERS:
        raise DataError(f"--logger {kind}: unknown; give one of {', '.join(LOGGERS)}")
    try:
        return LOGGERS[kind](out, name)
    except ImportError as e:
        raise DataError(
            f"--logger {kind}: its package is missing ({e}); pip install {_PACKAGE.get(kind, kind)}, or use csv"
        ) from e


def _start(recipe: Recipe, resume: Path | None) -> tuple[NounTask, int]:
    """A new task, or one that can go on from a checkpoint; and how many steps were made."""
    if resume is None:
        if recipe.optim.freeze_blocks and recipe.data.weights is None:
            raise DataError(
                f"optim.freeze_blocks: {recipe.optim.freeze_blocks} would keep random weights for ever; give --weights "
                "(a file, or imagenet), go on from a checkpoint with --resume, or set it to 0"
            )
        return build_task(recipe, weights=recipe.data.weights), 0
    old, content = read_checkpoint(resume)
    if old.net != recipe.net or old.input != recipe.input:
        raise DataError(f"{resume}: was made by another network than {recipe.name}'s; give its own recipe")
    if old.optim.optimizer != recipe.optim.optimizer:
        raise DataError(
            f"{resume}: was trained by {old.optim.optimizer}, whose state {recipe.optim.optimizer} cannot use; set "
            f"optim.optimizer: {old.optim.optimizer}"
        )
    if not content.get("optimizer_states"):
        raise DataError(
            f"{resume}: holds weights alone, as imported ones; give it as --weights, not --resume, to start from it"
        )
    if bool(old.optim.ema_decay) != bool(recipe.optim.ema_decay):
        raise DataError(
            f"{resume}: was trained with optim.ema_decay: {old.optim.ema_decay}, and averages cannot be begun or "
            "dropped on the way; set that, or give it as --weights to start anew from it"
        )
    changes = _changes(old.model_dump(mode="json"), recipe.model_dump(mode="json"))
    if changes:
        _LOG.info("%s was made with other settings; from here on the recipe's hold: %s", resume, "; ".join(changes))
    steps = int(content["global_step"])
    if steps >= recipe.optim.steps:
        raise DataError(f"{resume}: already trained its {recipe.optim.steps} steps; raise --steps to go on")
    return build_task(recipe), steps


def _changes(old: dict[str, Any], new: dict[str, Any], start: str = "") -> list[str]:
    """What differs, each as `dotted.key: new (was old)`."""
    out = []
    for key in dict.fromkeys((*new, *old)):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            out += _changes(before, after, f"{start}{key}.")
        elif before != after:
            out.append(f"{start}{key}: {after} (was {before})")
    return out


def _learns_in_bfloat16(layer: torch.nn.Module) -> bool:
    """Whether a layer that takes (1, 1, 1) runs here on the CPU, forwards and backwards."""
    try:
        with torch.autocast("cpu", torch.bfloat16):
            layer(torch.ones(1, 1, 1))[0].sum().backward()
    except (RuntimeError, NotImplementedError):
        return False
    return True


def _precision(asked: str, hardware: Hardware) -> Any:
    """As asked for; in float32 on a processor on which torch has no recurrent layers in bfloat16."""
    if asked == "bf16-mixed" and hardware.on_cpu and not _learns_in_bfloat16(torch.nn.LSTM(1, 1)):
        _LOG.info("this processor learns nothing in bfloat16: training in float32, not in optim.precision bf16-mixed")
        return "32-true"
    return asked


def _trainer(optim: OptimConfig, out: Path, hardware: Hardware, **others: Any) -> lightning.Trainer:
    if hardware.devices < 1 or hardware.nodes < 1:
        raise DataError(f"--devices {hardware.devices}, --nodes {hardware.nodes}: give how many, at least 1 of each")
    if optim.batch_size % hardware.count:
        raise DataError(
            f"optim.batch_size: {optim.batch_size} samples cannot be shared evenly by {hardware.count} devices; give "
            "a --batch-size that they divide"
        )
    interval = min(optim.validate_every, optim.steps)
    try:
        return lightning.Trainer(
            max_steps=optim.steps,
            max_epochs=-1,
            val_check_interval=interval,
            check_val_every_n_epoch=None,
            gradient_clip_val=optim.clip_norm,
            precision=_precision(optim.precision, hardware),
            accelerator=hardware.accelerator,
            devices=hardware.devices,
            num_nodes=hardware.nodes,
            strategy=hardware.strategy,
            sync_batchnorm=hardware.count > 1 and not hardware.on_cpu,  # torch has none for CPUs
            use_distributed_sampler=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=min(50, interval),
            default_root_dir=out,
            **others,
        )
    except (MisconfigurationException, ValueError) as e:
        raise DataError(f"{e}; correct --accelerator, --devices, --strategy or --precision") from e


def _callbacks(optim: OptimConfig, out: Path, max_minutes: float | None) -> list[lightning.Callback]:
    """Those of every run."""
    early = [EarlyStopping("val/error", patience=optim.patience)] if optim.patience else []
    best = ModelCheckpoint(dirpath=out, filename="best", monitor="val/error", mode="min", enable_version_counter=False)
    # Lightning's save_last is the last one that was the best; a run goes on from where it was.
    last = ModelCheckpoint(dirpath=out, filename="last", enable_version_counter=False, save_on_train_epoch_end=False)
    return [Clock(optim.steps, max_minutes * 60 if max_minutes else None), Report(), *early, best, last]


def _loaders(
    train: Any, held_out: Any, optim: OptimConfig, *, first: int, devices: int, workers: int
) -> tuple[Any, Any]:
    """Endless batches to learn from, beginning with that of step `first`, and each device's share of the held out."""
    if len(held_out) < devices:
        raise DataError(f"{len(held_out)} validation samples for {devices} devices; give more data or fewer devices")
    cv2.setNumThreads(1)  # here and not in the loader's processes: forked ones hang on threads they have not got
    return (
        _loader(Numbered(train, optim.seed), Batches(optim.batch_size, first), workers),
        _loader(held_out, Shares(len(held_out), optim.batch_size // devices), 0),
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's warnings of what is meant to be so."""
    with warnings.catch_warnings():
        for message in (
            "does not have many workers",
            "Checkpoint directory",
            "dirpath has changed",
            "in eval mode at the start of training",  # what is frozen
            "ended before the epoch ended",  # `Batches` knows where to go on
        ):
            warnings.filterwarnings("ignore", message=f".*{message}.*")
        warnings.filterwarnings("ignore", category=FutureWarning)
        yield


def fit(
    recipe: Recipe,
    out: Path,
    *,
    resume: Path | None = None,
    max_minutes: float | None = None,
    hardware: Hardware = Hardware(),
    loading: Loading = Loading(),
    logger: str = "csv",
    show_progress: bool = True,
    callbacks: Sequence[lightning.Callback] = (),
) -> Path:
    """Train; returns `final.ckpt`.

    Args:
        recipe: what to train; its data folders must be set.
        out: folder for checkpoints and logs.
        resume: checkpoint to go on from.
        max_minutes: end, with the learning rate annealed, after this long.
        hardware: what computes.
        loading: what feeds it.
        logger: one of `LOGGERS`.
        show_progress: draw a progress bar.
        callbacks: Lightning's, beside those of every run.

    Raises:
        DataError: data, recipe, checkpoint, devices or logger do not fit.
        DivergedError: a loss, gradient, weight or validation error is not finite; the checkpoints before stay.
    """
    if loading.threads:
        torch.set_num_threads(loading.threads)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    optim, hardware = recipe.optim, hardware.as_started()
    lightning.seed_everything(optim.seed, workers=True, verbose=False)
    out.mkdir(parents=True, exist_ok=True)
    task, first = _start(recipe, resume)
    trainer = _trainer(
        optim,
        out,
        hardware,
        logger=_logger(logger, out, recipe.name),
        callbacks=[*_callbacks(optim, out, max_minutes), *callbacks],
        enable_progress_bar=show_progress,
    )
    data = datasets(recipe, _finder(recipe))
    train, pseudo = with_pseudo(data.training, recipe)
    task.run = source_state() | data.counts | pseudo | _start_of(recipe, resume)
    batches, held_out = _loaders(
        train, data.validation, optim, first=first, devices=hardware.count, workers=loading.workers
    )
    if trainer.is_global_zero:
        splits.write(out / "splits.json", data.scenes, recipe.data.split_seed)
        _LOG.info("%s: %d validation samples, %d parameters", recipe.name, len(held_out.dataset), _parameters(task))
    with _quiet():
        trainer.fit(task, batches, held_out, ckpt_path=resume)
        trainer.validate(task, held_out, verbose=False)
    final = out / "final.ckpt"
    trainer.save_checkpoint(final)
    return final


def _finder(recipe: Recipe) -> Finder | None:
    """Who finds people and the floor in footage, where the recipe names one."""
    path = recipe.data.segmenter
    if path is None:
        return None
    segmenter = read_segmenter(path)

    def find(image: ImageArray) -> Regions:
        found = classes_in(segmenter, image)
        return Regions(found == CLASSES.index("person"), np.isin(found, [CLASSES.index("floor"), CLASSES.index("rug")]))

    return find


def _start_of(recipe: Recipe, resume: Path | None) -> dict[str, str]:
    """What the weights of a run start from, for its record."""
    if resume is not None:
        return {"resumed": resume.name}
    return {"weights": recipe.data.weights.name} if recipe.data.weights is not None else {}


def _parameters(task: NounTask) -> int:
    return sum(p.numel() for p in task.net.parameters())
