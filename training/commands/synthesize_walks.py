"""`edge-train synthesize-walks`: render a camera that is carried through rooms."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.commands.options import Assets, size_px
from training.commands.terminal import progress


def synthesize_walks(
    out: Annotated[Path, typer.Option(help="Folder for walk-*.h5; an interrupted run goes on there.")],
    walks: Annotated[int, typer.Option(help="How many, each through another room.")] = 20,
    frames: Annotated[int, typer.Option(help="Of each, 5 cm apart.")] = 40,
    seed: Annotated[int, typer.Option(help="Another seed, other rooms.")] = 1,
    assets: Assets = None,
    baseline: Annotated[float, typer.Option(help="A second camera so many metres to the right; 0 = none.")] = 0.0,
    size: Annotated[str, typer.Option(help="Of the pictures, px.")] = "256x192",
    samples: Annotated[
        int, typer.Option(help="Light paths a pixel, before denoising; 0: flat light, seconds a walk.")
    ] = 32,
    threads: Annotated[int, typer.Option(help="Of the renderer.")] = 2,
) -> None:
    """Render walks through random rooms, with exact depth and pose: to prove learning from footage with."""
    from training.data.synthetic import synthesize_walks as render

    with progress("walks", walks) as show:
        render(
            out,
            walks,
            seed,
            assets,
            frames=frames,
            baseline_m=baseline,
            size_px=size_px(size),
            samples=samples,
            threads=threads,
            progress=show,
        )
