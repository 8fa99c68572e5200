"""`edge-train synthesize-objects`: render single things."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.commands.options import Hdri
from training.commands.terminal import progress


def synthesize_objects(
    out: Annotated[Path, typer.Option(help="Folder for the .h5 files; an interrupted run goes on there.")],
    models: Annotated[
        list[Path] | None, typer.Option(help="Folder of GLB, glTF or OBJ files, or ShapeNet's; repeatable.")
    ] = None,
    made: Annotated[int, typer.Option(help="Pieces of furniture to make of each kind.")] = 100,
    seed: Annotated[int, typer.Option(help="Another seed, other cameras, variants and split.")] = 1,
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
    hdri: Hdri = None,
    variants: Annotated[int, typer.Option(help="Copies of a model to learn from, all but one varied.")] = 10,
    views: Annotated[int, typer.Option(help="Views of each of them.")] = 6,
    wild: Annotated[int, typer.Option(help="Copies of a wild model, one view each.")] = 16,
    made_views: Annotated[int, typer.Option(help="Views of a piece made here.")] = 4,
    test_views: Annotated[int, typer.Option(help="Views of what is validated and tested on.")] = 12,
    elevation: Annotated[str, typer.Option(help="Lowest and highest camera, degrees.")] = "-10,50",
    samples: Annotated[int, typer.Option(help="Light paths a pixel.")] = 16,
    sheet: Annotated[Path | None, typer.Option(help="Also draw a .png of things with their grids.")] = None,
) -> None:
    """Render single things with exact occupancy and colours, split so that what is alike is on one side."""
    from training.data.synthetic.objects.series import Amounts
    from training.data.synthetic.objects.series import synthesize_objects as render
    from training.data.synthetic.objects.sheet import object_sheet

    try:
        low, high = (float(part) for part in elevation.split(","))
    except ValueError as e:
        raise typer.BadParameter(f"{elevation!r}: write two angles in degrees, like -10,50") from e
    with progress("things", None) as show:
        render(
            out,
            models or (),
            made,
            seed,
            workers,
            hdri=hdri,
            amounts=Amounts(variants, wild, views, made_views, test_views),
            elevation_deg=(low, high),
            samples=samples,
            progress=show,
        )
    if sheet is not None:
        typer.echo(object_sheet(out, sheet))
