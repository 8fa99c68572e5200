"""`edge-train tune`: search a recipe's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from training.commands.options import Accelerator, Hdri, MaxRooms, Rooms, Sources, Threads, Workers
from training.config.file import load_recipe, with_overrides


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
