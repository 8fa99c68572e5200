"""`edge-train selftrain`: a network for things learns on from pictures without cameras."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.commands.options import Threads
from training.commands.terminal import progress


def selftrain(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint of a network for things (.ckpt).")],
    images: Annotated[Path, typer.Option(help="Folder with one picture of each thing.")],
    masks: Annotated[Path, typer.Option(help="Folder with a mask for each, of the same name, white on the thing.")],
    category: Annotated[str, typer.Option(help="What the pictures show.")],
    out: Annotated[Path, typer.Option(help="Folder for final.ckpt, cameras.npz and report.json.")],
    epochs: Annotated[int, typer.Option(help="Turns of network and cameras, after the first visit.")] = 4,
    cameras: Annotated[int, typer.Option(help="Of each picture, at first.")] = 10,
    kept: Annotated[int, typer.Option(help="Of each picture after the first visit.")] = 4,
    rays: Annotated[int, typer.Option(help="Of each camera and step.")] = 340,
    max_pictures: Annotated[int | None, typer.Option(help="Use only so many.")] = None,
    gate: Annotated[bool, typer.Option(help="Stop where stage 1 does not explain the pictures.")] = True,
    threads: Threads = 0,
) -> None:
    """Learn on from pictures of one category whose cameras and shapes nobody knows (stage 2)."""
    import torch

    from training.distill.selftrain import Settings
    from training.distill.selftrain import selftrain as learn

    if threads:
        torch.set_num_threads(threads)
    settings = Settings(epochs=epochs, cameras=cameras, kept=kept, rays=rays, gate=gate)
    with progress("pictures, then epochs", None) as show:
        report = learn(checkpoint, images, masks, category, out, settings, max_pictures, show)
    typer.echo(
        f"{out}: best cameras explain {report.best_iou:.3f} of the masks (one for all: {report.fixed_iou:.3f}); "
        f"loss {report.losses[0]:.4f} -> {report.losses[-1]:.4f}"
    )
