"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Rooms = Annotated[Path | None, typer.Option(help="Folder of rendered rooms (from `synthesize`).")]
Hdri = Annotated[Path | None, typer.Option(help="Folder of equirectangular .hdr or .exr environments.")]
Objects = Annotated[Path | None, typer.Option(help="Folder of rendered things (from `synthesize-objects`).")]
Sources = Annotated[list[str] | None, typer.Option(help="A data set, kind=folder or kind=folder:weight; repeatable.")]
Assets = Annotated[Path | None, typer.Option(help="Folder with furniture/, textures/, hdri/; boxes without.")]
Threads = Annotated[int, typer.Option(help="Threads for the network; 0 = all cores.")]
Workers = Annotated[int, typer.Option(help="Data loading processes.")]
MaxRooms = Annotated[int | None, typer.Option(help="Use only so many rooms.")]
Accelerator = Annotated[str, typer.Option(help="auto, cpu, gpu.")]


def size_px(text: str) -> tuple[int, int]:
    """Width and height of an option like 512x256.

    Raises:
        typer.BadParameter: it is none.
    """
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError as e:
        raise typer.BadParameter(f"{text!r} is no size; write width x height in px, like 512x256") from e
    return width, height
