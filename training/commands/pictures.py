"""`edge-train pictures`: draw what the shipped engines give."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def pictures(
    out: Annotated[Path, typer.Option(help="Folder for depth.jpg, layout.jpg, lighting.jpg and objects.jpg.")] = Path(
        "docs"
    ),
    engines: Annotated[Path, typer.Option(help="Folder of model folders.")] = Path("engines"),
    clips: Annotated[Path, typer.Option(help="Where `clip` made panorama and perspective.")] = Path("edge/demo"),
) -> None:
    """Draw what the engines give on our own clips, for the README."""
    from training.pictures import draw

    for path in draw(engines, clips, out):
        typer.echo(path)
