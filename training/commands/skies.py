"""`edge-train skies`: compute daylight."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.commands.terminal import progress


def skies(
    out: Annotated[Path, typer.Option(help="Folder for the .hdr files; an interrupted run goes on there.")],
    count: Annotated[int, typer.Option(help="How many.")] = 400,
    seed: Annotated[int, typer.Option(help="Another seed, other places.")] = 1,
) -> None:
    """Compute environments outdoors by day, 256x128 px, with the sun as strong as physics has it."""
    from training.data.synthetic.skies import write_daylight

    with progress("skies", count) as show:
        write_daylight(out, count, seed, progress=show)
