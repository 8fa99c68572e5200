"""`edge-train import`: published weights and other people's networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.commands.options import size_px


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
    size_wh = None if size is None else size_px(size)
    typer.echo(import_checkpoint(works[kind], file, out, name=name, licence=licence, size_wh=size_wh))
