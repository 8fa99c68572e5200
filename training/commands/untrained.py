"""`edge-train untrained`: a network to time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def untrained(
    recipe: Annotated[Path, typer.Argument(help="training/recipes/<name>.yaml")],
    out: Annotated[Path, typer.Option(help="Folder for model.onnx, manifest.json and card.md.")],
) -> None:
    """Write a recipe's network with random weights, to time its architecture with `edge bench --against`."""
    from training.export.published.untrained import write_untrained

    made = write_untrained(recipe, out)
    typer.echo(f"{out}: {made.name}, for timing only, sha256 {made.onnx.sha256[:12]}")
