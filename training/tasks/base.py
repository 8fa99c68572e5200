"""What every task shares: optimiser, schedule by progress, averaged weights, checkpoints that know their recipe."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel

from edge.errors import DataError
from edge.scene import ImageArray
from training.config.file import recipe_from_checkpoint
from training.config.optim import OptimConfig
from training.config.recipe import Recipe
from training.data.mix.order import Batches, seed_of
from training.nets.encoders import (
    IMAGENET,
    MobileNetEncoder,
    ResNetEncoder,
    load_mobilenet_weights,
    load_torchvision_weights,
)
from training.tasks.divergence import Step, refuse_gradients, refuse_loss, refuse_score, refuse_weights

Batch = dict[str, Tensor]


def learning_rate(config: OptimConfig, step: int, progress: float) -> float:
    """Warm-up by step, then the schedule: cosine and poly over `progress` (0..1), step by step.

    Plateau is constant here: its cuts come from `Plateau`.
    """
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    left = 1 - min(1.0, max(0.0, progress))
    factor = 1.0
    if config.schedule == "step":
        factor = config.decay_factor ** (step // config.decay_every)
    elif config.schedule in ("cosine", "poly"):
        falling = 0.5 * (1 - math.cos(math.pi * left)) if config.schedule == "cosine" else left**config.poly_power
        factor = config.final_lr_factor + (1 - config.final_lr_factor) * falling
    return config.lr * warm * factor


class Plateau:
    """torch's ReduceLROnPlateau as a factor of the learning rate, so that warm-up and it do not undo each other."""

    def __init__(self, config: OptimConfig) -> None:
        """Start with factor 1."""
        self._one = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        self._rule = ReduceLROnPlateau(
            self._one,
            factor=config.decay_factor,
            patience=config.plateau_patience,
            min_lr=config.final_lr_factor,
        )

    @property
    def factor(self) -> float:
        """What to multiply the learning rate by now."""
        return float(self._one.param_groups[0]["lr"])

    def step(self, error: float) -> None:
        """Give the rule the error of a validation, after which it may cut."""
        self._rule.step(error)

    def state(self) -> dict[str, Any]:
        """What `restore` takes, for a checkpoint."""
        return {"factor": self.factor, "rule": self._rule.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's `state`; patience and factor stay those of the recipe."""
        settings = ("factor", "patience", "min_lrs")
        self._rule.load_state_dict({k: v for k, v in state["rule"].items() if k not in settings})
        self._one.param_groups[0]["lr"] = state["factor"]


def _follow(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    """An exponential average that follows quickly at first: decay is at most (1 + n) / (10 + n) after n updates."""

    @torch.no_grad()
    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        n = float(count)
        share = 1.0 - min(decay, (1.0 + n) / (10.0 + n))
        for a, c in zip(averaged, current, strict=True):
            if a.is_floating_point():
                a.lerp_(c, share)
            else:
                a.copy_(c)

    return update


class NounTask(lightning.LightningModule):
    """A network that learns one noun. Subclasses give `loss_of` and `score`."""

    def __init__(self, recipe: Recipe, net: nn.Module) -> None:
        """Take the recipe and a network with random weights."""
        super().__init__()
        self.recipe = recipe
        self.net = net
        self.progress = 0.0
        self.trained_s = 0.0
        self.history: list[dict[str, Any]] = []
        self.run: dict[str, Any] = {}
        self.averaged = self._average()
        self._plateau = Plateau(recipe.optim) if recipe.optim.schedule == "plateau" else None
        self._step: Step | None = None
        self._scores: list[tuple[dict[str, float], int]] = []

    def _average(self) -> AveragedModel | None:
        decay = self.recipe.optim.ema_decay
        if not decay:
            return None
        return AveragedModel(self.net, multi_avg_fn=_follow(decay), use_buffers=True).requires_grad_(False)

    # --- what a noun defines ---------------------------------------------------------------------------------------

    def loss_of(self, batch: Batch) -> Tensor:
        """The training loss of a batch, a scalar with a gradient."""
        raise NotImplementedError

    def score(self, net: nn.Module, batch: Batch) -> dict[str, float]:
        """Validation numbers of a batch; `error` is the one that ranks checkpoints, lower is better."""
        raise NotImplementedError

    def preview(self, net: nn.Module, batch: Batch) -> dict[str, ImageArray]:
        """Pictures of a validation batch beside what the network makes of them, by name; none unless a noun draws."""
        return {}

    def start_from(self, weights: Path) -> int:
        """Fill the encoder from a weights file, or from torchvision's ImageNet weights; returns how many matched.

        Raises:
            DataError: this network has no encoder that such a file fits, or a download failed.
        """
        encoder = getattr(self.net, "encoder", None)
        if weights == IMAGENET and isinstance(encoder, MobileNetEncoder | ResNetEncoder):
            return load_torchvision_weights(encoder, getattr(self.recipe.net, "encoder", "mobilenet_v2"))
        if not isinstance(encoder, MobileNetEncoder):
            raise DataError(f"{weights}: weights files are for mobilenet_v2 encoders; drop --weights for this recipe")
        return load_mobilenet_weights(encoder, weights)

    def finish_network(self) -> None:
        """Changes to the network that must follow pretrained weights; then the average starts from it."""
        finish = getattr(self.net, "finish", None)
        if finish is not None:
            finish()
        if self.averaged is not None:
            self.averaged = self._average()
        self.net.to(memory_format=torch.channels_last)
        for block in self._frozen():
            block.requires_grad_(False)
        self.train()  # Lightning keeps the modes that it finds

    def _frozen(self) -> list[nn.Module]:
        encoder = getattr(self.net, "encoder", None)
        return encoder.first(self.recipe.optim.freeze_blocks) if encoder is not None else []

    def train(self, mode: bool = True) -> NounTask:
        """Training mode, but for the frozen blocks and frozen normalisation, which keep their statistics."""
        super().train(mode)
        for block in self._frozen():
            block.eval()
        if self.recipe.optim.freeze_norm:
            for module in self.net.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    # --- shared ----------------------------------------------------------------------------------------------------

    @property
    def inference_net(self) -> nn.Module:
        """The network to serve: the averaged weights where they are kept."""
        return self.net if self.averaged is None else self.averaged.module

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The recipe's optimiser; biases and normalisation are not decayed, the encoder has its own rate."""
        config = self.recipe.optim
        members: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, parameter in self.net.named_parameters():
            key = (name.startswith("encoder."), parameter.ndim > 1)
            members.setdefault(key, []).append(parameter)
        groups: list[dict[str, Any]] = [
            {
                "params": parameters,
                "lr_factor": config.encoder_lr_factor if encoder else 1.0,
                "weight_decay": config.weight_decay if decayed else 0.0,
            }
            for (encoder, decayed), parameters in members.items()
        ]
        if config.optimizer == "sgd":
            return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum)
        kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
        return kind(groups, lr=config.lr)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Set the learning rates and the dropout of this step: both depend on its number, not on how it was reached."""
        config = self.recipe.optim
        torch.manual_seed(seed_of(config.seed, self.global_step, self.global_rank))
        rate = learning_rate(config, self.global_step, self.progress)
        rate *= self._plateau.factor if self._plateau is not None else 1.0
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["lr_factor"]
        self.log("lr", rate)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step; all devices stop at it together.

        Raises:
            DivergedError: the loss is not finite on one of them.
        """
        loss = self.loss_of(batch)
        wrong = self.trainer.strategy.reduce((~torch.isfinite(loss.detach())).float(), reduce_op="sum")
        samples = next(iter(Batches(self.recipe.optim.batch_size, self.global_step)))
        self._step = Step(self.global_step, batch, samples)
        refuse_loss(loss, bool(wrong > 0), self._step)
        self.log("loss", loss, prog_bar=True, on_step=True)
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Refuse a gradient that is not finite; with float16 such a step is skipped by the scaler, and is no failure.

        Raises:
            DivergedError: it is not.
        """
        if self.recipe.optim.precision != "16-mixed" and self._step is not None:
            refuse_gradients(self.net.parameters(), self._step)

    def on_before_zero_grad(self, optimizer: torch.optim.Optimizer) -> None:
        """Follow the weights with their average."""
        if self.averaged is not None and self.global_step > 0:
            self.averaged.update_parameters(self.net)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Score a batch with the weights that would be served, in full precision as they would be."""
        net = self.inference_net
        net.eval()
        with torch.autocast(self.device.type, enabled=False):
            self._scores.append((self.score(net, batch), self.scored(batch)))

    def scored(self, batch: Batch) -> int:
        """How many samples of a batch its scores are the means of."""
        return len(batch["image"])

    def on_validation_epoch_end(self) -> None:
        """Log the means over all samples of all devices.

        Raises:
            DivergedError: the error is not finite.
        """
        names = list(self._scores[0][0]) if self._scores else []
        sums = [sum(n for _, n in self._scores), *(sum(s[name] * n for s, n in self._scores) for name in names)]
        total = self.trainer.strategy.reduce(torch.tensor(sums, device=self.device), reduce_op="sum").tolist()
        for name, value in zip(names, total[1:], strict=True):
            if name == "error":
                refuse_score(value, name, self.global_step)
            self.log(f"val/{name}", value / max(1, total[0]), prog_bar=name == "error")
            if name == "error" and self._plateau is not None and self.trainer.state.fn == TrainerFn.FITTING:
                self._plateau.step(value / max(1, total[0]))
        self._scores.clear()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep in the checkpoint what made it: the recipe, and a record of this run and those it went on from.

        Raises:
            DivergedError: a weight is not finite; nothing is written then.
        """
        refuse_weights(self.state_dict(), self.global_step)
        checkpoint["recipe"] = self.recipe.model_dump(mode="json")
        checkpoint["trained_s"] = self.trained_s
        if self._plateau is not None:
            checkpoint["plateau"] = self._plateau.state()
        length = {"steps": self.global_step, "minutes": round(self.trained_s / 60, 1)}
        checkpoint["runs"] = [*self.history, self.run | length]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over training time, earlier runs and the plateau's state; every setting stays the recipe's."""
        for state in checkpoint.get("optimizer_states", ()):
            for group, mine in zip(state["param_groups"], self.configure_optimizers().param_groups, strict=True):
                group.update({name: setting for name, setting in mine.items() if name != "params"})
        for state in checkpoint.get("callbacks", {}).values():
            if "patience" in state and self.recipe.optim.patience is not None:
                state["patience"] = self.recipe.optim.patience
        self.trained_s = float(checkpoint.get("trained_s", 0.0))
        self.history = runs_of(checkpoint)
        if self._plateau is not None and "plateau" in checkpoint:
            self._plateau.restore(checkpoint["plateau"])


def runs_of(checkpoint: dict[str, Any]) -> list[dict[str, Any]]:
    """Records of the runs that made a checkpoint, first to last; `steps` and `minutes` count from the very start.

    A checkpoint without records gives one with its length alone.
    """
    unrecorded = {"steps": checkpoint["global_step"], "minutes": round(checkpoint.get("trained_s", 0.0) / 60, 1)}
    return list(checkpoint.get("runs", [unrecorded]))


def read_checkpoint(path: Path) -> tuple[Recipe, dict[str, Any]]:
    """The recipe and the whole content of one of our checkpoints.

    Raises:
        DataError: it cannot be read or is none of ours.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as e:
        raise DataError(f"{path}: no checkpoint ({e}); give one that `edge-train fit` wrote") from e
    if not isinstance(content, dict) or "recipe" not in content or "state_dict" not in content:
        raise DataError(f"{path}: not written by `edge-train fit` (no recipe in it); give one that was")
    return recipe_from_checkpoint(content["recipe"], str(path)), content
