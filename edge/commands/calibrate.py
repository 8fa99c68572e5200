"""`edge calibrate`: how a camera hangs and what its lens is, as lines for config.yaml; and the board for that."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from edge.commands.terminal import ConfigPath, console, err, errors_as_exit_codes, loaded
from edge.errors import CalibrationError, EdgeError, ImageError

if TYPE_CHECKING:
    from edge.config.cameras import CameraConfig
    from edge.derive.calibrate.boards import Board, Sighting
    from edge.derive.calibrate.verticals import Level
    from edge.scene import ImageArray

_EXIT_DOUBTFUL = 1
Lines = dict[str, Any]


class _CameraUnlessNamed(TyperGroup):
    """`edge calibrate hall` is `edge calibrate camera hall`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command's name before what is not one."""
        if args and args[0] not in (*self.commands, "--help"):
            args = ["camera", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_CameraUnlessNamed,
    no_args_is_help=True,
    short_help="How high and how tilted a camera hangs, and what its lens is.",
    help="How high and how tilted a camera hangs, and what its lens is: `edge calibrate hall`; docs/calibration.md.",
)


@app.command()
def board(
    out: Annotated[Path, typer.Argument(help="File to write: .pdf or .svg.")],
    paper: Annotated[Literal["a4", "a3", "letter"], typer.Option(help="To print on.")] = "a4",
) -> None:
    """Write the board to print."""
    from edge.derive.calibrate.board_sheet import board_pdf, board_svg
    from edge.derive.calibrate.boards import PAPERS

    with errors_as_exit_codes():
        writers = {".pdf": board_pdf, ".svg": board_svg}
        if out.suffix.lower() not in writers:
            raise EdgeError(f"{out}: a board is written as .pdf or .svg; end the name in one of them")
        try:
            out.write_bytes(writers[out.suffix.lower()](PAPERS[paper]))
        except OSError as error:
            raise EdgeError(f"{out} cannot be written ({error.strerror}); name a place that may be written") from error
        square_mm = 1000 * PAPERS[paper].board.square_m
        console.print(f"{out}: print it at 100 %, not fitted to the page; then a square is {square_mm:.0f} mm wide")


@app.command()
def camera(
    name: Annotated[str, typer.Argument(metavar="CAMERA", help="Its name in the configuration.")],
    config: ConfigPath = Path("config.yaml"),
    pictures: Annotated[
        list[Path] | None, typer.Option("--picture", help="A picture of the camera instead of its source; repeatable.")
    ] = None,
    take: Annotated[int, typer.Option(min=1, max=100, help="Pictures to take from its source.")] = 1,
    every_s: Annotated[float, typer.Option(min=0, max=60, help="Between two, to move the board.")] = 5.0,
    length: Annotated[
        list[str] | None,
        typer.Option(
            help="On the floor, X1,Y1:X2,Y2=METRES in px; or as shown now and as it is, 3.42=3.60. Repeatable."
        ),
    ] = None,
    lens: Annotated[
        bool, typer.Option(help="The lens, from a board seen in several places, not how it hangs.")
    ] = False,
    checkerboard: Annotated[str | None, typer.Option(help="Another board: inner corners, for example 9x6.")] = None,
    square_mm: Annotated[float | None, typer.Option(min=1, help="Side of a square as measured on the board.")] = None,
) -> None:
    """Print the lines of a camera's configuration that its pictures, a board or a known length give.

    Pitch and roll come from vertical edges, the height from a board on the floor or a length. What is found is told on
    stderr; stdout has the lines alone. A result that is not to be believed is marked so, and exits 1.
    """
    with errors_as_exit_codes():
        chosen = next((c for c in loaded(config).cameras if c.name == name), None)
        if chosen is None:
            raise EdgeError(f"{config} has no camera {name!r}; give the name of one that is there")
        images = _images(chosen, pictures or [], take, every_s)
        boards = _boards(checkerboard, square_mm)
        if lens:
            lines, doubts = _lens(chosen, images, boards)
        elif length:
            lines, doubts = _lengths(chosen, images, length)
        else:
            lines, doubts = _hang(chosen, images, boards)
        _print(chosen, lines, doubts)
    if doubts:
        raise typer.Exit(_EXIT_DOUBTFUL)


