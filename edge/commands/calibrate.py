"""`edge calibrate`: how a camera hangs and what its lens is, as lines for config.yaml; and the board for that."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from edge.commands.terminal import ConfigPath, console, err, errors_as_exit_codes, loaded
from edge.errors import CalibrationError, EdgeError, ImageError

if TYPE_CHECKING:
    from edge.config.cameras import CameraConfig
    from edge.derive.calibrate.boards import Board
    from edge.derive.calibrate.mounting import Found, Lines
    from edge.scene import Fisheye, ImageArray, Intrinsics

_EXIT_DOUBTFUL = 1
PaperName = Literal["a4", "a3", "letter"]


@dataclass(frozen=True)
class _Seen:
    """A camera, its pictures, and what they are called."""

    camera: CameraConfig
    images: list[ImageArray]
    names: list[str]

    @property
    def size_px(self) -> tuple[int, int]:
        height, width = self.images[0].shape[:2]
        return width, height


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
    paper: Annotated[PaperName, typer.Option(help="To print on.")] = "a4",
    charuco: Annotated[
        bool, typer.Option("--charuco", help="With markers: found where a part is covered too, but only nearer.")
    ] = False,
) -> None:
    """Write the board to print."""
    from edge.derive.calibrate.board_sheet import board_pdf, board_svg
    from edge.derive.calibrate.boards import PAPERS

    with errors_as_exit_codes():
        writers = {".pdf": board_pdf, ".svg": board_svg}
        printed = PAPERS[paper].charuco if charuco else PAPERS[paper].plain
        if out.suffix.lower() not in writers:
            raise EdgeError(f"{out}: a board is written as .pdf or .svg; end the name in one of them")
        try:
            out.write_bytes(writers[out.suffix.lower()](PAPERS[paper], printed))
        except OSError as error:
            raise EdgeError(f"{out} cannot be written ({error.strerror}); name a place that may be written") from error
        console.print(
            f"{out}: print it at 100 %, not fitted to the page; then a square is {1000 * printed.square_m:.0f} mm wide"
        )


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
    sheet: Annotated[PaperName | None, typer.Option(help="A blank sheet of that paper lies on the floor.")] = None,
    corners: Annotated[
        str | None, typer.Option(help="Where it is seen, X1,Y1:X2,Y2:X3,Y3:X4,Y4 in px, where it is not found.")
    ] = None,
    lens: Annotated[
        bool, typer.Option(help="The lens, from a board seen in several places, not how it hangs.")
    ] = False,
    checkerboard: Annotated[str | None, typer.Option(help="Another board: inner corners, for example 9x6.")] = None,
    charuco: Annotated[str | None, typer.Option(help="Another ChArUco board: squares, for example 5x7.")] = None,
    square_mm: Annotated[float | None, typer.Option(min=1, help="Side of a square as measured on the board.")] = None,
    marker_mm: Annotated[float | None, typer.Option(min=1, help="Side of a marker of --charuco.")] = None,
    dictionary: Annotated[str, typer.Option(help="Of its markers.")] = "4x4_50",
) -> None:
    """Print the lines of a camera's configuration that its pictures, a board or a known length give.

    Pitch and roll come from vertical edges, the height from a board or a sheet on the floor or a length. What is found
    is told on stderr; stdout has the lines alone. A result that is not to be believed is marked so, and exits 1.
    """
    with errors_as_exit_codes():
        chosen = next((c for c in loaded(config).cameras if c.name == name), None)
        if chosen is None:
            raise EdgeError(f"{config} has no camera {name!r}; give the name of one that is there")
        boards = own_boards(square_mm)
        if checkerboard or charuco:
            boards = [other_board(checkerboard, charuco, square_mm, marker_mm, dictionary)]
        seen = _pictures(chosen, pictures or [], take, every_s)
        if lens:
            found = _lens(seen, boards)
        elif length:
            found = _lengths(seen, length)
        else:
            found = _hang(seen, boards, sheet, corners)
        _print(chosen, found)
    if found.doubts:
        raise typer.Exit(_EXIT_DOUBTFUL)


def _told(text: str) -> None:
    err.print(text, markup=False, highlight=False, soft_wrap=True)


def _pictures(camera: CameraConfig, paths: Sequence[Path], take: int, every_s: float) -> _Seen:
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
    return _Seen(camera, images, [path.name for path in paths] or [f"{i}" for i in range(1, len(images) + 1)])


def own_boards(square_mm: float | None) -> list[Board]:
    """The boards that are printed here, their squares as measured."""
    from edge.derive.calibrate.boards import PAPERS

    ours = [board for paper in PAPERS.values() for board in (paper.plain, paper.charuco)]
    return [board.with_squares(square_mm / 1000) for board in ours] if square_mm else ours


def other_board(
    checkerboard: str | None, charuco: str | None, square_mm: float | None, marker_mm: float | None, dictionary: str
) -> Board:
    """A board that was printed elsewhere.

    Raises:
        EdgeError: it is not described as a whole.
    """
    from edge.derive.calibrate.boards import DICTIONARIES, Board, Markers

    found = re.fullmatch(r"(\d{1,2})x(\d{1,2})", charuco or checkerboard or "")
    columns, rows = map(int, found.groups()) if found else (0, 0)
    if charuco is None:
        if min(columns, rows) < 3 or square_mm is None:
            raise EdgeError(
                "a checkerboard is given as --checkerboard 9x6 --square-mm 25: inner corners, at least 3 each way"
            )
        return Board("checkerboard", columns, rows, square_mm / 1000)
    if min(columns, rows) < 3 or not square_mm or not marker_mm or marker_mm >= square_mm:
        raise EdgeError(
            "a ChArUco board is given as --charuco 5x7 --square-mm 40 --marker-mm 30: squares, at least 3 each way, "
            "and markers smaller than those"
        )
    if dictionary.lower() not in DICTIONARIES:
        raise EdgeError(f"there is no dictionary {dictionary!r}; give one of {', '.join(DICTIONARIES)}")
    markers = Markers(dictionary.lower(), marker_mm / 1000)
    return Board("ChArUco board", columns - 1, rows - 1, square_mm / 1000, markers)


def _lens(seen: _Seen, boards: Sequence[Board]) -> Found:
    from edge.derive.calibrate.boards import find_board
    from edge.derive.calibrate.lens import lens_of
    from edge.derive.calibrate.lens_found import doubts
    from edge.derive.calibrate.mounting import Found
    from edge.derive.calibrate.views import ALL_OVER, flat_views

    untilted = replace(seen.camera.model, yaw_rad=0.0, pitch_rad=0.0, roll_rad=0.0)
    sightings = [find_board(flat_views(image, untilted, ALL_OVER), boards) for image in seen.images]
    places = [i for i, sighting in enumerate(sightings) if sighting is not None]
    corners = [s.corners(image, untilted) for s, image in zip(sightings, seen.images, strict=True) if s is not None]
    found = lens_of(corners, untilted, *seen.size_px)
    for why, which in (
        ("without a board", [i for i in range(len(sightings)) if i not in places]),
        ("its board does not fit the others: held still, flat, in focus?", [places[i] for i in found.dropped]),
    ):
        for i in which:
            _told(f"picture {seen.names[i]}: not used; {why}")
    known = f"focal length ± {found.focal_error:.2%}"
    if found.picture_error_px is not None:
        known += f", directions ± {found.picture_error_px:.2f} px"
    _told(
        f"lens: focal length {found.lens.fx_px:.1f} px, {known}; {found.left_px:.2f} px left over "
        f"{len(corners) - len(found.dropped)} pictures"
    )
    return Found(lens_lines(found.lens), known, doubts(found))


def lens_lines(lens: Intrinsics | Fisheye) -> Lines:
    """A lens as it is written in config.yaml; None: that is no longer written."""
    from math import degrees, floor

    names = ("width_px", "height_px", "fx_px", "fy_px", "cx_px", "cy_px")
    values: Lines = {name: getattr(lens, name) for name in names[:2]}
    values |= {name: round(getattr(lens, name), 2) for name in names[2:]}
    values |= {n: round(v, 6) for n in ("k1", "k2", "p1", "p2", "k3", "k4") if (v := getattr(lens, n, 0.0))}
    fov_rad = getattr(lens, "fov_rad", None)
    if fov_rad is None:
        return {"hfov_deg": None, "intrinsics": values}
    return {"fisheye": {**values, "fov_deg": floor(10 * degrees(fov_rad)) / 10}}


def _lengths(seen: _Seen, given: Sequence[str]) -> Found:
    from edge.derive.calibrate.length import doubts, together
    from edge.derive.calibrate.mounting import Found

    heights, lengths = zip(*(_length(seen.camera, seen.images[0], text) for text in given), strict=True)
    found = together(heights, lengths)
    left = "" if found.left_m is None else f"; the lengths miss by {100 * found.left_m:.1f} cm"
    _told(f"length: height {found.height_m:.3f} ± {found.error_m:.3f} m{left}")
    return Found({"camera_height_m": round(found.height_m, 3)}, f"± {found.error_m:.3f} m", doubts(found, heights))


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


def _hang(seen: _Seen, boards: Sequence[Board], paper: str | None, corners: str | None) -> Found:
    """From vertical edges and, where there is one, a board or a sheet on the floor; either may be missing."""
    from edge.derive.calibrate.mounting import mounting

    if corners and (paper is None or len(seen.images) > 1):
        raise EdgeError(
            "--corners are those of a blank sheet in one picture; give --sheet a4 (or a3, letter) with them"
        )
    at = _corners(corners) if corners else None
    return mounting(seen.images, seen.camera.model, _told, boards=boards, paper=paper, corners=at)


def _corners(text: str) -> list[tuple[float, float]]:
    numbers = re.fullmatch(":".join([r"(\d+(?:\.\d+)?),(\d+(?:\.\d+)?)"] * 4), text)
    if numbers is None:
        raise EdgeError(f"{text!r} are no corners; give four pixels, --corners X1,Y1:X2,Y2:X3,Y3:X4,Y4")
    at = [float(number) for number in numbers.groups()]
    return list(zip(at[::2], at[1::2], strict=True))


def _print(camera: CameraConfig, found: Found) -> None:
    """The lines as they belong under the camera, once the configuration has taken them; doubts as comments above."""
    from edge.derive.calibrate.mounting import as_yaml

    try:
        type(camera).model_validate({**camera.model_dump(mode="json", exclude_unset=True), **found.lines})
    except ValueError as error:
        raise CalibrationError(
            f"what was found is no configuration of this camera ({error}); take other pictures"
        ) from error
    for line in as_yaml(camera.name, found, [key for key in found.lines if key in camera.model_fields_set]):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
