"""`edge engines`: what TensorRT built on this device, made, looked at, proved, taken back and cleaned up."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from edge.commands.engine_adding import add, presets
from edge.commands.engine_installing import install, pack
from edge.commands.signals import signals_end
from edge.commands.terminal import EXIT_FAILED, ConfigPath, console, err, errors_as_exit_codes, loaded
from edge.errors import EngineError
from edge.inference.options import InferenceOptions

if TYPE_CHECKING:
    from edge.inference.runtimes import RuntimeTimes
    from edge.inference.store import ModelStore, StoredModel
    from edge.inference.trt.build_process import BuildProgress
    from edge.inference.trt.plans import Plan, PlanEntry, PlanStore
    from edge.inference.trt.platform import Platform

_HELP = """Engines: those that TensorRT builds on this device, and other people's networks.

\b
  edge engines add NAME FILE.onnx   add another party's network (Depth Anything, MiDaS, HorizonNet, ...)
  edge engines presets              which networks that knows, with their licences
  edge engines install FILE.tar     a newer model: checked, proved, tried beside the old one, then switched
  edge engines pack FOLDER FILE.tar what that takes, from a model's folder
  edge engines build                those that the configuration's cameras use, proved where there is a GPU
  edge engines list                 what is there
  edge engines verify               may each be loaded? exit 1 if one may not
  edge engines rollback depth       reject the current one; the one before it serves again
  edge engines bench depth          time each precision on each runtime that this machine has
  edge engines clean --dry-run      what is superseded, rejected, or of another GPU or version

A running daemon takes what changed when it is started again.
"""

app = typer.Typer(name="engines", help=_HELP, no_args_is_help=True, rich_markup_mode=None)
app.command("add", short_help="Add another party's network.")(add)
app.command("install", short_help="Install another model of an engine, tried before it serves.")(install)
app.command("pack", short_help="Pack a model folder, to be signed and installed elsewhere.")(pack)
app.command("presets", short_help="Networks that `add` knows.")(presets)

Names = Annotated[list[str] | None, typer.Argument(help="Engines; default: those the configuration's cameras use.")]
EnginesPath = Annotated[
    Path | None, typer.Option("--engines", help="Folder of engines; no configuration is read then.")
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")]
Default = Path("config.yaml")


@dataclass(frozen=True)
class _Place:
    """Where engines and plans are, and how they are built."""

    models: ModelStore
    plans: PlanStore
    options: InferenceOptions
    used: tuple[str, ...]
    """Names of the engines that the configuration's cameras use; all of the folder without a configuration."""

    def chosen(self, names: Sequence[str] | None) -> list[StoredModel]:
        """The named models, or those in use, verified.

        Raises:
            EngineError: one is not there, or not what its manifest says.
        """
        if not (names or self.used):
            raise EngineError(f"no engine in {self.models.root}; give --engines the folder that holds them")
        return [self.models.find(name) for name in names or self.used]


def _place(config: Path, engines: Path | None) -> _Place:
    from edge.inference.store import ModelStore
    from edge.inference.trt.plans import PlanStore

    if engines is not None:
        if not engines.is_dir():
            raise EngineError(f"no folder {engines}; give --engines the folder that holds the engines")
        models, options = ModelStore(engines), InferenceOptions()
        used = tuple(models.names())
    else:
        settings = loaded(config)
        models, options = settings.model_store(), settings.inference.options()
        used = settings.engine_names()
    return _Place(models, PlanStore(options.plans or models.root, options.plan_key), options, used)


def _platform_here() -> Platform | None:
    """This machine's TensorRT and GPU; None without TensorRT."""
    from edge.inference.trt.platform import platform

    try:
        return platform()
    except EngineError:
        return None


@app.command(short_help="Build engines for this device.")
def build(
    names: Names = None,
    config: ConfigPath = Default,
    engines: EnginesPath = None,
    precision: Annotated[
        Literal["auto", "fp32", "fp16", "int8"] | None, typer.Option(help="Default: the configuration's.")
    ] = None,
    level: Annotated[int | None, typer.Option(min=0, max=5, help="More time to build, a faster engine.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Build also what is there, or was rejected.")] = False,
    as_json: AsJson = False,
) -> None:
    """Build what TensorRT runs, and prove it against the golden output where there is a GPU.

    Ctrl-C ends a build, and nothing of it remains. What was there before serves until a new one is proved.
    """
    stop = signals_end()
    with errors_as_exit_codes():
        from edge.inference.choosing import precision_to_build
        from edge.inference.trt.building import ensure_plan
        from edge.inference.trt.platform import platform

        place, here = _place(config, engines), platform()
        options = place.options.build if level is None else replace(place.options.build, level=level)
        done = []
        for model in place.chosen(names):
            wanted = precision_to_build(model, precision, place.options.precision)
            with _bar(quiet=as_json) as on_progress:
                plan = ensure_plan(
                    place.plans, model, wanted, here, options, on_progress=on_progress, stop=stop, force=force
                )
            told = _proved(place, model, plan, here)
            done.append(told)
            if not as_json:
                _say(f"{model.folder.name} {wanted}: {told['note']}; {told['path']}, {told['bytes'] / 2**20:.1f} MiB")
    if as_json:
        print(json.dumps(done, indent=2))
    if any(told["proved"] is False for told in done):
        raise typer.Exit(EXIT_FAILED)


