"""Room layout: a network's boundary and corners, or distances -> a floor polygon with heights, area and volume.

The network says, per panorama column, where the wall meets the ceiling and the floor (Sun et al., "HorizonNet", CVPR
2019). With the camera's height the floor edge gives each column's distance; the ceiling edge gives it again up to the
room's height, which is the one for which both agree. Corner peaks split the columns into walls, and walls are fitted as
lines: Manhattan (two directions), general, or none ("raw"). Columns that the camera does not see take no part.

Networks that give each column's distance instead (Jiang et al., "LGT-Net", CVPR 2022) are turned into the same
boundary; their corners are where the outline that they draw turns. Networks may say more of each column: whether it
shows a door, a window or an opening, and how far off the edges are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from edge.errors import GeometryError
from edge.geometry import polygon as floor
from edge.geometry.panorama import direction_from_angles, latitudes, longitudes
from edge.geometry.walls import (
    Line,
    chain,
    dominant_axis_rad,
    fit_axis_line,
    fit_line,
    without_redundant_corners,
)
from edge.inference.manifest import BoundaryCorners, HorizonDepth, LayoutConfidence, LayoutSign, Manifest
from edge.perception.canvas import CanvasInput
from edge.perception.doubt import expected_overlap, layout_signs
from edge.perception.horizon import edges_from_horizon_depth, turns
from edge.perception.openings import closed_distances, wall_openings
from edge.perception.smoothing import ExponentialSmoother
from edge.scene import BoolArray, CameraModel, Fit, ImageArray, RoomLayout, WallOpening

Array = npt.NDArray[np.float64]
FitChoice = Literal["auto", "manhattan", "general", "raw"]

_LATITUDE_LIMITS_RAD = (np.deg2rad(1.0), np.deg2rad(85.0))
"""Edges nearer to the horizon or the pole than this are taken to be there: their distance would be noise."""
_REACH_RAD = np.deg2rad(60.0)
"""A lens that sees past 90 degrees sees straight up or down, and there every column; that is not where walls are."""
MIN_VISIBLE_COLUMNS = 8
_PEAK_WINDOW = 0.05
"""Corners are at least this share of the panorama's width apart (HorizonNet's r)."""
_PEAK_PROBABILITY = 0.15
_AGREEMENT_LOG = 0.15
"""Spread of log distance between floor and ceiling edge at which a column's confidence falls to 1/e."""
_RAW_TOLERANCE_M = 0.01
_FIT_IOU = {"manhattan": 0.92, "general": 0.90}
"""A fitted outline that overlaps the raw one less than this is refused."""


@dataclass(frozen=True, slots=True)
class _Boundary:
    """What a network says of W panorama columns, and which of it the camera can have seen."""

    edges_rad: Array
    """(2, W) latitudes of the ceiling's and the floor's edge."""
    corner: Array
    visible: BoolArray
    seen: BoolArray
    """(2, W) whether the edge itself lies inside the picture."""
    openings: Array | None = None
    """(3, W) probability of door, window, opening, where the network says so."""
    spread_rad: Array | None = None
    """(2, W) how far off the edges are expected to be, where the network says so."""

    @property
    def log_spread(self) -> Array | None:
        """(2, W) the same of the log distance that each edge gives."""
        if self.spread_rad is None:
            return None
        steepness = np.sin(2 * np.clip(np.abs(self.edges_rad), *_LATITUDE_LIMITS_RAD)) / 2
        return np.asarray(self.spread_rad / steepness)


@dataclass(frozen=True, slots=True)
class _Ranges:
    """How far the wall of each of W columns is."""

    distance: Array
    above: float
    """The ceiling's height above the camera."""
    agreement: Array
    """0..1, how well the column's edges agree; 0 where neither is seen."""
    guessed: bool
    """Whether `above` comes from edges that nobody saw."""
    closed: BoolArray
    """Columns whose wall was put straight across an opening."""


@dataclass(frozen=True, slots=True)
class _Columns:
    """The seen columns in order of longitude; a perspective camera's run starts at its left edge."""

    longitude_rad: Array
    points: Array
    weight: Array
    corner: Array
    closed: bool


@dataclass(frozen=True, slots=True)
class _Outline:
    """A floor polygon, counter-clockwise, and how it was fitted."""

    polygon: Array
    fit: Fit
    reason: str


