"""Searching a recipe's settings: many processes and machines make trials of one study, kept in a shared database.

The recipe's `tune` section says what is tried. A trial that is clearly worse than the others is stopped early, and so
is one that diverges. One that runs out of memory has failed, and the study goes on. One whose process died (its
heartbeat in the database stops) is tried again by whoever is left; a journal has no heartbeats, so there such a trial
counts as running for ever.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import logging
import math
import os
import re
import time
import warnings
from pathlib import Path
from typing import Any

import lightning
import optuna
import sqlalchemy.exc
import torch
import yaml
from lightning.pytorch.trainer.states import TrainerFn
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState
from rich.console import Console
from rich.table import Table

from edge.errors import DataError
from training.config.file import recipe_from_mapping
from training.config.optim import OptimConfig
from training.config.recipe import Recipe
from training.config.search import SearchChoices
from training.fit import Hardware, Loading, fit
from training.tasks.divergence import DivergedError

_LOG = logging.getLogger(__name__)
HEARTBEAT_S, GRACE_S = 30, 120
"""How often a running trial shows that it lives, and after what silence it is taken for dead."""
_RETRIES = 2
_PRINTED = 20
_MADE = (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED)


_FAILED = "failed"
"""A trial's attribute: why it cannot be made. It counts as made; one that was given back or died does not."""


class _Surplus(Exception):
    """The study has as many trials as it shall have."""


class _CannotBeMade(Exception):
    """A trial's own settings are more than this machine can do."""


class Watch(lightning.Callback):
    """Tells the study a trial's error at each validation, and stops the trial where that is not promising."""

    def __init__(self, trial: Trial) -> None:
        """Take the trial to report to."""
        self._trial = trial
        self.error = math.inf

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Report; raises `TrialPruned` for one that is stopped or whose error is no number."""
        self.error = float(trainer.callback_metrics["val/error"])
        if not math.isfinite(self.error):
            raise optuna.TrialPruned("its error is no number")
        if trainer.state.fn == TrainerFn.FITTING:
            self._trial.report(self.error, trainer.global_step)
            if self._trial.should_prune():
                raise optuna.TrialPruned(f"stopped at step {trainer.global_step}")


def with_values(recipe: Recipe, values: dict[str, Any]) -> Recipe:
    """The recipe with the values of dotted keys replaced, validated again.

    Raises:
        DataError: a key is none of the recipe's, or a value is refused.
    """
    mapping = recipe.model_dump(mode="json")
    for dotted, value in values.items():
        *path, last = dotted.split(".")
        part: Any = mapping
        for name in path:
            part = part.get(name) if isinstance(part, dict) else None
        if not isinstance(part, dict) or last not in part:
            near = difflib.get_close_matches(dotted, _dotted(mapping), n=1)
            raise DataError(
                f"tune: {dotted} is no key of this recipe; {f'did you mean {near[0]}?' if near else 'remove it'}"
            )
        part[last] = value
    return recipe_from_mapping(mapping, "tune")


def _dotted(mapping: dict[str, Any], start: str = "") -> list[str]:
    """Every dotted key of a mapping's leaves."""
    keys = []
    for key, value in mapping.items():
        keys += _dotted(value, f"{start}{key}.") if isinstance(value, dict) else [f"{start}{key}"]
    return keys


def _check_space(recipe: Recipe) -> None:
    """Each end and choice alone gives a valid recipe."""
    if not recipe.tune:
        raise DataError(
            f"{recipe.name}: nothing to tune; add to the recipe `tune:` with lines like "
            "`optim.lr: {low: 0.0001, high: 0.01, log: true}` or `net.hidden: {choices: [64, 128]}`"
        )
    for key, space in recipe.tune.items():
        for value in space.choices if isinstance(space, SearchChoices) else (space.low, space.high):
            with_values(recipe, {key: value})


def _suggested(trial: Trial, recipe: Recipe) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, space in recipe.tune.items():
        if isinstance(space, SearchChoices):
            values[key] = trial.suggest_categorical(key, list(space.choices))
        elif isinstance(space.low, int) and isinstance(space.high, int):
            values[key] = trial.suggest_int(key, space.low, space.high, log=space.log)
        else:
            values[key] = trial.suggest_float(key, space.low, space.high, log=space.log)
    return values


def _without_password(url: str) -> str:
    """A database's address as messages may show it."""
    return re.sub(r"(://[^:/@]*):.*@", r"\1:***@", url)


