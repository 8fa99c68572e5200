"""`edge-train average`: the weights between two networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def average(
    start: Annotated[Path, typer.Argument(help="A checkpoint (.ckpt), a model folder, or its weights.safetensors.")],
    end: Annotated[Path, typer.Argument(help="A checkpoint of the same network, as one that learnt on from START.")],
    out: Annotated[Path, typer.Option(help="The checkpoint to write.")],
    share: Annotated[float, typer.Option(min=0, max=1, help="How far from START to END.")] = 0.5,
) -> None:
    """Write a checkpoint whose weights lie between two networks': what was learnt on, taken part of the way."""
    from training.average import average as write

    write(start, end, out, share)
    typer.echo(out)
