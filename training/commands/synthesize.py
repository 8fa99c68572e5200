"""`edge-train synthesize`: render rooms."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.commands.options import Assets, size_px
from training.commands.terminal import progress


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

    with progress("rooms", rooms) as show:
        render(
            out,
            rooms,
            seed,
            workers,
            assets,
            size_px=size_px(size),
            samples=samples,
            views=views,
            pictures=pictures,
            hold_out_skies=tuple(hold_out_sky or ()),
            ray=ray,
            progress=show,
        )
    if sheet is not None:
        typer.echo(contact_sheet(out, sheet))
