"""The live page as one file that shows one room, for any browser, without a server or a network."""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path
from typing import Any

import numpy as np

from edge.derive.glb import room_glb
from edge.derive.model import RoomModel
from edge.geometry.colour import LUMINANCE

_STATIC = Path(__file__).parent / "static"


def _layout(model: RoomModel) -> dict[str, Any]:
    """What the page reads of a layout message."""
    metric = {
        "ceiling_height_m": model.ceiling_height,
        "camera_height_m": model.view.height,
        "area_m2": model.area,
        "volume_m3": model.volume,
        "polygon_m": model.polygon.tolist(),
        "walls": [
            {
                "start_m": edge.start.tolist(),
                "end_m": edge.end.tolist(),
                "length_m": edge.length,
                "confidence": model.confidence_of(edge),
            }
            for edge in model.walls
        ],
    }
    said = {"fit": "", "fit_reason": "", "captured_at": None} | model.about
    return {
        **{key: said[key] for key in ("fit", "fit_reason", "captured_at")},
        "scale": model.scale,
        "extent": model.extent,
        "confidence": model.confidence or 0.0,
        "openings": [
            {
                "kind": o.kind,
                "left_deg": float(np.degrees(o.left_rad)),
                "right_deg": float(np.degrees(o.right_rad)),
                "wall": o.wall,
                "width_m": o.width if model.scale == "metric" else None,
                "sill_m": o.sill,
                "height_m": o.height,
                "confidence": o.confidence,
                "source": o.source,
            }
            for o in model.openings
        ],
        "metric": metric if model.scale == "metric" else None,
    }


def _lighting(model: RoomModel) -> dict[str, Any] | None:
    light = model.lighting
    if light is None:
        return None
    x, y, z = light.dominant_direction
    return {
        "convention": light.convention,
        "coefficients": np.asarray(light.coefficients, dtype=np.float64).round(6).tolist(),
        "ambient": {"rgb": light.ambient, "level": float(np.asarray(light.ambient) @ LUMINANCE)},
        "dominant": {
            "direction": light.dominant_direction,
            "azimuth_deg": float(np.degrees(np.arctan2(x, y))),
            "elevation_deg": float(np.degrees(np.arcsin(np.clip(z, -1.0, 1.0)))),
            "strength": light.dominant_strength,
        },
    }


def _messages(model: RoomModel) -> list[tuple[str, str]]:
    """Topics and payloads (base64), as the page would have got them from a device."""
    topic = f"saved/{model.about.get('device') or 'edge'}/{model.camera}"
    said: dict[str, bytes] = {"layout": json.dumps(_layout(model)).encode(), "room": room_glb(model)}
    light = _lighting(model)
    if light is not None:
        said["lighting"] = json.dumps(light).encode()
    return [(f"{topic}/{kind}", base64.b64encode(data).decode("ascii")) for kind, data in said.items()]


def offline_page(model: RoomModel) -> bytes:
    """The page with its code, its style and the room in it.

    Raises:
        GeometryError: the model's outline is none of a room.
    """
    page, style, code, licences = (
        (_STATIC / name).read_text(encoding="utf-8")
        for name in ("index.html", "style.css", "app.js", "THIRD_PARTY.txt")
    )
    inline = code.replace("</script", "<\\/script")
    saved = json.dumps(_messages(model)).replace("<", "\\u003c")
    parts = {
        "<title>edge</title>": f"<title>{html.escape(model.camera)}</title>",
        '<link rel="stylesheet" href="style.css" />': f"<style>{style}</style>",
        '<script type="module" src="app.js"></script>': (
            f'<script type="application/json" id="saved">{saved}</script>\n'
            f"    <!--\n{licences.replace('--', '- -')}-->\n"
            f'    <script type="module">{inline}</script>'
        ),
    }
    for placeholder, content in parts.items():
        page = page.replace(placeholder, content)
    return page.encode()
