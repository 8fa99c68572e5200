"""`edge-train fit`: train a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.commands.options import Accelerator, Hdri, MaxRooms, Objects, Rooms, Sources, Threads, Workers
from training.config.file import load_recipe, with_overrides
from training.config.recipe import Recipe


def fit(
    out: Annotated[Path, typer.Option(help="Folder for checkpoints and logs.")],
    recipe: Annotated[
        Path | None, typer.Argument(help="training/recipes/<name>.yaml; may be left out with --from.")
    ] = None,
    from_engine: Annotated[
        Path | None, typer.Option("--from", help="Learn on from an engine, engines/<name>: its weights.safetensors.")
    ] = None,
    rooms: Rooms = None,
    objects: Objects = None,
    hdri: Hdri = None,
    source: Sources = None,
    video: Annotated[
        Path | None, typer.Option(help="Footage for self_depth: a video, or a folder of frames or videos.")
    ] = None,
    segmenter: Annotated[
        Path | None, typer.Option(help="An ADE20K segmenter, .npz: people it finds in footage are not learnt from.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="To start from: an encoder's .npz, imagenet, a .ckpt.")] = None,
    pseudo: Annotated[Path | None, typer.Option(help="Folder of pseudo-labels, from `distill label`.")] = None,
    style: Annotated[Path | None, typer.Option(help="Folder of real pictures, for augment.style_share.")] = None,
    pseudo_share: Annotated[float | None, typer.Option(help="Instead of the recipe's share of samples.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Checkpoint to go on from.")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="End, properly annealed, after this long.")] = None,
    steps: Annotated[int | None, typer.Option(help="Instead of the recipe's number of steps.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    max_rooms: MaxRooms = None,
    workers: Workers = 1,
    threads: Threads = 0,
    accelerator: Accelerator = "auto",
    precision: Annotated[str | None, typer.Option(help="Instead of the recipe's, e.g. bf16-mixed.")] = None,
    devices: Annotated[int, typer.Option(help="Devices that share each batch; torchrun says it itself.")] = 1,
    nodes: Annotated[int, typer.Option(help="Machines with so many devices each; torchrun says it itself.")] = 1,
    strategy: Annotated[str, typer.Option(help="How devices share, Lightning's name: auto, ddp, ...")] = "auto",
    logger: Annotated[str, typer.Option(help="csv, tensorboard, wandb, mlflow or comet.")] = "csv",
    progress: Annotated[bool, typer.Option(help="Draw a progress bar.")] = True,
) -> None:
    """Train a recipe; checkpoints best.ckpt, last.ckpt and final.ckpt, and splits.json, go to --out."""
    from lightning.pytorch.utilities import rank_zero_only

    from training.data.sources import with_sources
    from training.fit import Hardware, Loading
    from training.fit import fit as train

    start, weights = _start(recipe, from_engine, weights, steps)
    loaded = with_overrides(
        start,
        data={
            "rooms": rooms,
            "objects": objects,
            "hdri": hdri,
            "weights": weights,
            "max_rooms": max_rooms,
            "pseudo": pseudo,
            "pseudo_share": pseudo_share,
            "style": style,
            "segmenter": segmenter,
        },
        optim={"steps": steps, "batch_size": batch_size, "precision": precision},
    )
    sources = [*(source or ()), *([] if video is None else [f"video={video}"])]
    final = train(
        with_sources(loaded, sources),
        out,
        resume=resume,
        max_minutes=max_minutes,
        hardware=Hardware(accelerator, devices, nodes, strategy),
        loading=Loading(workers, threads),
        logger=logger,
        show_progress=progress,
    )
    rank_zero_only(typer.echo)(final)


def _start(
    recipe: Path | None, engine: Path | None, weights: Path | None, steps: int | None = None
) -> tuple[Recipe, Path | None]:
    """The recipe and the weights to start from: as given, or an engine's own, to be learnt on from gently."""
    if engine is None:
        if recipe is None:
            raise typer.BadParameter("give a recipe, or an engine with --from")
        return load_recipe(recipe), weights
    from training.tasks.weights import WEIGHTS_FILE, read_weights

    if weights is not None:
        raise typer.BadParameter("--from and --weights both say what to start from; leave one out")
    file = engine / WEIGHTS_FILE if engine.is_dir() else engine
    if recipe is not None:
        return load_recipe(recipe), file
    own = read_weights(file)[0]
    return own.model_copy(update={"optim": own.optim.learning_on(steps)}), file
