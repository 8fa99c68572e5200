"""A run that is no longer finite is stopped before it reaches the weights or a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edge.errors import DataError

_ABSURD = 1e12
"""No depth, radiance or coefficient of a sample is larger."""
_UNKNOWN_IS_NAN = frozenset(("cells",))
"""What marks in a batch what is not known by NaN."""
_GO_ON = "the checkpoints written before are good: go on from last.ckpt with --resume"


class DivergedError(DataError):
    """A loss, a gradient, a weight or a validation error of a run is not finite."""


@dataclass(frozen=True)
class Step:
    """What to say of a step: which it is, this device's samples, and their numbers from the start of training."""

    number: int
    batch: Mapping[str, Tensor]
    samples: Sequence[int]

    def error(self, what: str) -> DivergedError:
        """The error that says `what` is wrong, why as far as the batch tells, and what to do."""
        found = _wrong_sample(self.batch)
        if found is None:
            remedy = (
                "nothing in the batch is out of range, so the run diverged: lower optim.lr or optim.clip_norm, or set "
                "optim.precision: 32-true"
            )
        else:
            index, name, value = found
            remedy = (
                f"sample {self.samples[index]} has {value:g} in its {name}: find the file of the data set that holds "
                "such a value, and mend or remove it"
            )
        numbers = ", ".join(map(str, self.samples))
        return DivergedError(f"step {self.number}, samples {numbers}: {what}; {remedy}; {_GO_ON}")


def refuse_loss(loss: Tensor, anywhere: bool, step: Step) -> None:
    """Stop before the gradient of a loss that is not finite; `anywhere`: on any device.

    Raises:
        DivergedError: one is not finite.
    """
    if anywhere:
        here = "" if not bool(torch.isfinite(loss.detach())) else " here and not finite on another device"
        raise step.error(f"the loss is {float(loss.detach()):g}{here}")


def refuse_gradients(parameters: Iterable[Tensor], step: Step) -> None:
    """Stop before a step along a gradient that is not finite.

    Raises:
        DivergedError: one is not.
    """
    largest = torch.stack([p.grad.abs().max() for p in parameters if p.grad is not None])
    if not bool(torch.isfinite(largest).all()):
        raise step.error("the gradient is not finite though the loss is")


def _wrong_sample(batch: Mapping[str, Tensor]) -> tuple[int, str, float] | None:
    """The first sample of a batch with a value that none may have: its index, which tensor, and the value."""
    for name, values in batch.items():
        if not values.is_floating_point():
            continue
        wrong = values.abs() > _ABSURD
        if name not in _UNKNOWN_IS_NAN:
            wrong |= torch.isnan(values)
        if bool(wrong.any()):
            index = int(wrong.flatten(1).any(dim=1).nonzero()[0])
            return index, name, float(values[index][wrong[index]].reshape(-1)[0])
    return None


def refuse_weights(weights: Mapping[str, Tensor], step: int) -> None:
    """Stop before weights that are not finite are written over good ones.

    Raises:
        DivergedError: one is not.
    """
    broken = next((name for name, values in weights.items() if not bool(torch.isfinite(values).all())), None)
    if broken is not None:
        raise DivergedError(f"step {step}: {broken} is not finite, so it is not written; lower optim.lr; {_GO_ON}")


def refuse_score(value: float, name: str, step: int) -> None:
    """Stop at a validation whose error is no number: it can rank no checkpoint.

    Raises:
        DivergedError: it is not finite.
    """
    if not torch.isfinite(torch.tensor(value)):
        raise DivergedError(
            f"step {step}: val/{name} is {value:g}: the network, or the truth of a sample that is held out, is not "
            f"finite; lower optim.lr, or look at the data held out (splits.json names it); {_GO_ON}"
        )
