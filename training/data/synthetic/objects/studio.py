"""Mitsuba pictures of one thing in the light of an environment: the crop alone is traced. The only file that does so.

The scalar variant compiles nothing and needs no LLVM: for small pictures it is the fastest.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.errors import DataError
from edge.geometry.colour import encode_srgb
from edge.perception.object_view import MARGIN
from training.data.synthetic.objects import CROP_PX
from training.data.synthetic.objects.models import Body

Floats = npt.NDArray[np.float64]
Picture = npt.NDArray[np.uint8]
"""Of the square crop's side, round about what is seen."""


@dataclass(frozen=True)
class Orbit:
    """A camera that looks at the origin, upright."""

    azimuth_rad: float
    """About y; 0 sees the front, from +z."""
    elevation_rad: float
    distance: float
    """In sides of the cube."""
    hfov_rad: float

    @property
    def position(self) -> Floats:
        """(3,)."""
        a, e = self.azimuth_rad, self.elevation_rad
        return np.asarray(self.distance * np.array([np.cos(e) * np.sin(a), np.sin(e), np.cos(e) * np.cos(a)]))

    @property
    def axes(self) -> Floats:
        """(3, 3) rows right, down, forward."""
        forward = -self.position / self.distance
        right = np.cross(forward, [0.0, 1.0, 0.0])
        right /= np.linalg.norm(right)
        return np.asarray(np.stack([right, np.cross(forward, right), forward]))

    def project(self, points: Floats) -> Floats:
        """(N, 3) -> (N, 2) places in the square picture, 0..1 inside."""
        x, y, z = ((points - self.position) @ self.axes.T).T
        return np.asarray(np.stack([x / z, y / z], axis=1) / (2 * np.tan(self.hfov_rad / 2)) + 0.5)


def square_around(places: Floats) -> npt.NDArray[np.float32]:
    """x0, y0, x1, y1 of the square about all places (N, 2), with a margin."""
    low, high = places.min(0), places.max(0)
    side = float((high - low).max()) / (1 - 2 * MARGIN)
    middle = (low + high) / 2
    return np.asarray([*(middle - side / 2), *(middle + side / 2)], dtype=np.float32)


@contextmanager
def _scalar() -> Iterator[Any]:
    """Mitsuba in its scalar variant; the room tracer's, if that is in use, is set again afterwards."""
    try:
        import mitsuba as mi
    except ImportError as error:
        raise DataError(f"Mitsuba is missing ({error}); pip install mitsuba") from error
    before = mi.variant()
    mi.set_variant("scalar_rgb")
    try:
        yield mi
    finally:
        if before is not None:
            mi.set_variant(before)


class Studio:
    """Pictures of one body in one light."""

    def __init__(self, body: Body, environment: npt.NDArray[np.float32] | None, turn_rad: float = 0.0) -> None:
        """Load the scene.

        Args:
            body: fitted into its cube.
            environment: (H, W, 3) linear radiance all around; None = an even sky and one lamp.
            turn_rad: of the environment, about y.
        """
        self._body = body
        with _scalar() as mi:
            self._scene = self._load(mi, environment, turn_rad)

    def _load(self, mi: Any, environment: npt.NDArray[np.float32] | None, turn_rad: float) -> Any:
        mi.set_log_level(mi.LogLevel.Error)
        body, properties = self._body, mi.Properties()
        paint = {"type": "diffuse", "reflectance": {"type": "mesh_attribute", "name": "face_color"}}
        properties["mesh_bsdf"] = mi.load_dict({"type": "twosided", "inner": paint})
        mesh = mi.Mesh("thing", len(body.vertices), len(body.faces), properties)
        colours = np.clip(body.colours, 0.02, 0.92)[body.part]
        mesh.add_attribute("face_color", 3, np.ascontiguousarray(colours, np.float32).ravel())
        values = mi.traverse(mesh)
        values["vertex_positions"] = np.ascontiguousarray(body.vertices, np.float32).ravel()
        values["faces"] = np.ascontiguousarray(body.faces, np.uint32).ravel()
        values.update()
        scene = {"type": "scene", "integrator": {"type": "path", "max_depth": 3, "hide_emitters": True}, "thing": mesh}
        turn = mi.ScalarTransform4f().rotate([0, 1, 0], float(np.degrees(turn_rad)))
        if environment is None:
            direction = [float(-np.sin(turn_rad)), -1.0, float(-np.cos(turn_rad))]
            scene["sky"] = {"type": "constant", "radiance": 0.5}
            scene["lamp"] = {"type": "directional", "direction": direction, "irradiance": 1.2}
        else:
            scene["sky"] = {"type": "envmap", "bitmap": mi.Bitmap(environment), "to_world": turn}
        return mi.load_dict(scene)

    def picture(self, camera: Orbit, samples: int, seed: int) -> tuple[Picture, Picture, npt.NDArray[np.float32]]:
        """Crop (`CROP_PX`, `CROP_PX`, 3) sRGB, black outside, and its mask; and the crop's square (x0, y0, x1, y1)."""
        wanted = square_around(camera.project(self._body.vertices))
        size = int(round(CROP_PX / float(wanted[2] - wanted[0])))
        x, y = (int(round(float(v) * size)) for v in wanted[:2])
        square = np.array([x / size, y / size, (x + CROP_PX) / size, (y + CROP_PX) / size], np.float32)
        colour, alpha = self._trace(camera, size, (x, y), samples, seed)
        srgb = encode_srgb(colour / np.maximum(alpha, 1e-3)[..., None]) * alpha[..., None]
        return np.rint(255 * srgb).astype(np.uint8), np.rint(255 * alpha).astype(np.uint8), square

    def _trace(self, camera: Orbit, size: int, corner: tuple[int, int], samples: int, seed: int) -> tuple[Any, Any]:
        """Linear colour and alpha of the crop; what of it lies outside the camera's own picture is seen as well."""
        # A film's crop must lie inside it: the film is widened, and its field of view with it.
        extra = max(0, -corner[0], -corner[1], corner[0] + CROP_PX - size, corner[1] + CROP_PX - size)
        wide = size + 2 * extra
        fov = 2 * np.degrees(np.arctan(np.tan(camera.hfov_rad / 2) * wide / size))
        with _scalar() as mi:
            film = {
                "type": "hdrfilm", "width": wide, "height": wide, "crop_offset_x": corner[0] + extra,
                "crop_offset_y": corner[1] + extra, "crop_width": CROP_PX, "crop_height": CROP_PX,
                "pixel_format": "rgba", "component_format": "float32", "rfilter": {"type": "box"},
            }  # fmt: skip
            aim = mi.ScalarTransform4f().look_at(origin=list(camera.position), target=[0, 0, 0], up=[0, 1, 0])
            sensor = mi.load_dict({
                "type": "perspective", "fov": float(fov), "to_world": aim, "film": film, "near_clip": 0.01,
                "sampler": {"type": "independent", "sample_count": samples},
            })  # fmt: skip
            shot = np.array(mi.render(self._scene, sensor=sensor, spp=samples, seed=seed), np.float32)
        return shot[..., :3], np.clip(shot[..., 3], 0, 1)