def _told(text: str) -> None:
    err.print(text, markup=False, highlight=False, soft_wrap=True)


def _images(camera: CameraConfig, paths: Sequence[Path], take: int, every_s: float) -> list[ImageArray]:
    from edge.cameras.picture import decoded
    from edge.commands.camera_pictures import pictures_of

    images = [] if paths else pictures_of(camera, take, every_s)
    for path in paths:
        try:
            images.append(decoded(path.read_bytes()))
        except OSError as error:
            raise EdgeError(f"{path} cannot be read ({error.strerror}); give a file that is there") from error
        except ImageError as error:
            raise EdgeError(f"{path} {error}") from error
    if len({image.shape for image in images}) > 1:
        raise CalibrationError("the pictures are of several sizes; give pictures as the camera sends them")
    return images


def _boards(checkerboard: str | None, square_mm: float | None) -> list[Board]:
    from edge.derive.calibrate.boards import PAPERS, Board

    if checkerboard is None:
        ours = [paper.board for paper in PAPERS.values()]
        return [Board(b.name, b.columns, b.rows, square_mm / 1000 if square_mm else b.square_m) for b in ours]
    found = re.fullmatch(r"(\d{1,2})x(\d{1,2})", checkerboard)
    if found is None or min(map(int, found.groups())) < 3 or square_mm is None:
        raise EdgeError(
            "a checkerboard is given as --checkerboard 9x6 --square-mm 25: inner corners, at least 3 each way"
        )
    return [Board("checkerboard", int(found[1]), int(found[2]), square_mm / 1000)]


def _sightings(camera: CameraConfig, images: Sequence[ImageArray], boards: Sequence[Board]) -> list[Sighting]:
    from edge.derive.calibrate.boards import find_board
    from edge.derive.calibrate.views import DOWN, flat_views

    found = [find_board(flat_views(image, camera.model, DOWN), boards) for image in images]
    return [sighting for sighting in found if sighting is not None]


def _lens(camera: CameraConfig, images: Sequence[ImageArray], boards: Sequence[Board]) -> tuple[Lines, list[str]]:
    from edge.derive.calibrate.lens import doubts, lens_of

    if camera.projection != "perspective":
        raise CalibrationError(
            "only perspective lenses are calibrated; a panorama has none, and a fisheye's is in fisheye"
        )
    seen = _sightings(camera, images, boards)
    height, width = images[0].shape[:2]
    found = lens_of(seen, width, height)
    k = found.intrinsics
    _told(
        f"lens: focal length {k.fx_px:.1f} px ± {found.focal_error:.2%}; {found.left_px:.2f} px left over "
        f"{found.views} pictures, {len(images) - len(seen)} without a board, {found.dropped} that did not fit"
    )
    values = {n: round(getattr(k, n), 2) for n in ("fx_px", "fy_px", "cx_px", "cy_px")}
    values |= {n: round(v, 6) for n in ("k1", "k2", "p1", "p2", "k3") if (v := getattr(k, n))}
    return {"hfov_deg": None, "intrinsics": {"width_px": width, "height_px": height, **values}}, doubts(found)


def _lengths(camera: CameraConfig, images: Sequence[ImageArray], given: Sequence[str]) -> tuple[Lines, list[str]]:
    from edge.derive.calibrate.length import doubts, together

    heights, lengths = zip(*(_length(camera, images[0], text) for text in given), strict=True)
    found = together(heights, lengths)
    left = "" if found.left_m is None else f"; the lengths miss by {100 * found.left_m:.1f} cm"
    _told(f"length: height {found.height_m:.3f} ± {found.error_m:.3f} m{left}")
    return {"camera_height_m": round(found.height_m, 3)}, doubts(found, heights)


