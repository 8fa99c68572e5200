"""A room, or a home of several, in the format that a file's ending asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from edge.derive.formats.dxf import dxf, home_dxf
from edge.derive.formats.horizonnet import horizonnet_json
from edge.derive.formats.ifc import ifc
from edge.derive.formats.obj import obj_zip
from edge.derive.formats.plan import home_plan_svg, plan_svg
from edge.derive.formats.ply import ply
from edge.derive.formats.sizes import Units, home_sizes_csv, sizes_csv
from edge.derive.formats.usdz import usdz
from edge.derive.glb import home_glb, room_glb
from edge.derive.home import PlacedRoom
from edge.derive.model import RoomModel
from edge.viewer.offline import offline_page

CONTENT_TYPES = {
    ".glb": "model/gltf-binary",
    ".usdz": "model/vnd.usdz+zip",
    ".zip": "application/zip",
    ".ply": "application/octet-stream",
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
    ".dxf": "image/vnd.dxf",
    ".ifc": "application/x-step",
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
}


def room_writers(units: Units = "both") -> dict[str, Callable[[RoomModel], bytes]]:
    """By ending, what writes a room; `units`: of lengths on the plan. Each raises EdgeError where it cannot."""
    return {
        ".glb": room_glb,
        ".usdz": usdz,
        ".zip": obj_zip,
        ".ply": ply,
        ".html": offline_page,
        ".svg": partial(plan_svg, units=units),
        ".dxf": dxf,
        ".ifc": ifc,
        ".csv": sizes_csv,
        ".json": horizonnet_json,
    }


def home_writers(units: Units = "both") -> dict[str, Callable[[str, Sequence[PlacedRoom]], bytes]]:
    """By ending, what writes a home of its name and its rooms."""
    return {
        ".glb": home_glb,
        ".svg": partial(home_plan_svg, units=units),
        ".dxf": home_dxf,
        ".csv": home_sizes_csv,
    }
