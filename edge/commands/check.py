"""`edge check`: is everything there, does it work, and what to do about what does not."""

from __future__ import annotations

import logging
from pathlib import Path

import typer
from rich.table import Table

from edge.commands.terminal import EXIT_FAILED, ConfigPath, console, err, errors_as_exit_codes, loaded


def check(config: ConfigPath = Path("config.yaml")) -> None:
    """Try configuration, engines (against their golden outputs), cameras and broker; exit 0 if all is well."""
    with errors_as_exit_codes():
        settings = loaded(config)
        from edge.commands.checks import Finding, run_checks

        logging.getLogger("edge").setLevel(logging.CRITICAL)  # the table says it
        findings = [
            Finding(f"configuration {config}", True, f"{len(settings.cameras)} cameras"),
            *run_checks(settings, lambda text: err.print(text, style="dim", markup=False)),
        ]
    table = Table(show_edge=False)
    for column in ("", "what", "found"):
        table.add_column(column, overflow="fold")
    for f in findings:
        table.add_row("[green]ok[/]" if f.passed else "[red]FAILED[/]", f.what, f.detail.replace("[", r"\["))
    console.print(table)
    if not all(f.passed for f in findings):
        raise typer.Exit(EXIT_FAILED)
