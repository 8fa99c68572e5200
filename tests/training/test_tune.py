"""A study: its space, its trials in one process and in two, trials that die or are given up."""

from __future__ import annotations

import csv
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
import yaml
from optuna.trial import TrialState

from edge.errors import DataError
from tests.training.conftest import ALONE, CPU
from training.config.file import load_recipe
from training.config.recipe import Recipe
from training.fit import fit
from training.tune import open_storage, open_study, tune, with_values

Make = Callable[..., Recipe]
SPACE: dict[str, Any] = {
    "optim.lr": {"low": 1e-4, "high": 1e-2, "log": True},
    "optim.batch_size": {"low": 1, "high": 3},
    "augment.flip": {"choices": [True, False]},
}
HERE: dict[str, Any] = {"hardware": CPU, "loading": ALONE}


@pytest.fixture
def searched(small_recipe: Make, box_rooms: Path) -> Callable[..., Recipe]:
    """A small depth recipe with a space to search."""

    def make(**change: Any) -> Recipe:
        data = {"rooms": str(box_rooms), "max_rooms": 2}
        return small_recipe(
            "depth", **{"data": data, "tune": SPACE, "optim": {"steps": 2, "validate_every": 1}} | change
        )

    return make


def _url(kind: str, folder: Path) -> str:
    return f"sqlite:///{folder / 'study.db'}" if kind == "sqlite" else f"journal:{folder / 'study.log'}"


def _table(out: Path) -> list[dict[str, str]]:
    with (out / "trials.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_study_ends_with_its_best_recipe(tmp_path: Path, searched: Make) -> None:
    """Each trial is in the table, best first; best.yaml is a recipe with the first row's values; checkpoints go."""
    recipe = searched()
    study = tune(recipe, tmp_path, trials=3, storage=_url("sqlite", tmp_path), study="one", pruner="none", **HERE)
    rows = _table(tmp_path)
    errors = [float(r["error"]) for r in rows]
    assert len(rows) == 3
    assert errors == sorted(errors) == sorted(t.value for t in study.trials)
    best = load_recipe(tmp_path / "best.yaml")
    assert best.optim.lr == float(rows[0]["optim.lr"])
    assert best.augment.flip is (rows[0]["augment.flip"] == "True")
    assert best.tune == {} and best.net == recipe.net
    for key, low, high in (("optim.lr", 1e-4, 1e-2), ("optim.batch_size", 1, 3)):
        assert all(low <= float(r[key]) <= high for r in rows)
    assert list(tmp_path.glob("trial-*/log"))
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_study_that_is_full_is_left_alone(tmp_path: Path, searched: Make) -> None:
    """The same command again makes no trial; more trials make those that lack."""
    for trials, expected in ((1, 1), (1, 1), (2, 2)):
        tune(searched(), tmp_path, trials=trials, storage=_url("journal", tmp_path), study="one", **HERE)
        assert len(_table(tmp_path)) == expected


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_two_processes_share_a_study(kind: str, tmp_path: Path, searched: Make) -> None:
    """Started at once, both make trials, together as many as were asked for, each recorded once."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(searched().model_dump(mode="json", exclude_none=True)))
    command = [sys.executable, "-m", "training", "tune", str(recipe), "--trials", "6", "--study", "shared"]
    command += ["--storage", _url(kind, tmp_path), "--workers", "0", "--threads", "1", "--accelerator", "cpu"]
    processes = [
        subprocess.Popen(
            [*command, "--out", str(tmp_path / name)],
            cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for name in ("a", "b")
    ]  # fmt: skip
    for process in processes:
        said, _ = process.communicate(timeout=280)
        assert process.returncode == 0, said
    made = {name: {p.name for p in (tmp_path / name).glob("trial-*")} for name in ("a", "b")}
    assert made["a"] and made["b"] and not made["a"] & made["b"]
    study = optuna.load_study(study_name="shared", storage=open_storage(_url(kind, tmp_path)))
    done = [t for t in study.trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    assert len(done) == 6
    assert {f"trial-{t.number:04d}" for t in done} == made["a"] | made["b"]
    tables = [{r["trial"] for r in _table(tmp_path / name)} for name in ("a", "b")]
    assert {str(t.number) for t in done} in tables


def test_a_trial_worse_than_the_others_is_stopped(tmp_path: Path, searched: Make) -> None:
    """After five good trials, one that is worse than their median does not run to its end, and counts as made."""
    recipe = searched(
        tune={"optim.lr": {"low": 1e-6, "high": 2e-6}}, optim={"steps": 6, "validate_every": 1, "warmup_steps": 0}
    )
    url = _url("sqlite", tmp_path)
    study = open_study(recipe, open_storage(url), "one", "median")
    space = {"optim.lr": optuna.distributions.FloatDistribution(1e-6, 2e-6)}
    for _ in range(5):
        study.add_trial(
            optuna.create_trial(
                params={"optim.lr": 1.5e-6}, distributions=space, value=1e-6,
                intermediate_values={step: 1e-6 for step in range(1, 7)},
            )
        )  # fmt: skip
    study = tune(recipe, tmp_path, trials=6, storage=url, study="one", **HERE)
    last = study.trials[-1]
    assert (last.state, last.last_step) == (TrialState.PRUNED, 1)
    assert _table(tmp_path)[-1]["state"] == "pruned"


@pytest.mark.slow
def test_a_trial_whose_process_died_is_made_again(
    tmp_path: Path, searched: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A running trial without heartbeat is taken for dead and repeated with its own values."""
    monkeypatch.setattr("training.tune.HEARTBEAT_S", 1)
    monkeypatch.setattr("training.tune.GRACE_S", 2)
    recipe, url = searched(tune={"optim.lr": SPACE["optim.lr"]}), _url("sqlite", tmp_path)
    storage = open_storage(url)
    open_study(recipe, storage, "one", "none")
    dead = optuna.load_study(study_name="one", storage=url).ask()
    value = dead.suggest_float("optim.lr", 1e-4, 1e-2, log=True)
    storage.record_heartbeat(dead._trial_id)  # type: ignore[attr-defined]
    time.sleep(3.5)  # the database counts whole seconds
    study = tune(recipe, tmp_path, trials=1, storage=url, study="one", pruner="none", **HERE)
    first, again = study.trials
    assert (first.state, again.state) == (TrialState.FAIL, TrialState.COMPLETE)
    assert again.params == {"optim.lr": value}
    assert [r["trial"] for r in _table(tmp_path)] == ["1"]


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "nothing to tune; add to the recipe"),
        ({"optim.lrr": {"low": 1, "high": 2}}, "optim.lrr is no key.*did you mean optim.lr?"),
        ({"optim.lr": {"low": -1.0, "high": 2.0}}, "optim.lr.*greater than 0"),
        ({"net.encoder": {"choices": ["mobilenet_v2", "vgg"]}}, "net.*encoder"),
        ({"optim": {"choices": [1]}}, "optim"),
    ],
)
def test_a_space_that_does_not_fit_the_recipe_is_refused(
    space: dict[str, Any], message: str, tmp_path: Path, searched: Make
) -> None:
    """Before any trial: every end and choice must give a valid recipe."""
    with pytest.raises(DataError, match=message):
        tune(searched(tune=space), tmp_path, trials=1, storage=_url("sqlite", tmp_path), study="one", **HERE)


