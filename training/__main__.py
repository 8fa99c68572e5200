"""The `edge-train` command: every sub-command's options, and the call of the module that does its work.

Data: synthesize, skies, clip, fetch. Models: fit, tune, distill, evaluate. What leaves: export, untrained, import,
pictures.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import MofNCompleteColumn, Progress

from edge.errors import EdgeError
from training.config.file import load_recipe, with_overrides
from training.config.recipe import Recipe

if TYPE_CHECKING:
    from training.export.engine import Files

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Render rooms, train the depth, layout and lighting models, measure them, and export them for the device.",
)
_CONSOLE = Console(stderr=True)
_PROVED_ON = 12
"""Held-out pictures that every exported file is compared with the network on."""
fetch_app = typer.Typer(no_args_is_help=True, help="Download public data, with its sources and licences.")
app.add_typer(fetch_app, name="fetch")
distill_app = typer.Typer(no_args_is_help=True, help="Teachers to student: pseudo-labels and smaller encoders.")
app.add_typer(distill_app, name="distill")

Rooms = Annotated[Path | None, typer.Option(help="Folder of rendered rooms (from `synthesize`).")]
Hdri = Annotated[Path | None, typer.Option(help="Folder of equirectangular .hdr or .exr environments.")]
Sources = Annotated[list[str] | None, typer.Option(help="A data set, kind=folder or kind=folder:weight; repeatable.")]
Assets = Annotated[Path | None, typer.Option(help="Folder with furniture/, textures/, hdri/; boxes without.")]
Threads = Annotated[int, typer.Option(help="Threads for the network; 0 = all cores.")]
Workers = Annotated[int, typer.Option(help="Data loading processes.")]
MaxRooms = Annotated[int | None, typer.Option(help="Use only so many rooms.")]
Accelerator = Annotated[str, typer.Option(help="auto, cpu, gpu.")]


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
    hold_out_sky: Annotated[list[str] | None, typer.Option(help="A place to keep from windows; repeatable.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Also draw a .png of rooms with their labels.")] = None,
    ray: Annotated[str | None, typer.Option(help="Address of a Ray cluster to render on, or `local`.")] = None,
) -> None:
    """Render random furnished rooms with exact depth, layout and light."""
    from training.data.synthetic import contact_sheet
    from training.data.synthetic import synthesize as render

    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=_CONSOLE) as bar:
        task = bar.add_task("rooms", total=rooms)
        render(
            out, rooms, seed, workers, assets, size_px=_size(size), samples=samples, views=views, pictures=pictures,
            hold_out_skies=tuple(hold_out_sky or ()), ray=ray,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    if sheet is not None:
        typer.echo(contact_sheet(out, sheet))


@app.command()
def skies(
    out: Annotated[Path, typer.Option(help="Folder for the .hdr files; an interrupted run goes on there.")],
    count: Annotated[int, typer.Option(help="How many.")] = 400,
    seed: Annotated[int, typer.Option(help="Another seed, other places.")] = 1,
) -> None:
    """Compute environments outdoors by day, 256x128 px, with the sun as strong as physics has it."""
    from training.data.synthetic.skies import write_daylight

    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=_CONSOLE) as bar:
        task = bar.add_task("skies", total=count)
        write_daylight(out, count, seed, progress=lambda done, total: bar.update(task, completed=done, total=total))


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
    source: Sources = None,
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

    loaded = with_overrides(
        load_recipe(recipe),
        data={
            "rooms": rooms,
            "hdri": hdri,
            "weights": weights,
            "max_rooms": max_rooms,
            "pseudo": pseudo,
            "pseudo_share": pseudo_share,
            "style": style,
        },
        optim={"steps": steps, "batch_size": batch_size, "precision": precision},
    )
    final = train(
        with_sources(loaded, source or ()),
        out,
        resume=resume,
        max_minutes=max_minutes,
        hardware=Hardware(accelerator, devices, nodes, strategy),
        loading=Loading(workers, threads),
        logger=logger,
        show_progress=progress,
    )
    rank_zero_only(typer.echo)(final)


@app.command()
def tune(
    recipe: Annotated[Path, typer.Argument(help="A recipe with a tune section.")],
    out: Annotated[Path, typer.Option(help="Folder for trials.csv, best.yaml and the trials' logs.")],
    trials: Annotated[int, typer.Option(help="How many the study shall have, made by all processes together.")] = 20,
    storage: Annotated[
        str | None,
        typer.Option(help="Shared database: sqlite:///FILE (the default, in --out), journal:FILE, or a URL."),
    ] = None,
    study: Annotated[
        str | None, typer.Option(help="Its name; the recipe's by default. The same name joins it.")
    ] = None,
    pruner: Annotated[str, typer.Option(help="Stops bad trials: median, hyperband or none.")] = "median",
    rooms: Rooms = None,
    hdri: Hdri = None,
    source: Sources = None,
    weights: Annotated[Path | None, typer.Option(help="Pretrained weights of the encoder: .npz, or imagenet.")] = None,
    steps: Annotated[int | None, typer.Option(help="Of a trial, instead of the recipe's.")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Longest time of a trial.")] = None,
    max_rooms: MaxRooms = None,
    workers: Workers = 1,
    threads: Threads = 0,
    accelerator: Accelerator = "auto",
) -> None:
    """Search a recipe's settings; run it again elsewhere with the same --storage and --study to help."""
    from training.data.sources import with_sources
    from training.fit import Hardware, Loading
    from training.tune import print_table
    from training.tune import tune as search

    loaded = with_overrides(
        load_recipe(recipe),
        data={"rooms": rooms, "hdri": hdri, "weights": weights, "max_rooms": max_rooms},
        optim={"steps": steps},
    )
    found = search(
        with_sources(loaded, source or ()),
        out,
        trials=trials,
        storage=storage or f"sqlite:///{out / 'study.db'}",
        study=study or loaded.name,
        pruner=pruner,
        max_minutes=max_minutes,
        hardware=Hardware(accelerator),
        loading=Loading(workers, threads),
    )
    print_table(found, loaded, Console())


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="A checkpoint (.ckpt), a model folder, or an .onnx.")],
    rooms: Rooms = None,
    hdri: Hdri = None,
    real: Annotated[Path | None, typer.Option(help="Folder with depth/, layout/, lighting/ of real data.")] = None,
    source: Annotated[list[str] | None, typer.Option(help="A data set, kind=folder; repeatable.")] = None,
    split: Annotated[str, typer.Option(help="Which part of rooms and data sets: test, val or train.")] = "test",
    manifest: Annotated[Path | None, typer.Option(help="Of an .onnx; else manifest.json beside it.")] = None,
    peer: Annotated[Path | None, typer.Option(help="A published lighting model to compare with.")] = None,
    peer_manifest: Annotated[Path | None, typer.Option(help="Of a peer that is an .onnx.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the numbers here, for `export --metrics`.")] = None,
    errors: Annotated[Path | None, typer.Option(help="Folder for error pictures, worst first, and index.html.")] = None,
    worst: Annotated[int, typer.Option(help="How many error pictures of each set.")] = 50,
    threads: Threads = 0,
) -> None:
    """Measure a model as the device runs it, beside the trivial baselines."""
    from training import evaluate as measure

    opened = measure.opened(model, manifest, threads=threads)
    recipe = measure.recipe_of(opened)
    hold_out, seed = (recipe.data.hold_out_hdri, recipe.data.split_seed) if recipe else ((), 0)
    part = measure.part_named(split)
    titles = {data.name for data in opened.manifest.provenance.data}
    sources = measure.sources_for(source or (), recipe, part, titles)
    places = measure.Places(rooms, part, seed, hdri, hold_out, real, sources)
    other = measure.opened(peer, peer_manifest, threads=threads) if peer is not None else None
    report = measure.evaluate(opened, places, peer=other, errors=errors, worst=worst)
    measure.print_table(report, Console())
    if json is not None:
        measure.write_json(report, model, json)


