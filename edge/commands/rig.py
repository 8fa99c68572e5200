"""`edge rig`: do the pictures of a composed panorama meet, and if not, how they are to be put together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from edge.commands.terminal import EXIT_FAILED, ConfigPath, console, errors_as_exit_codes, loaded
from edge.errors import EdgeError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from edge.cameras.base import ComposedSpec
    from edge.cameras.seams import Order
    from edge.scene import ImageArray

app = typer.Typer(
    help="Look at cameras that are composed of several: rigs, dual fisheyes, cubes.", no_args_is_help=True
)

_SEAMLESS = 3.0
"""A cube is put together rightly where its seams differ by no more than so many times its faces' own pixels."""
_LEAST_LEVELS = 4.0


@app.callback()
def rig() -> None:
    """Look at cameras that are composed of several."""


@app.command(short_help="Do its pictures meet? In which order do the faces of a cube come?")
def check(
    camera: Annotated[str, typer.Argument(help="Name of the camera in the configuration.")],
    config: ConfigPath = Path("config.yaml"),
) -> None:
    """Read one set of pictures and say how they meet; exit 1 if they would meet better put together otherwise."""
    with errors_as_exit_codes():
        spec = _composed(config, camera)
        from edge.cameras.composed import composer_of, first_pictures
        from edge.cameras.sources import source_from_spec

        images = first_pictures(spec, source_from_spec)
        if spec.cube is None:
            spec = _tell_circles(spec, images)
            _tell_meetings(spec, composer_of(spec, images), images)
            return
        from edge.cameras.seams import faces_of

        fits = _tell_orders(spec, faces_of(images[0]) if len(images) == 1 else images)
    if not fits:
        raise typer.Exit(EXIT_FAILED)


def _composed(config: Path, name: str) -> ComposedSpec:
    settings = loaded(config)
    from edge.cameras.base import ComposedSpec

    found = next((c for c in settings.cameras if c.name == name), None)
    if found is None:
        raise EdgeError(f"no camera {name!r}; there are {', '.join(c.name for c in settings.cameras)}")
    spec = found.spec
    if not isinstance(spec, ComposedSpec):
        raise EdgeError(f"camera {name} is no rig, dual_fisheye or cube; its source is {found.source.type}")
    return spec


def _tell_orders(spec: ComposedSpec, faces: list[ImageArray]) -> bool:
    """Print every order; whether the configured one is the best."""
    from edge.cameras.seams import difference_as, inner_difference, orders

    assert spec.cube is not None
    found = orders(faces)
    table = Table(show_edge=False)
    for column in ("order", "mean difference at seams, of 255", "with faces turned", "rotate_deg"):
        table.add_column(column)
    for order in found:
        turned = any(order.rotate_deg)
        table.add_row(
            _named(order),
            f"{order.difference:.1f}",
            f"{order.turned_difference:.1f}" if turned else "",
            str(list(order.rotate_deg)) if turned else "",
        )
    console.print(table)
    own, inner, best = difference_as(spec.cube, faces), inner_difference(faces), found[0]
    console.print(f"as configured: {own:.1f}; between pixels next to each other within faces: {inner:.1f}")
    if own <= best.best + 0.01:
        if own > max(_SEAMLESS * inner, _LEAST_LEVELS):
            console.print("No order is without seams: these may not be the faces of one cube.", style="yellow")
        return True
    console.print("They meet best as:", style="yellow")
    print(_lines(best))
    return False


def _named(order: Order) -> str:
    layout = order.layout
    if layout.order != "matterport":
        return layout.order
    return f"matterport, front: {layout.front}, clockwise: {str(layout.clockwise).lower()}"


def _lines(order: Order) -> str:
    """What to write in the configuration."""
    layout = order.layout
    lines = [f"order: {layout.order}"]
    if layout.order == "matterport":
        lines += [f"front: {layout.front}", f"clockwise: {str(layout.clockwise).lower()}"]
    if any(order.rotate_deg):
        lines.append(f"rotate_deg: {list(order.rotate_deg)}")
    return "\n".join(lines)


def _tell_circles(spec: ComposedSpec, images: list[ImageArray]) -> ComposedSpec:
    """Print where the circles of fisheyes are that the configuration does not place; the source with them there."""
    from edge.cameras.circles import located, seeks
    from edge.scene import FisheyeCircle

    if not seeks(spec):
        return spec
    placed, found = located(spec, images)
    for n, circle in enumerate(found, 1):
        console.print(f"lens {n}: {circle}", highlight=False, soft_wrap=True)
    for member in placed.members:
        for n, view in enumerate(member.views, 1):
            if isinstance(view.model.fisheye, FisheyeCircle):
                x, y = view.model.fisheye.centre
                print(f"lens {n}: centre: [{x:.5f}, {y:.5f}], radius: {view.model.fisheye.radius:.5f}")
    return placed


def _tell_meetings(spec: ComposedSpec, composer: object, images: list[ImageArray]) -> None:
    from edge.cameras.composer import Composer
    from edge.cameras.seams import meetings

    assert isinstance(composer, Composer)
    found, gains = meetings(composer, images)
    labels = [
        member.label if len(member.views) == 1 else f"{member.label}, lens {n}"
        for member in spec.members
        for n, _ in enumerate(member.views, 1)
    ]
    table = Table(show_edge=False)
    for column in ("cameras", "overlap, of the sphere", "mean difference, of 255", "with matched exposure"):
        table.add_column(column)
    for m in found:
        table.add_row(
            f"{labels[m.one]} - {labels[m.other]}", f"{m.share:.1%}", f"{m.difference:.1f}", f"{m.matched:.1f}"
        )
    console.print(table)
    alone = [label for i, label in enumerate(labels) if all(i not in (m.one, m.other) for m in found)]
    if alone:
        console.print(f"overlaps with no other: {', '.join(alone)}", style="yellow")
    for label, gain in zip(labels, gains, strict=True):
        console.print(f"{label}: exposure x {_rgb(gain)} (red, green, blue, linear light)")


def _rgb(gain: npt.NDArray[np.float64]) -> str:
    return " ".join(f"{value:.3f}" for value in gain)