def _runs(mask: BoolArray) -> npt.NDArray[np.intp]:
    """Indices of the longest run of seen columns, walking right across the wrap; all in order if all are seen."""
    n = len(mask)
    if mask.all():
        return np.arange(n)
    start = int(np.argmin(mask))
    rolled = np.roll(mask, -start)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], rolled.astype(np.int8), [0]])))
    first, last = max(zip(edges[::2], edges[1::2], strict=True), key=lambda r: r[1] - r[0])
    return (np.arange(first, last) + start) % n


def _peaks(probability: Array, closed: bool) -> list[int]:
    """Local maxima of the corner probability, at least the peak window apart."""
    n = len(probability)
    reach = max(1, round(_PEAK_WINDOW * n / 2))
    mode: Literal["wrap", "constant"] = "wrap" if closed else "constant"
    padded = np.pad(probability, reach, mode=mode)
    highest = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(axis=1)
    found = np.flatnonzero((probability >= highest) & (probability > _PEAK_PROBABILITY))
    return [int(i) for j, i in enumerate(found) if j == 0 or i - found[j - 1] > reach]


def _walls(columns: _Columns, peaks: list[int]) -> list[npt.NDArray[np.intp]]:
    """Index arrays of the columns of each wall between corner peaks; wall i starts at joint i."""
    n = len(columns.longitude_rad)
    if columns.closed:
        ends = [*peaks[1:], peaks[0] + n]
        return [np.arange(a, b) % n for a, b in zip(peaks, ends, strict=True)]
    ends = [0, *[p for p in peaks if 1 < p < n - 2], n]
    return [np.arange(a, b) for a, b in zip(ends[:-1], ends[1:], strict=True)]