def _labelled(text: str) -> tuple[str, Path]:
    """`WHAT=FILE` in its two parts."""
    what, equals, path = text.rpartition("=")
    if not equals or not what:
        raise typer.BadParameter(f"{text!r}: write what was different, =, and the file of `evaluate --json`")
    return what, Path(path)


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint (.ckpt).")],
    out: Annotated[Path, typer.Option(help="The model folder, engines/<name>.")],
    rooms: Rooms = None,
    hdri: Hdri = None,
    source: Sources = None,
    metrics: Annotated[Path | None, typer.Option(help="What `evaluate --json` wrote, for manifest and card.")] = None,
    commit: Annotated[str | None, typer.Option(help="Commit that trained it, if the checkpoint does not say.")] = None,
    tried: Annotated[
        list[str] | None, typer.Option(help="Another run for the card: WHAT=metrics.json; repeat.")
    ] = None,
    notes: Annotated[str, typer.Option(help="A sentence for the card.")] = "",
    version: Annotated[str | None, typer.Option(help="Instead of the recipe's.")] = None,
    precisions: Annotated[str, typer.Option(help="Which files, by commas: fp32, fp16, int8.")] = "fp32,fp16",
    batch: Annotated[str, typer.Option(help="Rows of the network's input: dynamic, or 1.")] = "dynamic",
    calibration: Annotated[int, typer.Option(help="Pictures learnt from, on which int8's ranges are measured.")] = 32,
) -> None:
    """Write model.onnx and its other precisions, golden.npz, manifest.json and card.md: all of it proved, or nothing.

    int8 is written only where it is close enough and was measured faster; the card says so either way.
    """
    from training.data.sources import datasets, with_sources
    from training.export.engine import export_checkpoint
    from training.export.proof.views import views_of
    from training.tasks.base import read_checkpoint

    recipe = with_overrides(read_checkpoint(checkpoint)[0], data={"rooms": rooms, "hdri": hdri})
    recipe = with_sources(recipe, source or ())
    files = _files_to_export(recipe, precisions, batch, calibration)
    manifest = export_checkpoint(
        checkpoint,
        out,
        views_of(recipe, "val", _PROVED_ON),
        counts=datasets(recipe).counts,
        commit=commit,
        metrics=metrics,
        notes=notes,
        tried=[_labelled(text) for text in tried or ()],
        files=files,
        version=version,
    )
    written = ", ".join(manifest.precisions)
    typer.echo(f"{out}: {manifest.name} {manifest.version} in {written}, sha256 {manifest.onnx.sha256[:12]}")


