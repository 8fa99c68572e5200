"""A batch shared by two processes (real ones, over gloo) has the loss and the gradient that it has on one device."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, multiprocessing

from training.config.losses import (
    BoundaryLossConfig,
    DepthLossConfig,
    HorizonDepthLossConfig,
    LightingLossConfig,
)
from training.losses.depth import DepthLoss
from training.losses.layout import HorizonDepthLoss, LayoutLoss
from training.losses.lighting import LightingLoss

Arrays = dict[str, Tensor]


def _depth(config: DepthLossConfig, log: bool, b: Arrays) -> Tensor:
    return DepthLoss(config, 0.1, 100.0)(b["answer"], b["depth"], log=log)  # type: ignore[no-any-return]


def _layout(b: Arrays) -> Tensor:
    answer = (b["answer"][:, 0, :2], b["answer"][:, 0, 2:3])
    return LayoutLoss(BoundaryLossConfig())(answer, b["boundary"], b["corners"], b["seen"])  # type: ignore[no-any-return]


def _horizon(b: Arrays) -> Tensor:
    answer = (b["answer"][:, 0, :1].exp(), b["answer"][:, 0, 1, :1].exp())
    return HorizonDepthLoss(HorizonDepthLossConfig())(answer, b["boundary"], b["seen"])  # type: ignore[no-any-return]


def _lighting(b: Arrays) -> Tensor:
    cells = b["answer"][:, :, :3].expand(-1, 3, -1, -1).exp()
    coefficients = b["answer"][:, 0, :3, :9].transpose(1, 2)
    return LightingLoss(LightingLossConfig(radiance=1.0))(coefficients, b["light"], cells, b["cells"])  # type: ignore[no-any-return]


LOSSES: dict[str, Callable[[Arrays], Tensor]] = {
    "berhu": partial(_depth, DepthLossConfig(kind="berhu", berhu_on="metres", gradient=0.0), False),
    "berhu on the logarithm, with gradients": partial(_depth, DepthLossConfig(berhu_on="log", gradient=0.5), True),
    "silog": partial(_depth, DepthLossConfig(kind="silog"), True),
    "layout": _layout,
    "horizon depth": _horizon,
    "lighting": _lighting,
}


def _batch() -> Arrays:
    """Four samples; the errors are largest in the last one, and the first two know little."""
    g = torch.Generator().manual_seed(3)
    uneven = torch.tensor([0.1, 0.1, 0.9, 1.0]).reshape(4, 1, 1, 1)
    depth = (1 + 3 * torch.rand(4, 1, 8, 16, generator=g)) * (torch.rand(4, 1, 8, 16, generator=g) < uneven)
    cells = torch.rand(4, 3, 3, 16, generator=g)
    edge = 0.2 + torch.rand(4, 1, 16, generator=g)
    return {
        "answer": torch.rand(4, 1, 8, 16, generator=g) * torch.tensor([1.0, 1.0, 1.0, 9.0]).reshape(4, 1, 1, 1),
        "depth": depth,
        "boundary": torch.cat([-edge, edge], dim=1),
        "corners": torch.rand(4, 1, 16, generator=g),
        "seen": (torch.rand(4, 2, 16, generator=g) < uneven[..., 0]).float(),
        "light": torch.rand(4, 9, 3, generator=g),
        "cells": torch.where(torch.rand(4, 3, 3, 16, generator=g) < uneven, cells, torch.nan),
    }


def _measured(batch: Arrays, name: str) -> tuple[float, Tensor]:
    answer = batch["answer"].clone().requires_grad_()
    loss = LOSSES[name](batch | {"answer": answer})
    loss.backward()  # type: ignore[no-untyped-call]
    assert answer.grad is not None
    return float(loss.detach()), answer.grad


def _share(rank: int, meeting: str, out: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    mine = {k: v[2 * rank : 2 * rank + 2] for k, v in _batch().items()}
    nothing = mine | {"depth": torch.zeros_like(mine["depth"])} if rank == 0 else mine
    found: dict[str, Any] = {name: _measured(mine, name) for name in LOSSES}
    found |= {f"{name} of one's": _measured(nothing, name) for name in ("berhu", "silog")}
    torch.save(found, f"{out}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def shares(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes found with its half of the batch."""
    folder = tmp_path_factory.mktemp("shares")
    multiprocessing.spawn(_share, (f"file://{folder / 'meeting'}", str(folder)), nprocs=2)
    return [torch.load(Path(folder) / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("name", LOSSES)
def test_a_shared_batch_has_the_loss_and_gradient_of_one_device(name: str, shares: list[dict[str, Any]]) -> None:
    """Thresholds and means are of the whole batch; DDP takes the mean of the devices' gradients."""
    loss, gradient = _measured(_batch(), name)
    assert sum(share[name][0] for share in shares) / 2 == pytest.approx(loss, rel=1e-5)
    assert gradient.abs().max() > 0
    torch.testing.assert_close(torch.cat([s[name][1] for s in shares]) / 2, gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["berhu", "silog"])
def test_a_device_that_knows_nothing_waits_for_nobody(name: str, shares: list[dict[str, Any]]) -> None:
    """A share without a known pixel adds nothing: the loss is that of the other's samples."""
    batch = _batch()
    batch["depth"][:2] = 0
    loss, gradient = _measured(batch, name)
    assert [share[f"{name} of one's"][0] for share in shares] == pytest.approx([loss, loss], rel=1e-5)
    mine = torch.cat([s[f"{name} of one's"][1] for s in shares]) / 2
    torch.testing.assert_close(mine, gradient, rtol=1e-4, atol=1e-6)