def _trimmed(wall: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Without the outer tenth at each end: the network blurs the edge round corners."""
    cut = len(wall) // 10
    return wall[cut : len(wall) - cut] if cut else wall


def _closed_outline(columns: _Columns, corners: Array) -> Array:
    """The outline; that of a perspective camera is closed at the camera."""
    return corners if columns.closed else np.vstack([corners, [[0.0, 0.0]]])


def _raw_outline(columns: _Columns) -> Array:
    """The boundary itself, thinned to about a centimetre; simple by construction, as it is a graph over longitude."""
    return floor.counter_clockwise(floor.simplified(_closed_outline(columns, columns.points), _RAW_TOLERANCE_M))


def _fitted_outline(columns: _Columns, manhattan: bool) -> Array:
    peaks = _peaks(columns.corner, columns.closed)
    if columns.closed and len(peaks) < 3:
        raise GeometryError(f"{len(peaks)} corners found; a closed room has at least 3")
    walls = _walls(columns, peaks)
    if any(len(w) < 3 for w in walls):
        raise GeometryError("two corners are less than 3 columns apart")
    lines = [fit_line(columns.points[w], columns.weight[w]) for w in map(_trimmed, walls)]
    if manhattan:
        lines = _snapped(columns, walls, lines)
    lon = columns.longitude_rad
    step = np.diff(lon[:2])[0] % (2 * np.pi)
    joints = [float(lon[w[0]] - step / 2) for w in walls]
    if columns.closed:
        joints = [float(lon[p]) for p in peaks]
    else:
        joints.append(float(lon[-1] + step / 2))
    corners = _closed_outline(columns, chain(lines, joints, closed=columns.closed, perpendicular_step=manhattan))
    if not np.isfinite(corners).all():
        raise GeometryError("a fitted wall is never met in its own direction")
    return floor.counter_clockwise(without_redundant_corners(corners))


def _snapped(columns: _Columns, walls: list[npt.NDArray[np.intp]], lines: list[Line]) -> list[Line]:
    """Every wall turned to the nearer of the two directions that the walls agree on."""
    lengths = np.array([np.linalg.norm(columns.points[w[-1]] - columns.points[w[0]]) for w in walls])
    axis = dominant_axis_rad(lines, lengths)
    out = []
    for wall, line in zip(map(_trimmed, walls), lines, strict=True):
        angle = np.arctan2(line.normal[1], line.normal[0])
        turned = axis + np.round((angle - axis) / (np.pi / 2)) * np.pi / 2
        normal = np.array([np.cos(turned), np.sin(turned)])
        out.append(fit_axis_line(columns.points[wall], columns.weight[wall], normal))
    return out


def _attempt(columns: _Columns, raw: Array, fit: Literal["manhattan", "general"]) -> tuple[Array | None, str]:
    """The fitted outline, or None and why it was refused."""
    try:
        outline = _fitted_outline(columns, fit == "manhattan")
    except GeometryError as e:
        return None, str(e)
    if not floor.is_simple(outline):
        return None, "the outline crosses itself"
    if not floor.contains(outline):
        return None, "the outline leaves the camera outside"
    overlap = floor.iou(outline, raw)
    if overlap < _FIT_IOU[fit]:
        return None, f"it overlaps the raw boundary by only {overlap:.2f}"
    return outline, f"overlaps the raw boundary by {overlap:.3f}"


def _fit(columns: _Columns, choice: FitChoice) -> _Outline:
    """The outline by the chosen fit; what is refused falls back to the next, and the reason says so."""
    raw = _raw_outline(columns)
    order: tuple[Literal["manhattan", "general"], ...] = {
        "auto": ("manhattan", "general"),
        "manhattan": ("manhattan",),
        "general": ("general",),
        "raw": (),
    }[choice]  # type: ignore[assignment]
    reasons: list[str] = []
    for fit in order:
        outline, reason = _attempt(columns, raw, fit)
        if outline is not None:
            return _Outline(outline, fit, "; ".join([*reasons, f"{fit}: {reason}"]))
        reasons.append(f"{fit} refused: {reason}")
    return _Outline(raw, "raw", "; ".join(reasons) or "as configured")


def layout_from_boundary(
    ceiling_rad: npt.ArrayLike,
    floor_rad: npt.ArrayLike,
    corner_probability: npt.ArrayLike,
    *,
    visible: BoolArray | None = None,
    edges_seen: BoolArray | None = None,
    camera_height_m: float | None = None,
    fit: FitChoice = "auto",
    openings: npt.ArrayLike | None = None,
    spread_rad: npt.ArrayLike | None = None,
    confidence: LayoutConfidence | None = None,
) -> RoomLayout:
    """Turn a boundary into a room.

    Args:
        ceiling_rad: (W,) latitude of the ceiling edge, positive up.
        floor_rad: (W,) latitude of the floor edge, negative.
        corner_probability: (W,) 0..1.
        visible: (W,) columns the camera sees anything of; None = all.
        edges_seen: (2, W) whether the ceiling's and the floor's edge lie inside the picture; None = where visible. An
            edge outside it is the network's guess: not published, and used only where there is nothing better.
        camera_height_m: None = unknown: the result is in camera heights and says `relative`.
        fit: how to fit walls.
        openings: (3, W) probability that the column shows a door, a window, an opening; walls go straight across doors
            and openings, where the boundary runs on into the next room.
        spread_rad: (2, W) how far off the edges are expected to be: the surer one counts for more.
        confidence: what the signs of doubt mean for the network; None = how well the edges agree.

    Raises:
        GeometryError: fewer than 8 columns are seen, or the arrays differ in length.
    """
    boundary = _checked(ceiling_rad, floor_rad, corner_probability, visible, edges_seen)
    kinds, spread = (None if a is None else np.asarray(a, dtype=np.float64) for a in (openings, spread_rad))
    boundary = replace(boundary, openings=kinds, spread_rad=spread)
    camera_m = 1.0 if camera_height_m is None else camera_height_m
    ranges = _ranges(boundary, camera_m)
    columns = _columns(boundary, ranges)
    outline = _fit(columns, fit)
    room = _room(boundary, ranges, outline, camera_height_m)
    if confidence is None:
        return room
    signs = _signs(boundary, ranges, outline, camera_m)
    return replace(room, confidence=expected_overlap(confidence, signs))


def _signs(boundary: _Boundary, ranges: _Ranges, outline: _Outline, camera_m: float) -> dict[LayoutSign, float]:
    """What may tell a good layout from a bad one."""
    seen = boundary.visible
    log_spread, openings = boundary.log_spread, boundary.openings
    return layout_signs(
        log_distance=np.log(ranges.distance / camera_m)[_runs(seen)],
        log_above=float(np.log(ranges.above / camera_m)),
        agreement=ranges.agreement[seen],
        corner=boundary.corner[seen],
        log_area=float(np.log(floor.area_m2(outline.polygon) / camera_m**2)),
        fit=outline.fit,
        seen=float(boundary.seen.mean()),
        spread=None if log_spread is None else log_spread[:, seen],
        openings=None if openings is None else openings[:, seen],
    )


def _checked(
    ceiling_rad: npt.ArrayLike,
    floor_rad: npt.ArrayLike,
    corner_probability: npt.ArrayLike,
    visible: BoolArray | None,
    edges_seen: BoolArray | None,
) -> _Boundary:
    ceiling, ground, corner = (np.asarray(a, dtype=np.float64) for a in (ceiling_rad, floor_rad, corner_probability))
    mask = np.ones(len(ceiling), dtype=np.bool_) if visible is None else visible
    if not len(ceiling) == len(ground) == len(corner) == len(mask):
        raise GeometryError("ceiling, floor, corners and mask must have one value per panorama column")
    if int(mask.sum()) < MIN_VISIBLE_COLUMNS:
        raise GeometryError(
            f"only {int(mask.sum())} panorama columns are seen; the field of view is too narrow for a layout"
        )
    seen = np.stack([mask, mask]) if edges_seen is None else edges_seen & mask
    return _Boundary(np.stack([ceiling, ground]), corner, mask, seen)


def _ranges(boundary: _Boundary, height: float) -> _Ranges:
    """Distances from the floor's edge, from the ceiling's at the height for which both agree, or from their mean."""
    ceiling, ground = boundary.edges_rad
    by_floor = height / np.tan(np.clip(-ground, *_LATITUDE_LIMITS_RAD))
    slope = np.tan(np.clip(ceiling, *_LATITUDE_LIMITS_RAD))
    both = boundary.seen.all(axis=0)
    guessed = int(both.sum()) < MIN_VISIBLE_COLUMNS
    measured = boundary.visible if guessed else both
    above = float(np.exp(np.median(np.log(by_floor[measured] * slope[measured]))))
    by_ceiling = above / slope
    only_ceiling, only_floor = boundary.seen & ~boundary.seen[::-1]
    middle = by_ceiling * (by_floor / by_ceiling) ** _floor_share(boundary)
    distance = np.where(only_floor, by_floor, np.where(only_ceiling, by_ceiling, middle))
    agreement = np.exp(-np.abs(np.log(by_floor / by_ceiling)) / _AGREEMENT_LOG) * boundary.seen.mean(axis=0)
    closed = np.zeros(len(distance), np.bool_)
    if boundary.openings is not None:
        distance, closed = closed_distances(distance, boundary.openings, boundary.visible)
    return _Ranges(distance, above, agreement, guessed, closed)


def _floor_share(boundary: _Boundary) -> Array | float:
    """How much the floor's edge counts beside the ceiling's, 0..1: as much as it is surer; where nobody says, alike."""
    if boundary.log_spread is None:
        return 0.5
    ceiling, ground = boundary.log_spread**-2
    return np.asarray(ground / (ceiling + ground))


def _columns(boundary: _Boundary, ranges: _Ranges) -> _Columns:
    """What the walls are fitted to; a column counts for as much as its two edges agree."""
    index = _runs(boundary.visible)
    lon = longitudes(len(boundary.visible))[index]
    return _Columns(
        longitude_rad=lon,
        points=ranges.distance[index, None] * direction_from_angles(lon, 0.0)[:, :2],
        weight=np.asarray(ranges.agreement[index] + 1e-3),
        corner=np.where(ranges.closed, 0.0, boundary.corner)[index],  # corners of the next room are none of this one
        closed=bool(boundary.visible.all()),
    )


def _room(boundary: _Boundary, ranges: _Ranges, outline: _Outline, camera_height_m: float | None) -> RoomLayout:
    height = 1.0 if camera_height_m is None else camera_height_m
    area = floor.area_m2(outline.polygon)
    edges = np.where(boundary.seen, boundary.edges_rad, np.nan).astype(np.float32)
    guess = "; floor and ceiling are nowhere both in view, so the height is a guess" if ranges.guessed else ""
    return RoomLayout(
        ceiling_rad=edges[0],
        floor_rad=edges[1],
        corner_probability=(boundary.corner * boundary.visible).astype(np.float32),
        column_confidence=ranges.agreement.astype(np.float32),
        polygon_m=outline.polygon,
        camera_height_m=height,
        ceiling_height_m=height + ranges.above,
        area_m2=area,
        volume_m3=area * (height + ranges.above),
        confidence=float(ranges.agreement[boundary.visible].mean()),
        fit=outline.fit,
        fit_reason=outline.reason + guess,
        scale="relative" if camera_height_m is None else "metric",
        extent="room" if boundary.visible.all() else "visible",
        openings=_openings(boundary, outline),
    )


def _openings(boundary: _Boundary, outline: _Outline) -> tuple[WallOpening, ...] | None:
    if boundary.openings is None:
        return None
    return wall_openings(boundary.openings, boundary.visible, outline.polygon)


def _in_view(mask: BoolArray, edges_rad: Array, reach_rad: float) -> tuple[BoolArray, BoolArray]:
    """Which of W columns a camera sees, and at which of them each edge (2, W) lies inside its picture.

    `reach_rad`: a column is seen if its picture shows something of it that is no farther from the horizon.
    """
    height, width = mask.shape
    near = np.abs(latitudes(height)) <= reach_rad
    columns = edges_rad.shape[1]
    index = np.arange(columns) * width // columns
    rows = np.clip(((0.5 - edges_rad / np.pi) * height).astype(np.intp), 0, height - 1)
    seen: BoolArray = np.asarray(mask[near].any(axis=0))
    return seen[index], mask[rows, index]


def _probability(logits: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -30, 30))))


class LayoutReader:
    """Layout of one camera: prepares its pictures and reads the network's answers."""

    def __init__(
        self,
        manifest: Manifest,
        camera: CameraModel,
        *,
        smoothing_s: float = 0.0,
        fit: FitChoice = "auto",
        canvas: CanvasInput | None = None,
    ) -> None:
        """`smoothing_s`: time constant on the boundary, 0 = none; `canvas`: one shared with other readers."""
        assert isinstance(manifest.output, BoundaryCorners | HorizonDepth)
        self._output, self._camera, self._fit = manifest.output, camera, fit
        self._input = canvas or CanvasInput(manifest.input, camera)
        self._smoother = ExponentialSmoother(smoothing_s)

    rows = 1
    """Pictures of the network that one of the camera's becomes."""

    def prepare(
        self, image: ImageArray, out: npt.NDArray[np.float32] | None = None, seen: BoolArray | None = None
    ) -> npt.NDArray[np.float32]:
        """(1, C, H, W) input for a picture of any size; written into `out` if given; `seen`: see `Frame`."""
        return self._input.prepare(image, out, seen)

    def read(
        self, outputs: dict[str, npt.NDArray[np.float32]], at_s: float, layout: RoomLayout | None = None
    ) -> RoomLayout:
        """The room, from the answer to the last `prepare`d picture.

        Raises:
            GeometryError: see `layout_from_boundary`.
        """
        rows = self._columns(outputs, at_s)
        reach_rad = np.pi / 2 if self._camera.projection == "perspective" else _REACH_RAD
        visible, edges_seen = _in_view(self._input.mask, rows[:2], reach_rad)
        output, further = self._output, list(rows[3:])
        openings = spread_rad = None
        if isinstance(output, BoundaryCorners) and output.openings is not None:
            openings, further = np.stack(further[:3]), further[3:]
        if isinstance(output, BoundaryCorners) and output.spread is not None:
            spread_rad = np.stack(further)
        return layout_from_boundary(
            *rows[:3],
            visible=visible,
            edges_seen=edges_seen,
            camera_height_m=self._camera.camera_height_m,
            fit=self._fit,
            openings=openings,
            spread_rad=spread_rad,
            confidence=output.confidence if isinstance(output, BoundaryCorners) else None,
        )

    def _columns(self, outputs: dict[str, npt.NDArray[np.float32]], at_s: float) -> Array:
        """Smoothed rows of W columns: latitudes of ceiling and floor, positive up, corner probability, and the rest."""
        if isinstance(self._output, HorizonDepth):
            distance = outputs[self._output.distance].reshape(-1)
            edges = edges_from_horizon_depth(distance, float(outputs[self._output.ratio].item()))
            smooth = self._smoother.update(edges, at_s)
            return np.vstack([smooth, turns(1.0 / np.tan(-smooth[1]))])
        boundary = outputs[self._output.boundary][0].astype(np.float64)
        logits = outputs[self._output.corners][0, 0].astype(np.float64)
        rows = [-boundary[0], -boundary[1], _probability(logits)]
        if self._output.openings is not None:
            rows += [*_probability(outputs[self._output.openings][0].astype(np.float64))]
        if self._output.spread is not None:
            rows += [*outputs[self._output.spread][0].astype(np.float64)]
        return self._smoother.update(np.stack(rows), at_s)

    def reset(self) -> None:
        """Forget the past: the scene was cut."""
        self._smoother.reset()
