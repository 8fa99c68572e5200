"""Optimiser: a recipe's `optim` section."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from training.config.values import Count, Positive, Section, Share

_LEARNING_ON_STEPS = 300


class OptimConfig(Section):
    """The optimiser, its schedule and how long it runs."""

    steps: Count
    batch_size: Count = Field(default=16, description="samples of a step, of all devices together")
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.9, description="of sgd")
    lr: Positive = 1e-3
    encoder_lr_factor: Positive = 1.0
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    schedule: Literal["cosine", "poly", "step", "plateau", "constant"] = "cosine"
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    final_lr_factor: Share = Field(default=0.01, description="where cosine and poly end; below this plateau never goes")
    poly_power: Positive = 0.9
    decay_factor: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.1, description="of one cut of step or plateau")
    decay_every: Count = Field(default=1000, description="steps between two cuts of step")
    plateau_patience: Annotated[int, Field(ge=0)] = Field(
        default=5, description="validations without a better error before plateau cuts"
    )
    patience: Count | None = Field(
        default=None, description="validations without a better error before the run ends; None = never"
    )
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.995
    clip_norm: Positive = 5.0
    freeze_blocks: Annotated[int, Field(ge=0)] = Field(
        default=0, description="first blocks of the encoder kept as they are"
    )
    freeze_norm: bool = Field(
        default=False, description="batch normalisation keeps its statistics: for batches too small to measure them"
    )
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    validate_every: Count = Field(default=500, description="steps between validations")
    seed: int = 0

    def learning_on(self, steps: int | None = None) -> OptimConfig:
        """The same for a network that has learnt already: short, gently, without a long memory of where it began.

        A fifth of the rate, normalisation as it was; warm-up, averaging and validation fit the run's length.
        """
        length = min(self.steps, _LEARNING_ON_STEPS) if steps is None else steps
        return self.model_copy(
            update={
                "steps": length,
                "lr": self.lr / 5,
                "warmup_steps": min(self.warmup_steps, max(1, length // 10)),
                "ema_decay": min(self.ema_decay, max(0.0, 1 - 10 / length)),
                "freeze_norm": True,
                "validate_every": min(self.validate_every, max(1, length // 3)),
                "patience": None,
            }
        )
