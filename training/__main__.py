"""The `edge-train` command: mounts what is in `training/commands/`, nothing else."""

from __future__ import annotations

import logging
import sys

import typer
from rich.logging import RichHandler

from edge.errors import EdgeError
from training.commands import distill, fetch
from training.commands.average import average
from training.commands.calibrate import calibrate
from training.commands.clip import clip
from training.commands.evaluate import evaluate
from training.commands.export import export
from training.commands.fit import fit
from training.commands.import_published import import_published
from training.commands.pictures import pictures
from training.commands.quantize import quantize
from training.commands.reference import reference
from training.commands.selftrain import selftrain
from training.commands.skies import skies
from training.commands.synthesize import synthesize
from training.commands.synthesize_objects import synthesize_objects
from training.commands.synthesize_walks import synthesize_walks
from training.commands.terminal import CONSOLE
from training.commands.tune import tune
from training.commands.untrained import untrained

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Render rooms and things, train the models, measure them, and export them for the device.",
)
for command in (
    synthesize, synthesize_walks, synthesize_objects, skies, clip, fit, selftrain, tune, average, evaluate, export,
    calibrate, reference, quantize, untrained,
):  # fmt: skip
    app.command()(command)
app.command("import")(import_published)
app.command()(pictures)
app.add_typer(fetch.app, name="fetch")
app.add_typer(distill.app, name="distill")


def main() -> None:
    """Run; our own errors are one message and exit code 1."""
    handler = RichHandler(console=CONSOLE, show_path=False)
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[handler])
    try:
        app()
    except EdgeError as e:
        CONSOLE.print(f"edge-train: {e}", style="red", markup=False, highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