def open_storage(url: str) -> BaseStorage:
    """A study database: sqlite:///FILE, another of SQLAlchemy's URLs, or journal:FILE (a file on a shared disk).

    Raises:
        DataError: it cannot be opened.
    """
    if url.startswith("journal:"):
        try:
            return JournalStorage(JournalFileBackend(url.removeprefix("journal:")))
        except OSError as e:
            raise DataError(f"--storage {url}: {e.strerror}; give journal:FILE in a folder that can be written") from e
    waiting = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    for attempt in range(4):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                return RDBStorage(
                    url,
                    engine_kwargs=waiting,
                    heartbeat_interval=HEARTBEAT_S,
                    grace_period=GRACE_S,
                    heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=_RETRIES),
                )
        except (sqlalchemy.exc.ArgumentError, ImportError) as e:
            raise DataError(
                f"--storage {_without_password(url)}: {e}; give sqlite:///FILE, journal:FILE, or a database URL whose "
                "driver is installed"
            ) from e
        except (sqlalchemy.exc.SQLAlchemyError, StorageInternalError, RuntimeError) as e:
            # Two processes may make the tables of a new database at once; the second finds them a moment later.
            if attempt == 3:
                raise DataError(
                    f"--storage {_without_password(url)}: {e}; check that the database runs and may be written, or "
                    "give another"
                ) from e
            time.sleep(0.5 + attempt)
    raise AssertionError("unreachable")


def _pruner(kind: str, optim: OptimConfig) -> optuna.pruners.BasePruner:
    if kind == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=optim.warmup_steps)
    if kind == "hyperband":
        return optuna.pruners.HyperbandPruner(
            min_resource=min(optim.validate_every, optim.steps), max_resource=optim.steps
        )
    if kind == "none":
        return optuna.pruners.NopPruner()
    raise DataError(f"--pruner {kind}: unknown; give median, hyperband or none")


def open_study(recipe: Recipe, storage: BaseStorage, name: str, pruner: str) -> optuna.Study:
    """The study of that name, made if need be.

    Raises:
        DataError: it is of another recipe, or the database fails.
    """
    settings = recipe.model_dump(mode="json", exclude={"data"})
    digest = hashlib.sha256(yaml.safe_dump(settings).encode()).hexdigest()[:16]
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        sampler=optuna.samplers.TPESampler(constant_liar=True),
        pruner=_pruner(pruner, recipe.optim),
        load_if_exists=True,
    )
    if study.user_attrs.get("recipe", digest) != digest:
        raise DataError(
            f"study {name} is of another recipe, or of this one before it was changed; give another --study"
        )
    study.set_user_attr("recipe", digest)
    return study


def _made(study: optuna.Study, before: int | None = None) -> int:
    """Trials that were made or are being made; `before`: those numbered less, waiting ones with them."""
    trials = study.get_trials(deepcopy=False)
    if before is None:
        return sum(_is_made(t) for t in trials)
    return sum((_is_made(t) or t.state == TrialState.WAITING) and t.number < before for t in trials)


def _is_made(trial: FrozenTrial) -> bool:
    return trial.state in _MADE or _FAILED in trial.user_attrs


def _error_of(trial: Trial, recipe: Recipe, folder: Path, **how: Any) -> float:
    """The error of a trial, made as `fit` takes it; its checkpoints are removed.

    Raises:
        TrialPruned: it is not promising, or diverged.
        _CannotBeMade: memory ran out, or what made it broke down.
    """
    watch = Watch(trial)
    try:
        fit(recipe, folder, callbacks=[watch], **how)
    except DivergedError as e:
        raise optuna.TrialPruned(str(e)) from e
    except (MemoryError, RuntimeError) as e:  # torch's lack of memory is a RuntimeError, as is a loader that was killed
        why = (str(e).strip().splitlines() or [type(e).__name__])[0]
    else:
        return watch.error
    finally:
        for checkpoint in folder.glob("*.ckpt"):
            checkpoint.unlink()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # not before: what failed was held by its exception
    trial.set_user_attr(_FAILED, why)
    _LOG.warning("trial %d failed and the study goes on: %s", trial.number, why)
    raise _CannotBeMade(why)