def _say(text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _bar(*, quiet: bool) -> Iterator[Callable[[BuildProgress], None]]:
    """A progress bar on standard error, or a line now and then where that is no terminal."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    if quiet or not err.is_terminal:
        told = set[str]()

        def tell(progress: BuildProgress) -> None:
            if progress.phase not in told and not quiet:
                told.add(progress.phase)
                err.print(str(progress), style="dim", markup=False, highlight=False, soft_wrap=True)

        yield tell
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda p: bar.update(task, description=f"{p.model}: {p.phase}", completed=p.fraction)


def _proved(place: _Place, model: StoredModel, plan: Plan, here: Platform) -> dict[str, Any]:
    """What became of a built plan: where there is a GPU, it is loaded and proved as the daemon does it."""
    from edge.inference.serving import load

    proved: bool | None = None
    note = f"built in {plan.record.seconds:g} s"
    if plan.record.state == "accepted":
        proved, note = True, "already built and proved"
    elif not here.has_gpu:
        note += ", not proved: no GPU here; it will be proved when it is first loaded"
    else:
        precision = plan.record.key.precision
        assert precision != "int8-cpu", "no plan is built of it"
        asked = replace(place.options, backend="tensorrt", precision=precision)
        with load(model, asked, plans=place.plans) as serving:
            proved = serving.plan is not None and serving.plan.path == plan.path
            plan = serving.plan if proved and serving.plan is not None else plan
            note += ", proved" if proved else f", NOT PROVED: {serving.degraded}"
    record = plan.record
    return {
        "engine": model.folder.name,
        "precision": record.key.precision,
        "proved": proved,
        "note": note,
        "key": record.key.digest,
        "path": str(plan.path),
        "bytes": record.plan_bytes,
        "seconds": record.seconds,
        "platform": str(record.key.platform),
        "golden": record.golden,
    }


@app.command("list", short_help="What was built.")
def list_plans(config: ConfigPath = Default, engines: EnginesPath = None, as_json: AsJson = False) -> None:
    """Every engine that TensorRT built here: for what GPU and version, its state, and whether it serves."""
    with errors_as_exit_codes():
        place = _place(config, engines)
        entries = place.plans.list(_platform_here())
    if as_json:
        print(json.dumps([_as_dict(e) for e in entries], indent=2))
        return
    if not entries:
        _say(f"nothing built in {place.plans.root}; `edge engines build` builds what the cameras use")
        return
    console.print(_table(entries))


def _as_dict(entry: PlanEntry) -> dict[str, Any]:
    return {
        "engine": entry.model,
        "path": str(entry.path),
        "role": entry.role,
        "problem": None if entry.problem is None else {"reason": entry.problem.reason, "message": str(entry.problem)},
        "record": None if entry.record is None else entry.record.model_dump(mode="json"),
    }


def _table(entries: Sequence[PlanEntry]) -> Any:
    from rich.table import Table

    table = Table(show_edge=False)
    for column in ("engine", "precision", "key", "for", "built", "MiB", "state"):
        table.add_column(column, overflow="fold", no_wrap=column in ("precision", "key"))
    for entry in entries:
        row = [entry.model, "?", entry.path.name[:8], "?", "?", "?"]
        state = f"refused: {entry.problem.reason}" if entry.problem else ""
        if (record := entry.record) is not None:
            built, size = record.built_at[:16].replace("T", " "), f"{record.plan_bytes / 2**20:.1f}"
            row = [entry.model, record.key.precision, row[2], str(record.key.platform), built, size]
            state = state if entry.problem else " ".join(filter(None, (record.state, entry.role)))
        table.add_row(*(cell.replace("[", r"\[") for cell in (*row, state)))
    return table


@app.command(short_help="May each be loaded?")
def verify(config: ConfigPath = Default, engines: EnginesPath = None) -> None:
    """Verify file, owner, rights, signature and machine of every built engine; exit 1 if one may not be loaded.

    One that was rejected, or is of another GPU or version while a fitting one is there, is told and does not count.
    """
    with errors_as_exit_codes():
        place = _place(config, engines)
        entries = place.plans.list(_platform_here())
    serving = {e.model for e in entries if e.role == "current"}
    failed = 0
    for entry in entries:
        harmless = entry.problem is None or entry.problem.reason == "rejected"
        if not harmless and entry.problem is not None and entry.problem.reason in ("version", "device"):
            harmless = entry.model in serving
        failed += not harmless
        said = "ok" if entry.problem is None else f"{entry.problem.reason}: {entry.problem}"
        _say(f"{entry.model}/{entry.path.name[:8]} {said}")
    if not entries:
        _say(f"nothing built in {place.plans.root}")
    if failed:
        err.print(f"{failed} may not be loaded; `edge engines build` builds them anew", style="red", markup=False)
        raise typer.Exit(EXIT_FAILED)


@app.command(short_help="Take the current one back.")
def rollback(
    name: Annotated[str, typer.Argument(help="Engine.")], config: ConfigPath = Default, engines: EnginesPath = None
) -> None:
    """Reject an engine's current plan by hand: the accepted one before it serves from the daemon's next start on."""
    with errors_as_exit_codes():
        from edge.inference.choosing import precision_to_build
        from edge.inference.trt.plan_record import PlanKey
        from edge.inference.trt.platform import platform

        place, here = _place(config, engines), platform()
        (model,) = place.chosen([name])
        wanted = precision_to_build(model, None, place.options.precision)
        plan = place.plans.rollback(name, here, PlanKey.of(model.manifest, wanted, here, place.options.build))
        record = plan.record
    _say(
        f"{name}: back to {plan.path.name[:8]} ({record.key.precision}, model version {record.model_version}, built "
        f"{record.built_at[:16]}); restart the daemon to load it"
    )


@app.command(short_help="Time each precision on each runtime.")
def bench(
    names: Names = None,
    config: ConfigPath = Default,
    engines: EnginesPath = None,
    batch: Annotated[int, typer.Option(min=1, help="Pictures in one inference.")] = 1,
    seconds: Annotated[float, typer.Option(min=0.1, help="Measuring time of an engine.")] = 10.0,
    as_json: AsJson = False,
) -> None:
    """Time the bare networks: every precision on every runtime that this machine has, in turn in one run.

    What TensorRT has not built yet is built. p99 / p50 tells how steady it is; on a Jetson fix the clocks first.
    """
    from rich.table import Table

    stop = signals_end()
    table = Table(show_edge=False)
    for column in ("engine", "runtime", "precision", "p50 ms", "p99 ms", "least ms", "of the first"):
        table.add_column(column, overflow="fold", justify="right" if "ms" in column else "left")
    rows: list[dict[str, Any]] = []
    skipped: dict[str, None] = {}
    with errors_as_exit_codes():
        place = _place(config, engines)
        logging.getLogger("edge").setLevel(logging.CRITICAL)  # what is not there is told below
        from edge.inference.runtimes import time_runtimes

        for model in place.chosen(names):
            measured, reasons = time_runtimes(
                model, place.options, place.plans, batch=batch, seconds=seconds, stop=stop
            )
            rows += _rows(model.folder.name, batch, measured)
            skipped.update(dict.fromkeys(reasons))
    for why in skipped:
        err.print(f"not timed: {why}", style="dim", markup=False, highlight=False, soft_wrap=True)
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        numbers = (f"{row[key]:.2f}" for key in ("p50_ms", "p99_ms", "least_ms", "ratio"))
        table.add_row(row["engine"], row["runtime"], row["precision"], *numbers)
    console.print(table)


def _rows(name: str, batch: int, measured: Sequence[RuntimeTimes]) -> list[dict[str, Any]]:
    return [
        {
            "engine": name,
            "runtime": m.runtime,
            "precision": m.precision,
            "batch": batch,
            "p50_ms": m.times.p50_ms,
            "p99_ms": m.times.p99_ms,
            "least_ms": m.times.min_ms,
            "ratio": m.times.ratio,
        }
        for m in measured
    ]


@app.command(short_help="Remove what is of no use any more.")
def clean(
    config: ConfigPath = Default,
    engines: EnginesPath = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove every built engine.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Remove what is superseded, rejected, broken, or of another GPU or version; one to go back to is kept."""
    with errors_as_exit_codes():
        place = _place(config, engines)
        gone = place.plans.clean(_platform_here(), everything=everything, dry_run=dry_run)
    verb = "would remove" if dry_run else "removed"
    for entry in gone:
        why = "all" if everything else (entry.problem.reason if entry.problem else "superseded")
        _say(f"{verb} {entry.path} ({why})")
    if not gone:
        _say(f"nothing to remove in {place.plans.root}")
