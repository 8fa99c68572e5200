"""`edge-train distill`: teach smaller models, and models for other pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from training.commands.options import Objects, Threads
from training.commands.terminal import progress

app = typer.Typer(no_args_is_help=True, help="Teachers to student: pseudo-labels and smaller encoders.")


@app.callback()
def distill() -> None:
    """Teach smaller models, and models for other pictures."""


@app.command()
def label(
    pictures: Annotated[Path, typer.Option(help="Folder of unlabelled pictures: panoramas, .hdr, perspective ones.")],
    out: Annotated[Path, typer.Option(help="Folder for the labels and sheet.png, for `fit --pseudo`.")],
    teacher: Annotated[list[Path] | None, typer.Option(help="A .ckpt or model folder; one of each noun.")] = None,
    segmenter: Annotated[list[Path] | None, typer.Option(help="An ADE20K segmenter, .npz; repeatable.")] = None,
    match: Annotated[list[str] | None, typer.Option(help="Only names like indoor__*; repeatable.")] = None,
    hfov_deg: Annotated[float | None, typer.Option(help="Field of view of pictures that are no panoramas.")] = None,
    threads: Threads = 0,
) -> None:
    """Label pictures by trained models and segmenters, to be learnt from beside labelled data."""
    import torch

    from training.data.samples.unlabelled import picture_files
    from training.distill.label import Labeller, draw_sheet, label_pictures

    if threads:
        torch.set_num_threads(threads)
    found = picture_files(pictures, match or ["*"])
    hfov_rad = None if hfov_deg is None else float(np.deg2rad(hfov_deg))
    labeller = Labeller(segmenter or (), teacher or (), threads=threads)
    with progress("pictures", len(found)) as show:
        written = label_pictures(found, out, labeller, hfov_rad=hfov_rad, progress=show)
    typer.echo(draw_sheet(written, out / "sheet.png"))


@app.command()
def encoder(
    pictures: Annotated[list[Path], typer.Option(help="Folder of any pictures; repeatable.")],
    weights: Annotated[Path, typer.Option(help="The wide encoder's weights, .npz.")],
    out: Annotated[Path, typer.Option(help="The .npz to write, for `fit --weights`.")],
    width: Annotated[float, typer.Option(help="Of the narrow encoder, as net.width in a recipe.")] = 0.5,
    steps: Annotated[int, typer.Option(help="Training steps.")] = 3000,
    threads: Threads = 0,
) -> None:
    """Teach a narrower MobileNetV2 encoder the features of a pretrained one."""
    import torch

    from training.data.samples.unlabelled import picture_files, read_unlabelled
    from training.distill.encoder import narrow_encoder

    if threads:
        torch.set_num_threads(threads)
    found = [read_unlabelled(path) for folder in pictures for path in picture_files(folder)]
    with progress("steps", steps) as show:
        loss = narrow_encoder(
            found,
            weights,
            width,
            out,
            steps=steps,
            progress=lambda done, total, loss: show(done, total, f"loss {loss:.3f}"),
        )
    typer.echo(f"{out}: unexplained share of the wide features {loss:.3f}")


@app.command()
def objects(
    start: Annotated[Path, typer.Option(help="Checkpoint of stage 1, from `fit`.")],
    pictures: Annotated[Path, typer.Option(help="Folder of CATEGORY/images and CATEGORY/masks.")],
    out: Annotated[Path, typer.Option(help="The checkpoint to write.")],
    teacher: Annotated[
        list[str] | None, typer.Option(help="CATEGORY=checkpoint of `selftrain`; repeatable; others have stage 1's.")
    ] = None,
    objects: Objects = None,
    steps: Annotated[int, typer.Option(help="Training steps.")] = 400,
    batch_size: Annotated[int, typer.Option(help="Pictures of a step.")] = 16,
    synthetic: Annotated[float, typer.Option(help="Share of rendered things with true grids (--objects).")] = 0.3,
    max_pictures: Annotated[int | None, typer.Option(help="Of each category.")] = None,
    threads: Threads = 0,
) -> None:
    """Teach one network for things what stage 1 and the categories' own networks say of pictures (stage 3)."""
    import torch

    from training.distill.objects import Plan, distill_objects

    if threads:
        torch.set_num_threads(threads)
    pairs = [text.partition("=") for text in teacher or ()]
    if any(not equals for _, equals, _ in pairs):
        raise typer.BadParameter("write CATEGORY=checkpoint", param_hint="--teacher")
    teachers = {category: Path(path) for category, _, path in pairs}
    folders = {p.parent.name: (p, p.parent / "masks") for p in sorted(pictures.glob("*/images"))}
    if not folders:
        raise typer.BadParameter(f"{pictures}: no CATEGORY/images in it", param_hint="--pictures")
    with progress("steps", steps) as show:
        plan = Plan(steps=steps, batch=batch_size, synthetic=synthetic)
        result = distill_objects(start, teachers, folders, out, plan, objects, max_pictures, show)
    typer.echo(f"{out}: {result}")