def tune(
    recipe: Recipe,
    out: Path,
    *,
    trials: int,
    storage: str,
    study: str,
    pruner: str = "median",
    max_minutes: float | None = None,
    hardware: Hardware = Hardware(),
    loading: Loading = Loading(),
) -> optuna.Study:
    """Make trials until the study has as many; writes `trials.csv` and `best.yaml`.

    Args:
        recipe: what to train, with its `tune` section.
        out: folder for the table, the best recipe and a folder for each trial made here (its log; checkpoints are
            removed: train the best recipe).
        trials: how many the study shall have in all, made by whichever process.
        storage: see `open_storage`.
        study: its name.
        pruner: median stops trials worse than the median at the same step; hyperband gives few trials many steps.
        max_minutes: longest time of a trial; None = its recipe's steps.
        hardware: what computes a trial.
        loading: what feeds it.

    Raises:
        DataError: the recipe, the data or the database do not fit, or every trial failed.
    """
    _check_space(recipe)
    out.mkdir(parents=True, exist_ok=True)

    def objective(trial: Trial) -> float:
        if _made(shared, before=trial.number) >= trials:
            raise _Surplus
        candidate = with_values(recipe, _suggested(trial, recipe))
        folder = out / f"trial-{trial.number:04d}"
        return _error_of(
            trial, candidate, folder, max_minutes=max_minutes, hardware=hardware, loading=loading, show_progress=False
        )

    def finished(now: optuna.Study, trial: FrozenTrial) -> None:
        _LOG.info("trial %d: %s, error %s, %s", trial.number, trial.state.name.lower(), trial.value, trial.params)
        write_results(now, recipe, out)
        if _made(now) >= trials:
            now.stop()

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        shared = open_study(recipe, open_storage(storage), study, pruner)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            optuna.storages.fail_stale_trials(shared)
        if _made(shared) < trials:
            shared.optimize(objective, catch=(_Surplus, _CannotBeMade), callbacks=[finished])
        write_results(shared, recipe, out)
        _refuse_if_all_failed(shared, study)
    except (sqlalchemy.exc.SQLAlchemyError, StorageInternalError) as e:
        raise DataError(
            f"--storage {_without_password(storage)}: {e}; check the database, then run the same command to go on"
        ) from e
    return shared


def _refuse_if_all_failed(study: optuna.Study, name: str) -> None:
    reasons = [t.user_attrs.get(_FAILED) for t in study.get_trials(deepcopy=False) if _is_made(t)]
    if reasons and all(reasons):
        raise DataError(
            f"study {name}: each of its {len(reasons)} trials failed, the last one with: {reasons[-1]}; give less to "
            "try (a smaller optim.batch_size or network), or a larger machine, and another --study"
        )


def _shown(study: optuna.Study) -> list[FrozenTrial]:
    """Trials to tell of: not those given back or dead and tried again."""
    return [t for t in study.get_trials(deepcopy=False) if _is_made(t)]


def rows_of(study: optuna.Study, recipe: Recipe) -> list[dict[str, Any]]:
    """A row for each trial, best first: number, state, error, steps and the values tried."""
    trials = sorted(
        _shown(study),
        key=lambda t: (t.state != TrialState.COMPLETE, math.inf if t.value is None else t.value, t.number),
    )
    return [
        {"trial": t.number, "state": t.state.name.lower(), "error": t.value, "steps": t.last_step}
        | {key: t.params.get(key) for key in recipe.tune}
        for t in trials
    ]


def write_results(study: optuna.Study, recipe: Recipe, out: Path) -> None:
    """Write `trials.csv`, and once a trial is complete `best.yaml`, the recipe with the best values."""
    rows = rows_of(study, recipe)
    mine = out / f".trials-{os.getpid()}"
    with mine.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=["trial", "state", "error", "steps", *recipe.tune])
        writer.writeheader()
        writer.writerows(rows)
    mine.replace(out / "trials.csv")
    if not rows or rows[0]["state"] != "complete":
        return
    best = with_values(recipe, {key: rows[0][key] for key in recipe.tune})
    mapping = best.model_dump(mode="json", exclude={"tune": True, "data": {"rooms", "hdri", "weights"}})
    head = f"# {recipe.name}: trial {rows[0]['trial']} of study {study.study_name}, error {rows[0]['error']:.5f}\n"
    mine.write_text(head + yaml.safe_dump(mapping, sort_keys=False), encoding="utf-8")
    mine.replace(out / "best.yaml")


def print_table(study: optuna.Study, recipe: Recipe, console: Console) -> None:
    """The best trials, and how many were made in what way."""
    rows = rows_of(study, recipe)
    table = Table(*(rows[0] if rows else []), title=f"{study.study_name}: {len(rows)} trials, best first")
    for row in rows[:_PRINTED]:
        table.add_row(*(f"{v:.5g}" if isinstance(v, float) else "" if v is None else str(v) for v in row.values()))
    console.print(table)
    running = sum(row["state"] == "running" for row in rows)
    if running:
        console.print(
            f"{running} still running elsewhere. If their processes are dead, run the same command again in "
            f"{GRACE_S // 60} minutes to repeat them."
        )