def test_values_replace_only_their_keys(searched: Make) -> None:
    """All else stays as it was."""
    recipe = searched()
    changed = with_values(recipe, {"optim.lr": 0.5, "net.skips": False})
    assert (changed.optim.lr, changed.net.skips) == (0.5, False)  # type: ignore[union-attr]
    assert with_values(changed, {"optim.lr": recipe.optim.lr, "net.skips": recipe.net.skips}) == recipe  # type: ignore[union-attr]


def test_a_study_of_another_recipe_is_not_joined(tmp_path: Path, searched: Make) -> None:
    """Machines that share a study search the same recipe."""
    storage = open_storage(_url("journal", tmp_path))
    open_study(searched(), storage, "one", "median")
    open_study(searched(data={"rooms": "elsewhere"}), storage, "one", "median")
    with pytest.raises(DataError, match="another recipe.*--study"):
        open_study(searched(optim={"steps": 99}), storage, "one", "median")


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////nowhere/at/all/study.db",
        "journal:/nowhere/at/all/study.log",
        "carrier-pigeon",
        "postgresql+pg8000://me:hidden@x/y",
    ],
)
def test_a_database_that_cannot_be_opened_is_said(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One message with the flag and what it takes, and without the password."""
    monkeypatch.setattr("training.tune.time.sleep", lambda _: None)
    with pytest.raises(DataError, match="--storage") as refused:
        open_storage(url)
    assert "hidden" not in str(refused.value)


def test_an_unknown_pruner_is_refused(tmp_path: Path, searched: Make) -> None:
    """The message lists what there is."""
    with pytest.raises(DataError, match="median, hyperband or none"):
        tune(searched(), tmp_path, trials=1, storage=_url("journal", tmp_path), study="one", pruner="shears", **HERE)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: not enough memory"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    ],
)
def test_a_trial_without_memory_has_failed_and_the_study_goes_on(
    error: Exception, tmp_path: Path, searched: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts as made, is in the table, and is not what the best recipe comes from."""
    real, calls = fit, [0]

    def sometimes(*args: Any, **more: Any) -> Path:
        calls[0] += 1
        if calls[0] == 1:
            raise error
        return real(*args, **more)

    monkeypatch.setattr("training.tune.fit", sometimes)
    study = tune(searched(), tmp_path, trials=2, storage=_url("journal", tmp_path), study="one", pruner="none", **HERE)
    assert [t.state for t in study.trials] == [TrialState.FAIL, TrialState.COMPLETE]
    assert [(r["trial"], r["state"]) for r in _table(tmp_path)] == [("1", "complete"), ("0", "fail")]
    assert load_recipe(tmp_path / "best.yaml").optim.lr == study.trials[1].params["optim.lr"]


def test_a_study_whose_every_trial_failed_says_why(
    tmp_path: Path, searched: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends after as many as were asked for, and not as if all were well."""

    def never(*_: Any, **__: Any) -> Path:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("training.tune.fit", never)
    with pytest.raises(DataError, match="each of its 3 trials failed.*CUDA out of memory.*smaller"):
        tune(searched(), tmp_path, trials=3, storage=_url("journal", tmp_path), study="one", pruner="none", **HERE)
    assert len(_table(tmp_path)) == 3


def test_a_trial_that_diverges_is_given_up_alone(tmp_path: Path, searched: Make) -> None:
    """A rate that ends in no numbers costs its own trial."""
    recipe = searched(
        tune={"optim.lr": {"choices": [1e30]}}, optim={"steps": 3, "validate_every": 1, "warmup_steps": 0}
    )
    study = tune(recipe, tmp_path, trials=2, storage=_url("journal", tmp_path), study="one", pruner="none", **HERE)
    assert [t.state for t in study.trials] == [TrialState.PRUNED, TrialState.PRUNED]
