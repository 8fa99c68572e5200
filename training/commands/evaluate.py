"""`edge-train evaluate`: measure a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from training.commands.options import Hdri, Objects, Rooms, Threads


def evaluate(
    model: Annotated[Path, typer.Argument(help="A checkpoint (.ckpt), a model folder, or an .onnx.")],
    rooms: Rooms = None,
    objects: Objects = None,
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
    flip: Annotated[bool, typer.Option(help="Ask depth in the mirror too, and blend as Monodepth does.")] = False,
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
    places = measure.Places(rooms, objects, part, seed, hdri, hold_out, real, sources, flip)
    other = measure.opened(peer, peer_manifest, threads=threads) if peer is not None else None
    report = measure.evaluate(opened, places, peer=other, errors=errors, worst=worst)
    measure.print_table(report, Console())
    if json is not None:
        measure.write_json(report, model, json)
