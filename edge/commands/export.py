"""`edge export`: a room in the formats of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edge.commands import broker
from edge.commands.log import log_to_stderr
from edge.commands.terminal import console, errors_as_exit_codes
from edge.errors import EdgeError

if TYPE_CHECKING:
    from edge.derive.formats.sizes import Units
    from edge.derive.model import RoomModel
    from edge.mqtt.home_message import HomeMessage

FORMATS = {
    ".glb": "3-D with the picture on the walls (Blender, Windows, web)",
    ".usdz": "3-D for iPhone, iPad and Mac",
    ".obj": "3-D with .mtl and .jpg beside it",
    ".zip": "the same three in one file",
    ".ply": "3-D with coloured corners (MeshLab, CloudCompare)",
    ".html": "one page with the whole room in it, for any browser, offline",
    ".svg": "floor plan with lengths; a browser prints it to PDF",
    ".dxf": "floor plan for CAD",
    ".ifc": "building model; needs edge-reconstruction[ifc]",
    ".csv": "sizes as a table",
    ".json": "HorizonNet's layout",
}
_SIZE_BYTES = 1000


def _checked(outputs: list[Path]) -> None:
    for path in outputs:
        if path.suffix.lower() not in FORMATS:
            known = ", ".join(FORMATS)
            raise EdgeError(
                f"{path}: no format is named {path.suffix or 'by nothing'!r}; end the name in one of {known}"
            )
        if not path.absolute().parent.is_dir():
            raise EdgeError(f"{path}: there is no folder {path.absolute().parent}; make it, or name another")


def _room_files(model: RoomModel, path: Path, units: Units) -> dict[Path, bytes]:
    from edge.derive.formats.obj import obj_files
    from edge.viewer.exports import room_writers

    suffix = path.suffix.lower()
    if suffix == ".obj":
        return {path.with_name(name): data for name, data in obj_files(model, path.stem).items()}
    return {path: room_writers(units)[suffix](model)}


def _home_files(home: HomeMessage, path: Path, units: Units) -> dict[Path, bytes]:
    from edge.subscribe.homes import placed_rooms
    from edge.viewer.exports import home_writers

    writers = home_writers(units)
    write = writers.get(path.suffix.lower())
    if write is None:
        raise EdgeError(f"{path}: a home of several rooms is written as {', '.join(writers)}; name one of them")
    return {path: write(home.name, placed_rooms(home))}


def _write(files: dict[Path, bytes]) -> None:
    for name, data in files.items():
        try:
            name.write_bytes(data)
        except OSError as error:
            raise EdgeError(f"{name} cannot be written ({error.strerror}); name a place that may be written") from error
        console.print(f"{name}  {len(data) / _SIZE_BYTES:.0f} kB", markup=False, highlight=False, soft_wrap=True)


def export(
    outputs: Annotated[list[Path], typer.Argument(help="Files to write; their endings say the formats.")],
    scene: Annotated[
        Path | None,
        typer.Option(help="From a saved room: .glb of edge, message edge.layout or edge.home, HorizonNet's JSON."),
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="From one picture, by the models in --engines.")] = None,
    camera_height_m: Annotated[float | None, typer.Option(min=0.05, help="Of the lens above the floor.")] = None,
    projection: Annotated[
        Literal["perspective", "fisheye", "equirectangular"] | None,
        typer.Option(help="Default: by the picture's shape."),
    ] = None,
    hfov_deg: Annotated[
        float | None, typer.Option(min=5, max=300, help="Horizontal field of view; across the circle of a fisheye.")
    ] = None,
    engines: Annotated[Path, typer.Option(help="Folder of the models.")] = Path("engines"),
    units: Annotated[Literal["m", "ft", "both"], typer.Option(help="Of lengths on the plan.")] = "both",
    camera: Annotated[str | None, typer.Option(help="From a broker: of which camera.")] = None,
    home: Annotated[str | None, typer.Option(help="From a broker: the home of this name, all its rooms.")] = None,
    host: broker.Host = "127.0.0.1",
    port: broker.Port = 1883,
    username: broker.Username = None,
    password_file: broker.PasswordFile = None,
    ca: broker.Authority = None,
    base: broker.Base = "edge",
    device: broker.Device = None,
    within_s: Annotated[float, typer.Option("--within", min=0.5, help="Wait so long for the broker, s.")] = 10.0,
) -> None:
    """Write a room, or a home of several, for other programs: 3-D, floor plan, sizes, one page for any browser.

    The room is what a running device published last (--host), one picture's (--picture), or a saved one's (--scene).
    """
    from edge.commands import room_sources
    from edge.derive.model import RoomModel
    from edge.subscribe.homes import fetch_home
    from edge.subscribe.rooms import fetch_room

    log_to_stderr("WARNING", "%(message)s")
    with errors_as_exit_codes():
        _checked(outputs)
        if sum(given is not None for given in (scene, picture, home)) > 1:
            raise EdgeError("--scene, --picture and --home are different rooms; give one of them")
        endpoint = broker.endpoint_at(host, port, username, password_file, ca)
        found: RoomModel | HomeMessage
        if scene is not None:
            found = room_sources.from_file(scene, camera_height_m)
        elif picture is not None:
            found = room_sources.from_picture(
                picture, engines, projection=projection, hfov_deg=hfov_deg, camera_height_m=camera_height_m
            )
        elif home is not None:
            found = fetch_home(endpoint, home, base=base, within_s=within_s)
        else:
            found = fetch_room(endpoint, base=base, device=device, camera=camera, within_s=within_s)
        for path in outputs:
            _write(_room_files(found, path, units) if isinstance(found, RoomModel) else _home_files(found, path, units))
