"""`edge review`: pictures that were put aside, looked at, corrected, and deleted."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.commands.log import log_to_stderr
from edge.commands.page import PageHost, PagePort, show_address
from edge.commands.signals import signals_end
from edge.commands.terminal import ConfigPath, console, err, errors_as_exit_codes, loaded
from edge.errors import EdgeError

if TYPE_CHECKING:
    from edge.keep.review import Review

_SETS = ("all", "waiting", "labelled")


def review(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder of pictures; left out: review.folder of the configuration.")
    ] = None,
    config: ConfigPath = Path("config.yaml"),
    names: Annotated[bool, typer.Option("--list", help="Print what waits and what was labelled, and end.")] = False,
    delete: Annotated[
        str | None, typer.Option(metavar="WHAT", help="Delete all, waiting, labelled, or one by its name, and end.")
    ] = None,
    add: Annotated[
        Path | None, typer.Option(metavar="PANORAMA", help="Put a level 360° picture aside to be labelled, and end.")
    ] = None,
    camera_height: Annotated[
        float, typer.Option(min=0.2, max=10.0, help="Of the camera that took --add, above the floor, m.")
    ] = 1.6,
    page_host: PageHost = "127.0.0.1",
    page_port: PagePort = 8089,
    for_s: Annotated[float | None, typer.Option("--for", min=0.1, help="Stop after so many seconds.")] = None,
) -> None:
    """Correct what was inferred of pictures that were put aside, in a web page; `edge-train fit` learns from it.

    The page is on this machine alone unless --page-host says otherwise; then its address has a key. Labels are kept
    in FOLDER/labelled, in HorizonNet's form. Rejected pictures are deleted at once.
    """
    log_to_stderr("WARNING", "%(message)s")
    stop = signals_end()
    with errors_as_exit_codes():
        kept = _review(folder, config)
        if names:
            _list(kept)
        elif delete is not None:
            _delete(kept, delete)
        elif add is not None:
            name = _added(kept, add, camera_height)
            err.print(f"{name} waits in {kept.folder}", markup=False, highlight=False, soft_wrap=True)
        else:
            from edge.viewer.review import ReviewPage
            from edge.viewer.server import PageServer

            server = PageServer(ReviewPage(kept), host=page_host, port=page_port)
            server.start()
            try:
                show_address(server, f"review of {kept.folder}")
                stop.wait(for_s)
            finally:
                server.stop()


def _review(folder: Path | None, config: Path) -> Review:
    from edge.daemon.build import kept_for_review
    from edge.keep.review import Review

    if folder is not None:
        if not folder.is_dir():
            raise EdgeError(f"there is no folder {folder}; give the one that review.folder of the device names")
        return Review(folder)
    kept = kept_for_review(loaded(config))
    if kept is None:
        raise EdgeError(f"{config}: no picture is kept for review; set review.folder, or name a folder")
    return kept


def _list(kept: Review) -> None:
    for state, found in (("waiting", kept.entries()), ("labelled", kept.labelled())):
        for name in found:
            console.print(f"{state}\t{name}", markup=False, highlight=False, soft_wrap=True)


def _delete(kept: Review, what: str) -> None:
    found = [what] if what not in _SETS else []
    found += kept.entries() if what in ("all", "waiting") else []
    found += kept.labelled() if what in ("all", "labelled") else []
    for name in found:
        kept.delete(name)
    err.print(f"{len(found)} deleted from {kept.folder}", markup=False, highlight=False, soft_wrap=True)


def _added(kept: Review, path: Path, camera_height_m: float) -> str:
    """A panorama from elsewhere as an entry: a phone's, from the place of a camera that sees a part of the room."""
    from edge.cameras.picture import decoded
    from edge.keep.review import ABOUT, CANVAS_WH, PICTURE, entry_name
    from edge.mqtt.messages import timestamp
    from edge.perception.preprocess import resize
    from edge.publish.pictures import jpeg

    try:
        image = decoded(path.read_bytes())
    except OSError as error:
        raise EdgeError(f"{path}: cannot be read ({error.strerror}); give a JPEG or PNG") from error
    high, wide = image.shape[:2]
    if wide != 2 * high:
        raise EdgeError(f"{path}: {wide} x {high} px are no whole panorama; give one twice as wide as high, held level")
    at_s = time.time()
    about = {
        "schema": "edge.review/1",
        "camera": path.stem,
        "captured_at": timestamp(at_s),
        "note": f"added from {path.name}",
        "reasons": [],
        "picture": {
            "projection": "equirectangular", "people": "kept", "missing": None, "camera_height_m": camera_height_m
        },
        "results": {},
    }  # fmt: skip
    name = entry_name(at_s, path.stem, 0)
    kept.keep(name, {PICTURE: jpeg(resize(image, *CANVAS_WH), 90), ABOUT: json.dumps(about, indent=2).encode()})
    return name
