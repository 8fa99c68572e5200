"""`edge bench`: the pipeline against its bare networks, or other networks beside ours, printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from edge.commands.terminal import ConfigPath, console, err, errors_as_exit_codes, loaded

if TYPE_CHECKING:
    from edge.commands.compare import Comparison
    from edge.commands.measurement import Report


def bench(
    config: ConfigPath = Path("config.yaml"),
    seconds: Annotated[float, typer.Option(min=2, help="Measuring time.")] = 20.0,
    cameras: Annotated[
        int | None, typer.Option(min=1, max=64, help="So many replayed cameras instead of those configured.")
    ] = None,
    as_configured: Annotated[
        bool, typer.Option("--as-configured", help="Tasks at their configured cadences, not on every frame.")
    ] = False,
    against: Annotated[
        list[Path] | None, typer.Option(help="Time this ONNX beside ours instead, on one thread; repeatable.")
    ] = None,
    manifest: Annotated[
        list[Path] | None, typer.Option(help="What it takes and gives, in the same order; else manifest.json beside.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="Ours to compare with; else the one of its task.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Measure the whole pipeline on the configured cameras against the bare engines, per stage, in one run.

    With --against, time other networks beside ours, interleaved on one thread; cameras and broker are not needed.
    """
    if against:
        _beside(config, against, manifest or [], engine, seconds, as_json)
        return
    if manifest or engine:
        raise typer.BadParameter("--manifest and --engine go with --against")
    with errors_as_exit_codes():
        settings = loaded(config)
        from edge.commands.measurement import measure

        report = measure(
            settings,
            seconds=seconds,
            cameras=cameras,
            saturated=not as_configured,
            on_progress=lambda text: err.print(text, style="dim", markup=False),
        )
    if as_json:
        print(json.dumps(report.as_dict(), indent=2))
        return
    console.print(headline(report), markup=False, highlight=False, soft_wrap=True)
    for table in report_tables(report):
        console.print(table)


def _beside(
    config: Path, against: list[Path], manifests: list[Path], engine: str | None, seconds: float, as_json: bool
) -> None:
    if manifests and len(manifests) != len(against):
        raise typer.BadParameter(
            f"{len(against)} --against and {len(manifests)} --manifest: give one for each, or none"
        )
    given: list[Path | None] = [*manifests] or [None] * len(against)
    from edge.commands.compare import compare
    from edge.scene import TASKS

    with errors_as_exit_codes():
        settings = loaded(config)
        report = compare(
            settings.model_store(),
            list(zip(against, given, strict=True)),
            names={task: settings.tasks[task].engine for task in TASKS},
            engine=engine,
            seconds=seconds,
            on_progress=lambda text: err.print(text, style="dim", markup=False),
        )
    if as_json:
        print(json.dumps(report.as_dict(), indent=2))
        return
    console.print(comparison_table(report))


def headline(report: Report) -> str:
    """The report in four lines."""
    c = report.conditions
    p50, p99, longest = report.latency_ms
    sent = "" if report.publish_ms is None else f", {report.publish_ms[0]:.1f} ms until the broker has it"
    ratio = "at the configured cadences"
    if report.ratio_to_bare is not None:
        ratio = f"= {report.ratio_to_bare:.2f} of bare inference"
    return (
        f"{c.cameras} cameras, {report.results_per_s:.1f} results/s {ratio}\n"
        f"latency p50 {p50:.0f}, p99 {p99:.0f}, longest {longest:.0f} ms; "
        f"{report.pictures_per_inference:.1f} pictures an inference\n"
        f"{report.cpu_cores:.2f} cores, {report.memory_bytes / 2**20:.0f} MiB with capture processes, "
        f"{report.memory_growth_bytes_per_s / 2**10:+.1f} KiB/s; publishing {report.publishing_share:.1%}{sent}\n"
        f"{c.threads} threads, broker {c.broker} ({c.machine}, load {c.load_average:.2f} before)"
    )


def report_tables(report: Report) -> list[Table]:
    """The report's details for people."""
    stages = Table(show_edge=False, caption=_dropped(report), caption_justify="left")
    for column in ("stage", "p50 ms", "p99 ms", "of the time"):
        stages.add_column(column, justify="left" if column == "stage" else "right")
    for s in report.stages:
        stages.add_row(s.stage, f"{s.p50_ms:.2f}", f"{s.p99_ms:.2f}", f"{s.share:.1%}")
    tasks = Table(title="per camera and task", title_justify="left", show_edge=False)
    for column in ("camera", "task", "results", "bare p50 ms", "p99", "in pipeline p50 ms", "p99"):
        side: Literal["left", "right"] = "left" if column in ("camera", "task") else "right"
        tasks.add_column(column, justify=side)
    for t in report.tasks:
        times = (t.bare_p50_ms, t.bare_p99_ms, t.pipeline_p50_ms, t.pipeline_p99_ms)
        tasks.add_row(t.camera, t.task, str(t.results), *("–" if x is None else f"{x:.2f}" for x in times))
    return [stages, tasks]


def _dropped(report: Report) -> str:
    if not report.dropped:
        return "nothing dropped"
    return "not inferred or published: " + ", ".join(f"{reason} {n}" for reason, n in report.dropped.items())


def comparison_table(comparison: Comparison) -> Table:
    """The comparison for people."""
    loads = [comparison.load_before, comparison.load_after]
    load = " to ".join("?" if value is None else f"{value:.2f}" for value in loads)
    title = (
        f"{comparison.rounds} rounds, each network once in each; {comparison.runtime} ({comparison.machine}); "
        f"load average {load}"
    )
    table = Table(title=title, title_justify="left", show_edge=False)
    for column in ("network", "input px", "file MB", "p50 ms", "min ms", "p99 ms", "/ ours", "quartiles"):
        table.add_column(column, justify="left" if column == "network" else "right", overflow="fold")
    for n in comparison.networks:
        t = n.times
        ratio = ("1", "") if n.ours else (f"{t.ratio:.2f}", f"{t.ratio_q25:.2f}–{t.ratio_q75:.2f}")
        table.add_row(
            f"{n.name} {n.version}" + (" (ours)" if n.ours else ""),
            f"{n.width_px}x{n.height_px}",
            f"{n.file_bytes / 1e6:.1f}",
            *(f"{value:.2f}" for value in (t.p50_ms, t.min_ms, t.p99_ms)),
            *ratio,
        )
    return table
