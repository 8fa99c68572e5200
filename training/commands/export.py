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
LARGEST_LOSS = 0.01
"""By which a model may be worse than the one that it replaces, each in its noun's headline number."""
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
    even_if_worse: Annotated[bool, typer.Option(help="Also in the place of a model that is better.")] = False,
) -> None:
    """Write model.onnx and its other precisions, golden.npz, manifest.json and card.md: all of it proved, or nothing.

    int8 is written only where it is close enough and was measured faster; the card says so either way. A model that is
    in the folder is replaced only by one that is no worse by more than 0.01 on the test split of the rooms.
    """
    from training.data.sources import with_sources
    from training.export.engine import export_checkpoint
    from training.export.proof.views import views_of
    from training.export.reference import described, known_pictures
    from training.tasks.base import read_checkpoint

    recorded, content = read_checkpoint(checkpoint)
    recipe = with_overrides(recorded, data={"rooms": rooms, "objects": objects, "hdri": hdri})
    recipe = with_sources(recipe, source or ())
    if not even_if_worse:
        must_not_be_worse(checkpoint, out, recipe)
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


def must_not_be_worse(checkpoint: Path, out: Path, recipe: Recipe) -> None:
    """Measure both on rooms that neither learnt from.

    Raises:
        DataError: the checkpoint is worse than the model that it would replace.
    """
    from edge.errors import DataError
    from edge.inference.manifest import MANIFEST_FILE
    from training.export.proof.runners import open_model
    from training.export.proof.tables import worse_by
    from training.measure.headline import headline_of

    if not (out / MANIFEST_FILE).is_file() or recipe.noun == "objects":
        return
    if recipe.data.rooms is None:
        typer.echo(f"{out}: not compared with the model that is there; give --rooms to compare them")
        return
    found = []
    for path in (out, checkpoint):
        manifest, backend = open_model(path)
        with backend:
            found.append(headline_of(manifest, recipe.data.rooms, recipe.data.split_seed)(backend))
    for before, after in ((b, a) for b in found[0] for a in found[1] if a.name == b.name):
        typer.echo(f"{after.data}: {after.name} {before.value:.3f} -> {after.value:.3f}")
        if worse_by(before, after) > LARGEST_LOSS:
            raise DataError(
                f"{out}: worse than the model that is there, {after.name} {before.value:.3f} -> {after.value:.3f}; "
                "export to another folder, train on with more of the rooms, or add --even-if-worse"
            )


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
