"""`edge-train export`: from a checkpoint to a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from training.commands.options import Hdri, Objects, Rooms, Sources
from training.config.file import with_overrides
from training.config.recipe import Recipe

if TYPE_CHECKING:
    from training.export.engine import Files

PROVED_ON = 12
"""Held-out pictures that every exported file is compared with the network on."""
KNOWN_BY = 200
"""Held-out pictures that say what such pictures are like, for the manifest's reference."""
_COUNTED = ("frames", "rooms", "pictures")


def export(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint (.ckpt).")],
    out: Annotated[Path, typer.Option(help="The model folder, engines/<name>.")],
    rooms: Rooms = None,
    objects: Objects = None,
    hdri: Hdri = None,
    source: Sources = None,
    metrics: Annotated[Path | None, typer.Option(help="What `evaluate --json` wrote, for manifest and card.")] = None,
    commit: Annotated[str | None, typer.Option(help="Commit that trained it, if the checkpoint does not say.")] = None,
    tried: Annotated[
        list[str] | None, typer.Option(help="Another run for the card: WHAT=metrics.json; repeat.")
    ] = None,
    notes: Annotated[str, typer.Option(help="A sentence for the card.")] = "",
    version: Annotated[str | None, typer.Option(help="Instead of the recipe's.")] = None,
    precisions: Annotated[str, typer.Option(help="Which files, by commas: fp32, fp16, int8, int8-cpu.")] = "fp32,fp16",
    batch: Annotated[str, typer.Option(help="Rows of the network's input: dynamic, or 1.")] = "dynamic",
    calibration: Annotated[int, typer.Option(help="Pictures learnt from, on which int8's ranges are measured.")] = 32,
) -> None:
    """Write model.onnx and its other precisions, golden.npz, manifest.json and card.md: all of it proved, or nothing.

    int8 is written only where it is close enough and was measured faster; the card says so either way.
    """
    from training.data.sources import with_sources
    from training.export.engine import export_checkpoint
    from training.export.proof.views import views_of
    from training.export.reference import described, known_pictures
    from training.tasks.base import read_checkpoint

    recorded, content = read_checkpoint(checkpoint)
    recipe = with_overrides(recorded, data={"rooms": rooms, "objects": objects, "hdri": hdri})
    recipe = with_sources(recipe, source or ())
    files = _files_to_export(recipe, precisions, batch, calibration)
    manifest = export_checkpoint(
        checkpoint,
        out,
        views_of(recipe, "val", PROVED_ON),
        counts=_counts(recipe, content),
        commit=commit,
        metrics=metrics,
        notes=notes,
        tried=[_labelled(text) for text in tried or ()],
        files=files,
        version=version,
        known=[] if recipe.noun == "objects" else list(known_pictures(recipe, ["val"], KNOWN_BY)),
        known_data="" if recipe.noun == "objects" else described(recipe, ["val"]),
        level=_level(checkpoint, recipe),
    )
    written = ", ".join(manifest.precisions)
    typer.echo(f"{out}: {manifest.name} {manifest.version} in {written}, sha256 {manifest.onnx.sha256[:12]}")


def _counts(recipe: Recipe, content: dict[str, Any]) -> dict[str, int]:
    """How much data a checkpoint learnt from; of footage as its run recorded it, which takes minutes to find again."""
    from training.data.sources import datasets
    from training.tasks.base import runs_of

    said = {name: n for name, n in runs_of(content)[-1].items() if name.removeprefix("validation_") in _COUNTED}
    return said if recipe.task == "self_depth" and said else datasets(recipe).counts


def _level(checkpoint: Path, recipe: Recipe) -> float | None:
    """Of a network for things, the level that is best on the validation split."""
    if recipe.noun != "objects" or recipe.data.objects is None:
        return None
    from training.export.proof.runners import open_model
    from training.measure.objects import best_level

    manifest, backend = open_model(checkpoint)
    return best_level(manifest, backend, recipe.data.objects)


def _labelled(text: str) -> tuple[str, Path]:
    """`WHAT=FILE` in its two parts."""
    what, equals, path = text.rpartition("=")
    if not equals or not what:
        raise typer.BadParameter(f"{text!r}: write what was different, =, and the file of `evaluate --json`")
    return what, Path(path)


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
    if {"int8", "int8-cpu"} & set(wanted):
        learnt = views_of(recipe, "train", calibration)
        rooms = recipe.data.rooms
        score = None if rooms is None else headline_of(manifest_of(recipe), rooms, recipe.data.split_seed)
    return Files(wanted, "dynamic" if batch == "dynamic" else 1, learnt, score)
