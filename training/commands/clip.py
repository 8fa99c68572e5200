"""`edge-train clip`: render what the demo cameras replay."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.commands.options import Assets


def clip(
    out: Annotated[Path, typer.Option(help="Folder for the pictures and camera.json.")],
    kind: Annotated[str, typer.Option(help="panorama or perspective.")] = "panorama",
    seed: Annotated[int, typer.Option(help="Which room.")] = 0,
    frames: Annotated[int, typer.Option(help="How many pictures.")] = 30,
    assets: Assets = None,
) -> None:
    """Render a short clip of one room, as the demo cameras replay."""
    from training.data.synthetic import render_clip

    if kind not in ("panorama", "perspective"):
        raise typer.BadParameter(f"{kind!r} is neither panorama nor perspective")
    render_clip(out, kind, seed, frames, assets)