@app.command()
def untrained(
    recipe: Annotated[Path, typer.Argument(help="training/recipes/<name>.yaml")],
    out: Annotated[Path, typer.Option(help="Folder for model.onnx, manifest.json and card.md.")],
) -> None:
    """Write a recipe's network with random weights, to time its architecture with `edge bench --against`."""
    from training.export.published.untrained import write_untrained

    made = write_untrained(recipe, out)
    typer.echo(f"{out}: {made.name}, for timing only, sha256 {made.onnx.sha256[:12]}")


@app.command("import")
def import_published(
    kind: Annotated[str, typer.Argument(help="horizonnet, fcrn, fcrn-tensorflow, fastdepth or onnx.")],
    file: Annotated[Path, typer.Argument(help="The checkpoint as published, or the .onnx.")],
    out: Annotated[Path, typer.Option(help="Folder for final.ckpt; with onnx, the model folder, engines/<name>.")],
    manifest: Annotated[Path | None, typer.Option(help="With onnx: JSON that says what it takes and gives.")] = None,
    picture: Annotated[Path | None, typer.Option(help="With onnx: what to record its golden pair of.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model; else depth or layout.")] = None,
    licence: Annotated[str | None, typer.Option(help="Of the weights; else that of the project's code.")] = None,
    size: Annotated[str | None, typer.Option(help="Picture the weights are for, px, like 912x228 for KITTI.")] = None,
) -> None:
    """Turn published weights into a checkpoint for `evaluate` and `export`, or an ONNX into a model folder."""
    from training.export.published.foreign import import_onnx
    from training.export.published.published import WORKS, import_checkpoint

    if kind == "onnx":
        if manifest is None:
            raise typer.BadParameter("an ONNX does not say what its tensors mean: give --manifest")
        made = import_onnx(file, manifest, out, picture=picture)
        typer.echo(f"{out}: {made.name} {made.version}, sha256 {made.onnx.sha256[:12]}")
        return
    works = {str(k): k for k in WORKS}
    if kind not in works:
        raise typer.BadParameter(f"{kind!r} is none of {', '.join([*works, 'onnx'])}")
    size_wh = None if size is None else _size(size)
    typer.echo(import_checkpoint(works[kind], file, out, name=name, licence=licence, size_wh=size_wh))


@distill_app.callback()
def distill() -> None:
    """Teach smaller models, and models for other pictures."""


@distill_app.command()
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
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=_CONSOLE) as bar:
        task = bar.add_task("pictures", total=len(found))
        written = label_pictures(
            found, out, labeller, hfov_rad=hfov_rad,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    typer.echo(draw_sheet(written, out / "sheet.png"))


@distill_app.command()
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
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=_CONSOLE) as bar:
        task = bar.add_task("steps", total=steps)
        loss = narrow_encoder(
            found, weights, width, out, steps=steps,
            progress=lambda done, total, loss: bar.update(task, completed=done, description=f"loss {loss:.3f}"),
        )  # fmt: skip
    typer.echo(f"{out}: unexplained share of the wide features {loss:.3f}")


@fetch_app.callback()
def fetch() -> None:
    """Download public data, with its sources and licences."""


@fetch_app.command()
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
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=_CONSOLE) as bar:
        task = bar.add_task("environments", total=limit)
        paths = bring(
            out, categories=[c.strip() for c in categories.split(",") if c.strip()], resolution=resolution,
            format="exr" if file_format == "exr" else "hdr", limit=limit, base_url=api,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    for path in paths:
        typer.echo(path)


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


def _files_to_export(recipe: Recipe, precisions: str, batch: str, calibration: int) -> Files:
    """What the options of `export` ask for."""
    from training.export.engine import Files
    from training.export.precision.variants import FILES
    from training.export.proof.runners import manifest_of
    from training.export.proof.views import views_of
    from training.measure.headline import headline_of

    wanted = tuple(p for p in FILES if p in [text.strip() for text in precisions.split(",")])
    unknown = {text.strip() for text in precisions.split(",")} - set(FILES)
    if unknown or "fp32" not in wanted:
        raise typer.BadParameter(f"{precisions!r}: fp32, and any of {', '.join(FILES)}", param_hint="--precisions")
    if batch not in ("dynamic", "1"):
        raise typer.BadParameter(f"{batch!r} is neither dynamic nor 1", param_hint="--batch")
    learnt, score = [], None
    if "int8" in wanted:
        learnt = views_of(recipe, "train", calibration)
        rooms = recipe.data.rooms
        score = None if rooms is None else headline_of(manifest_of(recipe), rooms, recipe.data.split_seed)
    return Files(wanted, "dynamic" if batch == "dynamic" else 1, learnt, score)


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
