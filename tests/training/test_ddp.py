"""Several processes train as one: real ones, over gloo."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from edge.errors import DataError
from tests.training.conftest import ALONE, CPU
from training.config.recipe import Recipe
from training.data.mix.order import Batches, Numbered, Shares
from training.fit import fit
from training.tasks.base import read_checkpoint

REPOSITORY = Path(__file__).parents[2]


def _start(*command: str | Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *map(str, command)], cwd=REPOSITORY, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _assert_close(two: Path, one: Path) -> None:
    a, b = (read_checkpoint(folder / "final.ckpt")[1] for folder in (two, one))
    assert a["global_step"] == b["global_step"] == 4
    for name, value in b["state_dict"].items():
        torch.testing.assert_close(a["state_dict"][name], value, atol=1e-5, rtol=0, msg=name)
    for x, y in zip(a["callbacks"].values(), b["callbacks"].values(), strict=True):
        torch.testing.assert_close(x["best_model_score"], y["best_model_score"], atol=1e-5, rtol=0)


@pytest.mark.slow
def test_two_processes_give_the_weights_of_one(
    tmp_path: Path, box_rooms: Path, small_recipe: Callable[..., Recipe]
) -> None:
    """Started by torchrun or by fit itself, two give one's weights and errors within 1e-5.

    Normalisation is frozen: on CPUs its statistics are each process's own (on GPUs they are shared).
    """
    optim = {"batch_size": 4, "freeze_norm": True, "optimizer": "sgd", "lr": 0.05, "warmup_steps": 2}
    change: dict[str, Any] = {"optim": optim, "augment": {"perspective_share": 0}, "net": {"dropout": 0}}
    change["data"] = {"rooms": str(box_rooms), "max_rooms": 15}
    loaded = small_recipe("layout", **change)
    fit(loaded, tmp_path / "one", hardware=CPU, loading=ALONE, show_progress=False)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(loaded.model_dump(mode="json", exclude_none=True)))
    options = ("--accelerator", "cpu", "--no-progress", "--threads", "1")
    torchrun = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
    _start(*torchrun, "training", "fit", recipe, "--out", tmp_path / "two", "--workers", "1", *options)
    _assert_close(tmp_path / "two", tmp_path / "one")
    own = ("--devices", "2", "--strategy", "ddp", "--workers", "0")
    _start("training", "fit", recipe, "--out", tmp_path / "own", *own, *options)
    _assert_close(tmp_path / "own", tmp_path / "one")


class _Drawn(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"index": torch.tensor(index), "drawn": torch.rand(3)}


def _as(rank: int, world: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.data.mix.order.place", lambda: (rank, world))


@pytest.mark.parametrize("world", [1, 2, 3, 6])
def test_shares_of_a_batch_make_the_batch(world: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No sample goes to two processes, all together are those of one process, and each process has equally many."""
    shares = []
    for rank in range(world):
        _as(rank, world, monkeypatch)
        batches = iter(Batches(6, first=2))
        shares.append([next(batches) for _ in range(3)])
    for step in range(3):
        together = [number for share in shares for number in share[step]]
        assert sorted(together) == list(range(12 + 6 * step, 18 + 6 * step))
        assert {len(share[step]) for share in shares} == {6 // world}


@pytest.mark.parametrize("count", [4, 7, 16, 61])
@pytest.mark.parametrize("size", [1, 3, 8])
@pytest.mark.parametrize("world", [1, 2, 4])
def test_validation_is_shared_without_loss(count: int, size: int, world: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sample once, no batch is empty, and all processes have equally many (or they would wait for each other)."""
    seen, lengths = [], set()
    for rank in range(world):
        _as(rank, world, monkeypatch)
        batches = list(Shares(count, size))
        assert len(batches) == len(Shares(count, size))
        assert all(0 < len(b) < 2 * size + 1 for b in batches)
        lengths.add(len(batches))
        seen += [i for b in batches for i in b]
    assert sorted(seen) == list(range(count))
    assert len(lengths) == 1


def test_too_little_to_validate_on_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device without a sample would leave the others waiting for ever: said before anything runs."""
    _as(1, 4, monkeypatch)
    with pytest.raises(DataError, match="fewer devices"):
        list(Shares(3, 2))


def test_a_sample_depends_on_seed_and_number_alone() -> None:
    """The same again in any order and whatever else is drawn; another number or seed is another sample."""
    data = Numbered(_Drawn(), seed=3)
    first = data[7]["drawn"]
    state = torch.get_rng_state()
    others = [data[i]["drawn"] for i in (6, 8, 7 + 5, 7 + 2**32)] + [Numbered(_Drawn(), seed=4)[7]["drawn"]]
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(10)
    assert torch.equal(data[7]["drawn"], first)
    assert all(not torch.equal(o, first) for o in others)
    assert int(data[7]["index"]) == 2
