"""`edge-train quantize`: an int8 file for a model folder that is there already."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from training.commands.options import Hdri, Rooms, Sources
from training.config.file import with_overrides


def quantize(
    folder: Annotated[Path, typer.Argument(help="The model folder, engines/<name>.")],
    rooms: Rooms = None,
    hdri: Hdri = None,
    source: Sources = None,
    form: Annotated[
        Literal["int8", "int8-cpu"], typer.Option(help="For TensorRT, or for CPUs (ONNX Runtime).")
    ] = "int8-cpu",
    calibration: Annotated[int, typer.Option(help="Pictures learnt from, on which ranges are measured.")] = 48,
    pictures: Annotated[int, typer.Option(help="Held-out pictures that it is compared with float32 on.")] = 12,
) -> None:
    """Write model.int8-cpu.onnx (or model.int8.onnx) beside model.onnx: only where it is close enough and faster.

    Manifest and card say so either way. On a device it serves only if that device runs it faster too.
    """
    from edge.errors import DataError
    from training.data.sources import with_sources
    from training.evaluate import opened, recipe_of
    from training.export.precision.beside import add_int8
    from training.export.proof.views import views_of
    from training.measure.headline import headline_of

    model = opened(folder)
    recipe = recipe_of(model)
    model.backend.close()
    if recipe is None:
        raise DataError(f"{folder}: its manifest names no recipe in training/recipes, which says what it takes")
    recipe = with_sources(with_overrides(recipe, data={"rooms": rooms, "hdri": hdri}), source or ())
    score = None if rooms is None else headline_of(model.manifest, rooms, recipe.data.split_seed)
    learnt, held_out = views_of(recipe, "train", calibration), views_of(recipe, "val", pictures)
    outcome = add_int8(folder, held_out, learnt, form, score=score)
    for line in (outcome.row, *outcome.notes):
        typer.echo(line)
