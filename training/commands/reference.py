"""`edge-train reference`: what the pictures are like that a model knows, for one that is exported already."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.commands.options import Hdri, Rooms, Sources
from training.config.file import with_overrides


def reference(
    model: Annotated[Path, typer.Argument(help="A model folder; its manifest and card are written anew.")],
    rooms: Rooms = None,
    hdri: Hdri = None,
    source: Sources = None,
    split: Annotated[
        list[str] | None,
        typer.Option(help="Which part of them: val (default), test; repeat. Train if never learnt from."),
    ] = None,
    pictures: Annotated[int, typer.Option(min=20, help="About how many, evenly from all that is given.")] = 1000,
) -> None:
    """Write into a manifest what pictures are like that it was not trained on, so that devices tell of unlike ones.

    Nothing is trained and no weight changes. Give pictures such as it serves on; 20 rooms or places at least.
    """
    from edge.errors import DataError
    from training.data.sources import with_sources
    from training.evaluate import opened, part_named, recipe_of
    from training.export.reference import add_reference, described, known_pictures

    opened_model = opened(model)
    recipe = recipe_of(opened_model)
    opened_model.backend.close()
    if recipe is None:
        raise DataError(f"{model}: its manifest names no recipe in training/recipes, which says what it takes")
    recipe = with_sources(with_overrides(recipe, data={"rooms": rooms, "hdri": hdri}), source or ())
    parts = [part_named(text) for text in split or ["val"]]
    written = add_reference(model, list(known_pictures(recipe, parts, pictures)), described(recipe, parts))
    typer.echo(f"{model}: {written.pictures} pictures of {written.scenes} scenes; {written.data}")