def _length(camera: CameraConfig, image: ImageArray, text: str) -> tuple[Any, float]:
    from edge.derive.calibrate.length import floor_length, scaled
    from edge.derive.calibrate.views import pixel_rays
    from edge.geometry.view import pixels_per_radian

    number = r"(\d+(?:\.\d+)?)"
    model = camera.model
    height, width = image.shape[:2]
    if (measured := re.fullmatch(rf"{number}={number}", text)) and float(measured[1]) and float(measured[2]):
        if camera.camera_height_m is None:
            raise CalibrationError(
                "a length as shown needs the height it was shown with; set camera_height_m, or give pixels"
            )
        return scaled(camera.camera_height_m, float(measured[2]), float(measured[1]), 0.01), float(measured[2])
    ends = re.fullmatch(rf"{number},{number}:{number},{number}={number}", text)
    if ends is None or not float(ends[5]):
        raise EdgeError(f"{text!r} is no length; give --length X1,Y1:X2,Y2=METRES, or --length SHOWN=TRUE in metres")
    *pixels, true_m = map(float, ends.groups())
    rays = pixel_rays(model, [pixels[:2], pixels[2:]], width, height)
    scale = pixels_per_radian(model, width, height)
    return floor_length(rays, true_m, model.pitch_rad, model.roll_rad, scale), true_m


def _hang(camera: CameraConfig, images: Sequence[ImageArray], boards: Sequence[Board]) -> tuple[Lines, list[str]]:
    """From vertical edges and, where there is one, a board on the floor; either may be missing."""
    from edge.derive.calibrate.floor import doubts, hang
    from edge.derive.calibrate.verticals import level

    seen = _sightings(camera, images, boards)
    upright: Level | None = None
    try:
        upright = level(images, camera.model)
    except CalibrationError as error:
        if not seen:
            raise
        _told(f"vertical edges: not used; {error}")
    if upright is not None:
        _told(
            f"vertical edges: {_tilt(upright.pitch_rad, upright.pitch_error_rad, 'pitch')}, "
            f"{_tilt(upright.roll_rad, upright.roll_error_rad, 'roll')}; {upright.edges} edges, "
            f"{_degrees(upright.left_rad):.2f}° left"
        )
    if not seen:
        assert upright is not None
        _told(
            "no board is seen, so the height stays open: lay one on the floor (edge calibrate board), or give --length"
        )
        return _angles(upright.pitch_rad, upright.roll_rad), []
    found = hang(seen, (camera.model.pitch_rad, camera.model.roll_rad), upright)
    _told(
        f"{seen[0].board}: height {found.height_m:.3f} ± {found.height_error_m:.3f} m, "
        f"{_tilt(found.pitch_rad, found.pitch_error_rad, 'pitch')}, "
        f"{_tilt(found.roll_rad, found.roll_error_rad, 'roll')}; "
        f"in {found.places} of {len(images)} pictures, {found.left_px:.2f} px left"
    )
    return {"camera_height_m": round(found.height_m, 3), **_angles(found.pitch_rad, found.roll_rad)}, doubts(found)


def _degrees(angle_rad: float) -> float:
    from math import degrees

    return degrees(angle_rad)


def _tilt(angle_rad: float, error_rad: float, name: str) -> str:
    return f"{name} {_degrees(angle_rad):.2f} ± {_degrees(error_rad):.2f}°"


def _angles(pitch_rad: float, roll_rad: float) -> Lines:
    return {"pitch_deg": round(_degrees(pitch_rad), 2), "roll_deg": round(_degrees(roll_rad), 2)}


def _print(camera: CameraConfig, lines: Lines, doubts: Sequence[str]) -> None:
    """The lines as they belong under the camera, once the configuration has taken them; doubts as comments above."""
    import yaml

    kept = {key: value for key, value in lines.items() if value is not None}
    try:
        type(camera).model_validate({**camera.model_dump(mode="json", exclude_unset=True), **lines})
    except ValueError as error:
        raise CalibrationError(
            f"what was found is no configuration of this camera ({error}); take other pictures"
        ) from error
    for doubt in doubts:
        console.print(f"    # not to be believed: {doubt}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"    # camera {camera.name}", markup=False, highlight=False, soft_wrap=True)
    for gone in lines.keys() - kept.keys():
        console.print(f"    # without {gone}", markup=False, highlight=False, soft_wrap=True)
    for key, value in kept.items():
        text = yaml.safe_dump({key: value}, default_flow_style=None, sort_keys=False, width=1000).rstrip()
        console.print(
            "\n".join(f"    {line}" for line in text.splitlines()), markup=False, highlight=False, soft_wrap=True
        )
