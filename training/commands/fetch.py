"""`edge-train fetch`: download public data."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from training.commands.terminal import progress

app = typer.Typer(no_args_is_help=True, help="Download public data, with its sources and licences.")


@app.callback()
def fetch() -> None:
    """Download public data, with its sources and licences."""


@app.command()
def polyhaven(
    out: Annotated[Path, typer.Option(help="Folder for the environments and SOURCES.csv; a broken run goes on there.")],
    categories: Annotated[str, typer.Option(help="Only those in all of these, such as indoor,night.")] = "",
    resolution: Annotated[str, typer.Option(help="1k is 1024x512 px; 2k, 4k ... are larger.")] = "1k",
    file_format: Annotated[str, typer.Option("--format", help="hdr or exr.")] = "hdr",
    limit: Annotated[int | None, typer.Option(help="At most so many, by name.", min=1)] = None,
    api: Annotated[str, typer.Option(help="Address of the API.")] = "https://api.polyhaven.com",
) -> None:
    """Fetch HDR environments (CC0) from Poly Haven, for `fit --hdri` and behind windows of rendered rooms."""
    from training.data.sets.polyhaven import fetch as bring

    if file_format not in ("hdr", "exr"):
        raise typer.BadParameter(f"{file_format!r} is neither hdr nor exr", param_hint="--format")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with progress("environments", limit) as show:
        paths = bring(
            out,
            categories=[c.strip() for c in categories.split(",") if c.strip()],
            resolution=resolution,
            format="exr" if file_format == "exr" else "hdr",
            limit=limit,
            base_url=api,
            progress=show,
        )
    for path in paths:
        typer.echo(path)
