"""Depth, rooms and light as pictures for people to look at."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge.geometry.harmonics import irradiance_over_pi
from edge.geometry.panorama import longitudes, pixel_from_angles
from edge.scene import ImageArray, ObjectMesh, RoomLayout

_PLAN_PX = 384
Colour = tuple[int, int, int]
TRUE: Colour = (60, 200, 60)
FOUND: Colour = (255, 140, 0)
_LINE = {"ceiling": (80, 200, 255), "floor": (255, 170, 60), "corner": (255, 80, 160)}


def coloured_depth(
    depth: npt.NDArray[np.float32], near_m: float | None = None, far_m: float | None = None
) -> ImageArray:
    """(H, W, 3) RGB, near red to far blue, unknown (0) black.

    The scale is logarithmic, between the 1st and 99th percentile unless given.
    """
    low, high = (near_m, far_m) if near_m and far_m else np.percentile(depth[depth > 0], (1, 99))
    a, b = np.log(low), np.log(high)
    level = np.clip((b - np.log(np.maximum(depth, 1e-3))) / max(b - a, 1e-6), 0, 1)
    colours = cv2.applyColorMap((level * 255).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
    return np.ascontiguousarray(np.where(depth[..., None] > 0, colours, 0).astype(np.uint8))


def coloured_error(share: npt.ArrayLike) -> ImageArray:
    """(H, W, 3) RGB of errors: 0 is dark, 1 and more is white hot, nan (not measured) is blue-grey."""
    s = np.asarray(share, dtype=np.float64)
    level = (np.clip(np.nan_to_num(s), 0, 1) * 255).astype(np.uint8)
    colours = cv2.applyColorMap(level, cv2.COLORMAP_HOT)[..., ::-1]
    return np.ascontiguousarray(np.where(np.isfinite(s)[..., None], colours, (90, 100, 120)).astype(np.uint8))


def drawn_layout(panorama: ImageArray, layout: RoomLayout) -> ImageArray:
    """The panorama with the network's boundary and the fitted polygon's corners as vertical lines."""
    out: ImageArray = panorama.copy()
    height, width = out.shape[:2]
    for name, latitude in (("ceiling", layout.ceiling_rad), ("floor", layout.floor_rad)):
        _edge(out, latitude, _LINE[name], max(1, width // 512))
    for corner in layout.polygon_m:
        distance = float(np.hypot(*corner))
        if distance < 0.05:
            continue  # a perspective camera's outline is closed at the camera itself
        up = np.arctan2(layout.ceiling_height_m - layout.camera_height_m, distance)
        down = -np.arctan2(layout.camera_height_m, distance)
        x, y = pixel_from_angles(np.arctan2(corner[0], corner[1]), np.array([up, down]), width, height)
        cv2.line(
            out,
            (round(float(x)), round(float(y[0]))),
            (round(float(x)), round(float(y[1]))),
            _LINE["corner"],
            2,
            cv2.LINE_AA,
        )
    return out


def floor_plan(layout: RoomLayout, size_px: int = _PLAN_PX) -> ImageArray:
    """The floor polygon seen from above, camera in the middle of its cross, a metre grid below, forward up."""
    out: ImageArray = np.full((size_px, size_px, 3), 250, np.uint8)
    reach = float(np.abs(layout.polygon_m).max()) * 1.15

    def at(point: npt.ArrayLike) -> tuple[int, int]:
        x, y = np.asarray(point, float)
        return round((x / reach + 1) * size_px / 2), round((1 - y / reach) * size_px / 2)

    for metre in range(-int(reach), int(reach) + 1):
        cv2.line(out, at((metre, -reach)), at((metre, reach)), (225, 225, 225), 1)
        cv2.line(out, at((-reach, metre)), at((reach, metre)), (225, 225, 225), 1)
    corners = np.array([at(p) for p in layout.polygon_m], np.int32)
    cv2.fillPoly(out, [corners], (226, 214, 196), cv2.LINE_AA)
    cv2.polylines(out, [corners], True, (60, 60, 60), 3, cv2.LINE_AA)
    cv2.drawMarker(out, at((0, 0)), (255, 80, 160), cv2.MARKER_CROSS, 18, 3)
    unit = "m" if layout.scale == "metric" else "camera heights"
    text = f"{layout.area_m2:.1f} {unit}2, {layout.ceiling_height_m:.2f} {unit} high, {layout.fit}"
    cv2.putText(out, text, (10, size_px - 12), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (40, 40, 40), 1, cv2.LINE_AA)
    return out


def lit_sphere(coefficients: npt.ArrayLike, size_px: int = _PLAN_PX, exposure: float | None = None) -> ImageArray:
    """A white matte sphere in a room's light (9, 3), seen from the camera looking forward.

    `exposure`: what irradiance / pi is multiplied by; None = so that the sphere's brightest parts are nearly white.
    """
    ys, xs = np.mgrid[1 : -1 : size_px * 1j, -1 : 1 : size_px * 1j] * 1.08
    inside = xs**2 + ys**2 < 1
    towards = np.sqrt(np.clip(1 - xs**2 - ys**2, 0, 1))
    normals = np.stack([xs, -towards, ys], axis=-1)  # the side that faces the camera points backwards
    light = np.clip(irradiance_over_pi(coefficients, normals), 0, None)
    level = exposure or 0.75 / max(float(np.percentile(light[inside].mean(-1), 95)), 1e-6)
    shade = np.clip(light * level, 0, 1) ** (1 / 2.2)
    return np.asarray(np.where(inside[..., None], shade * 255, 245), dtype=np.uint8)


def _edge(picture: ImageArray, latitude_rad: npt.ArrayLike, colour: Colour, radius_px: int) -> None:
    """Draw an edge (W,) (latitudes, positive up; nan = not drawn) into a panorama."""
    height, width = picture.shape[:2]
    latitude = np.asarray(latitude_rad, float)
    x, y = pixel_from_angles(longitudes(len(latitude)), latitude, width, height)
    for px, py in zip(x, y, strict=True):
        if np.isfinite(py):
            cv2.circle(picture, (round(px), round(py)), radius_px, colour, -1, cv2.LINE_AA)


def compared_layout(panorama: ImageArray, truth_rad: npt.NDArray[np.float64], found: RoomLayout | None) -> ImageArray:
    """The panorama with the true boundary (2, W), latitudes positive up, and the network's."""
    out: ImageArray = panorama.copy()
    drawn = [(edge, TRUE) for edge in truth_rad]
    if found is not None:
        drawn += [(found.ceiling_rad, FOUND), (found.floor_rad, FOUND)]
    for edge, colour in drawn:
        _edge(out, edge, colour, max(1, out.shape[1] // 700))
    return out


def compared_plan(truth_m: npt.ArrayLike, found: RoomLayout | None, size_px: int = _PLAN_PX) -> ImageArray:
    """The true floor and the one found, seen from above, forward up; a cross where the camera is."""
    out: ImageArray = np.full((size_px, size_px, 3), 250, np.uint8)
    outlines = [(np.asarray(truth_m, float), TRUE)]
    if found is not None:
        outlines.append((found.polygon_m, FOUND))
    # A wild answer must not shrink the truth to a dot.
    reach = min(1.15 * max(float(np.abs(p).max()) for p, _ in outlines), 2.5 * float(np.abs(outlines[0][0]).max()))
    for polygon, colour in outlines:
        at = (polygon / reach * [1, -1] + 1) * size_px / 2
        cv2.polylines(out, [np.rint(at).astype(np.int32)], True, colour, 2, cv2.LINE_AA)
    cv2.drawMarker(out, (size_px // 2, size_px // 2), _LINE["corner"], cv2.MARKER_CROSS, 14, 2)
    return out


def drawn_mesh(mesh: ObjectMesh, turn_rad: float, size_px: int = 240, down_rad: float = 0.35) -> ImageArray:
    """A mesh from in front, turned about its vertical, looked down upon, without perspective; lit from the left.

    Args:
        mesh: to draw.
        turn_rad: 0 shows its front, a quarter its right.
        size_px: of the square picture.
        down_rad: how far the view is tilted.
    """
    c, s = np.cos(turn_rad), np.sin(turn_rad)
    tilt = np.array([[1, 0, 0], [0, np.cos(down_rad), -np.sin(down_rad)], [0, np.sin(down_rad), np.cos(down_rad)]])
    points = mesh.vertices @ (tilt @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])).T
    corners = points[mesh.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    shade = 0.55 + 0.45 * np.clip(normal @ (np.array([-0.5, 0.6, 0.63]) / 1.004), 0, 1)
    colours = mesh.colours[mesh.faces].mean(axis=1) * shade[:, None]
    places = np.rint((corners[..., :2] * (1, -1) * 0.8 + 0.5) * size_px * 16).astype(np.int32)
    picture = np.full((size_px, size_px, 3), 255, np.uint8)
    for i in np.argsort(corners[..., 2].mean(axis=1)):  # the nearest last
        if normal[i, 2] > 0:
            cv2.fillConvexPoly(picture, places[i], colours[i].tolist(), cv2.LINE_8, shift=4)
    return picture
