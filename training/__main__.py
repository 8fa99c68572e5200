"""The `edge-train` command: synthesize | clip | fit | evaluate | export | pictures."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import MofNCompleteColumn, Progress

from edge.errors import EdgeError
from training.config import Recipe, load_recipe, with_overrides

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Render rooms, train the depth, layout and lighting models, measure them, and export them for the device.",
)
_CONSOLE = Console(stderr=True)

Rooms = Annotated[Path | None, typer.Option(help="Folder of rendered rooms (from `synthesize`).")]
Hdri = Annotated[Path | None, typer.Option(help="Folder of equirectangular .hdr environments.")]
Assets = Annotated[Path | None, typer.Option(help="Folder with furniture/, textures/, hdri/; boxes without.")]
Threads = Annotated[int, typer.Option(help="Threads for the network; 0 = all cores.")]


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError as e:
        raise typer.BadParameter(f"{text!r} is no size; write width x height in px, like 512x256") from e
    return width, height


@app.command()
def synthesize(
    out: Annotated[Path, typer.Option(help="Folder for the .h5 files; an interrupted run goes on there.")],
    rooms: Annotated[int, typer.Option(help="How many rooms.")] = 100,
    seed: Annotated[int, typer.Option(help="Another seed, other rooms.")] = 1,
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
    assets: Assets = None,
    size: Annotated[str, typer.Option(help="Panorama, px.")] = "512x256",
    samples: Annotated[int, typer.Option(help="Light paths a pixel, before denoising.")] = 16,
    views: Annotated[int, typer.Option(help="Perspective views a room.")] = 3,
    pictures: Annotated[bool, typer.Option(help="Hang the assets' pictures on walls.")] = True,
) -> None:
    """Render random furnished rooms with exact depth, layout and light."""
    from training.data.synthetic import synthesize as render

    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=_CONSOLE) as bar:
        task = bar.add_task("rooms", total=rooms)
        render(
            out, rooms, seed, workers, assets, size_px=_size(size), samples=samples, views=views, pictures=pictures,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip


@app.command()
def clip(
    out: Annotated[Path, typer.Option(help="Folder for the pictures and camera.json.")],
    kind: Annotated[str, typer.Option(help="panorama or perspective.")] = "panorama",
    seed: Annotated[int, typer.Option(help="Which room.")] = 0,
    frames: Annotated[int, typer.Option(help="How many pictures.")] = 30,
    assets: Assets = None,
) -> None:
    """Render a short clip of one room, as the demo cameras replay."""
    from training.data.synthetic import render_clip

    if kind not in ("panorama", "perspective"):
        raise typer.BadParameter(f"{kind!r} is neither panorama nor perspective")
    render_clip(out, kind, seed, frames, assets)


@app.command()
def fit(
    recipe: Annotated[Path, typer.Argument(help="training/recipes/<name>.yaml")],
    out: Annotated[Path, typer.Option(help="Folder for checkpoints and logs.")],
    rooms: Rooms = None,
    hdri: Hdri = None,
    weights: Annotated[Path | None, typer.Option(help="Pretrained weights of the encoder: .npz, or imagenet.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Checkpoint to go on from.")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="End, properly annealed, after this long.")] = None,
    steps: Annotated[int | None, typer.Option(help="Instead of the recipe's number of steps.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    max_rooms: Annotated[int | None, typer.Option(help="Use only so many rooms.")] = None,
    workers: Annotated[int, typer.Option(help="Data loading processes.")] = 1,
    threads: Threads = 0,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, gpu.")] = "auto",
    precision: Annotated[str | None, typer.Option(help="Instead of the recipe's, e.g. bf16-mixed.")] = None,
    logger: Annotated[str, typer.Option(help="csv or tensorboard.")] = "csv",
    progress: Annotated[bool, typer.Option(help="Draw a progress bar.")] = True,
) -> None:
    """Train a recipe; checkpoints best.ckpt, last.ckpt and final.ckpt go to --out."""
    from training.fit import fit as train

    loaded = with_overrides(
        load_recipe(recipe),
        data={"rooms": rooms, "hdri": hdri, "weights": weights, "max_rooms": max_rooms},
        optim={"steps": steps, "batch_size": batch_size, "precision": precision},
    )
    final = train(
        loaded,
        out,
        resume=resume,
        max_minutes=max_minutes,
        workers=workers,
        threads=threads,
        accelerator=accelerator,
        logger=logger,
        show_progress=progress,
    )
    typer.echo(final)


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="A checkpoint (.ckpt) or a model folder.")],
    rooms: Rooms = None,
    hdri: Hdri = None,
    real: Annotated[Path | None, typer.Option(help="Folder with depth/, layout/, lighting/ of real data.")] = None,
    split: Annotated[str, typer.Option(help="Which rooms: test, val or train.")] = "test",
    json: Annotated[Path | None, typer.Option(help="Write the numbers here, for `export --metrics`.")] = None,
    threads: Threads = 0,
) -> None:
    """Measure a model as the device runs it, beside the trivial baselines."""
    from training import evaluate as measure
    from training.export.runners import manifest_at

    recipe = measure.recipe_of(model, manifest_at(model))
    hold_out, seed = (recipe.data.hold_out_hdri, recipe.data.split_seed) if recipe else ((), 0)
    places = measure.Places(rooms=rooms, split=split, split_seed=seed, hdri=hdri, hold_out_hdri=hold_out, real=real)
    rows = measure.evaluate(model, places, threads=threads)
    measure.print_table(rows, Console())
    if json is not None:
        measure.write_json(rows, model, json)


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint (.ckpt).")],
    out: Annotated[Path, typer.Option(help="The model folder, engines/<name>.")],
    rooms: Rooms = None,
    hdri: Hdri = None,
    metrics: Annotated[Path | None, typer.Option(help="What `evaluate --json` wrote, for manifest and card.")] = None,
    commit: Annotated[str | None, typer.Option(help="Commit that trained it, if the checkpoint does not say.")] = None,
    notes: Annotated[str, typer.Option(help="A sentence for the card.")] = "",
) -> None:
    """Write model.onnx, golden.npz, manifest.json and card.md, and prove that the ONNX computes the same."""
    from training.export.engine import export_checkpoint
    from training.tasks.base import read_checkpoint

    recipe = with_overrides(read_checkpoint(checkpoint)[0], data={"rooms": rooms, "hdri": hdri})
    inputs, counts = _golden_inputs(recipe)
    manifest = export_checkpoint(checkpoint, out, inputs, counts=counts, commit=commit, metrics=metrics, notes=notes)
    typer.echo(f"{out}: {manifest.name} {manifest.version}, sha256 {manifest.onnx.sha256[:12]}")


@app.command()
def pictures(
    out: Annotated[Path, typer.Option(help="Folder for depth.jpg, layout.jpg and lighting.jpg.")] = Path("docs"),
    engines: Annotated[Path, typer.Option(help="Folder of model folders.")] = Path("engines"),
    clips: Annotated[Path, typer.Option(help="Where `clip` made panorama and perspective.")] = Path("edge/demo"),
) -> None:
    """Draw what the engines give on our own clips, for the README."""
    from training.pictures import draw

    for path in draw(engines, clips, out):
        typer.echo(path)


def _golden_inputs(recipe: Recipe, count: int = 4) -> tuple[npt.NDArray[np.float32], dict[str, int]]:
    """Tensors of held-out pictures, with a mask channel also one that a camera sees part of; and how much data."""
    from training.data.masks import view_masks
    from training.data.sources import datasets

    split = datasets(recipe)
    held_out: Any = split.validation
    step = max(1, len(held_out) // count)
    inputs = [held_out[i]["image"].numpy() for i in range(0, min(len(held_out), step * count), step)]
    if recipe.input.mask_channel:
        inputs.append(inputs[0] * view_masks(recipe.input.width_px, recipe.input.height_px)[0])
    return np.stack(inputs).astype(np.float32), split.counts


def main() -> None:
    """Run; our own errors are one message and exit code 1."""
    handler = RichHandler(console=_CONSOLE, show_path=False)
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[handler])
    try:
        app()
    except EdgeError as e:
        _CONSOLE.print(f"edge-train: {e}", style="red", markup=False, highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
