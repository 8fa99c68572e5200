"""`edge-train calibrate`: learn what a model's signs of doubt mean."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from training.commands.options import Threads


def calibrate(
    model: Annotated[Path, typer.Argument(help="A model folder; its manifest is written anew.")],
    rooms: Annotated[Path, typer.Option(help="Rendered rooms that the model has not learnt from.")],
    split: Annotated[str, typer.Option(help="Which part of them: val, test or train.")] = "val",
    threads: Threads = 0,
) -> None:
    """Learn what overlap or error to expect of a model's layout and depth, and write it into the manifest."""
    from training import calibrate as learn
    from training.evaluate import part_named

    for line in learn.calibrate(model, rooms, part_named(split), threads=threads):
        Console().print(line)
