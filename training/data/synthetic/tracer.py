"""Mitsuba 3 pictures of a stage: path-traced radiance, denoised, with exact depth. The only file that speaks to it.

Rays of our own go to Mitsuba's path integrator, since it has no spherical camera: all cameras of a room in one kernel
launch, because compiling the kernel costs about as much as tracing a perspective view.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edge.errors import DataError
from edge.geometry.rigid import rotation_room_camera
from training.data.synthetic.assets import Catalog, procedural, read_texture
from training.data.synthetic.description import Room, Surface, View
from training.data.synthetic.shapes import Solid
from training.data.synthetic.stage import Glow, Stage

Floats = npt.NDArray[np.float32]
PATH_DEPTH = 5
MIRROR_ROUGHNESS = 0.05
_TAPS = np.array([[0.5, 0.15, 0.65, 0.35, 0.85], [0.5, 0.35, 0.15, 0.85, 0.65]], np.float32)
"""Where in a pixel the first hit is looked up: its centre gives the depth, all together the denoiser's guides."""

_AIR, _REACH_M = 0.35, 4.0
"""Of flat light: the share that comes from everywhere, and how far from the lamp the rest is halved."""


@dataclass(frozen=True)
class Shot:
    """What one camera sees: linear radiance (H, W, 3) and, through pixel centres, what depth means for it (H, W)."""

    radiance: Floats
    distance_m: Floats
    """Range of a panorama, z-depth of a perspective view; 0 where nothing is met."""


def _find_llvm() -> str | None:
    given = os.environ.get("DRJIT_LIBLLVM_PATH")
    if given:
        return given
    folders = [Path("/usr/lib") / f"{machine}-linux-gnu" for machine in ("x86_64", "aarch64")]
    folders += [Path("/usr/lib64"), Path("/usr/lib")]
    folders += sorted(Path("/usr/lib").glob("llvm-*/lib"), reverse=True)
    for version in ("19", "20", "18", "17", "16"):
        for folder in folders:
            for path in sorted(folder.glob(f"libLLVM*{version}*.so*")):
                return str(path)
    return None


@lru_cache(maxsize=1)
def mitsuba_started(threads: int) -> tuple[Any, Any]:
    """Mitsuba and Dr.Jit in LLVM mode, set up once a process."""
    os.environ["OIDN_NUM_THREADS"], os.environ["OIDN_SET_AFFINITY"] = str(threads), "0"
    library = _find_llvm()
    if library is None:
        raise DataError(
            "no libLLVM 16..20 found for Mitsuba; install one (Debian: apt-get install libllvm19) "
            "or point DRJIT_LIBLLVM_PATH at libLLVM.so"
        )
    os.environ["DRJIT_LIBLLVM_PATH"] = library
    try:
        import drjit as dr
        import mitsuba as mi
        import pyoidn  # noqa: F401  (missing is told here, not in the middle of a room)

        mi.set_variant("llvm_ad_rgb")
        dr.set_thread_count(threads)
    except (ImportError, RuntimeError) as error:
        raise DataError(f"Mitsuba cannot start ({error}); pip install mitsuba pyoidn and check {library}") from error
    mi.set_log_level(mi.LogLevel.Error)
    return mi, dr


def _bitmap(mi: Any, image: Floats) -> dict[str, Any]:
    return {"type": "bitmap", "bitmap": mi.Bitmap(np.ascontiguousarray(image)), "raw": True, "wrap_mode": "repeat"}


def _albedo(surface: Surface, catalog: Catalog, seed: int) -> Floats:
    """The covering's albedo image: a plain colour, or a texture tinted so that its mean is the colour."""
    tint = np.asarray(surface.color, np.float32)
    if surface.texture is None:
        return np.broadcast_to(tint, (8, 8, 3)).astype(np.float32)
    if surface.texture.startswith("procedural:"):
        image = procedural(surface.texture.split(":")[1], seed) / np.float32(0.5)
        return np.asarray(np.clip(image * np.where(tint == 1, 0.45, tint), 0.02, 0.92), dtype=np.float32)
    assert catalog.root is not None
    image = read_texture(catalog.root / "textures" / surface.texture)
    if surface.color == (1.0, 1.0, 1.0):
        return np.asarray(np.clip(image, 0.02, 0.92), dtype=np.float32)
    grey = image / np.maximum(image.mean((0, 1)), 1e-3)
    mixed = 0.5 * (grey - 1) + 1 if surface.texture.startswith("miniworld") else grey
    return np.asarray(np.clip(mixed * tint, 0.02, 0.92), dtype=np.float32)


class Tracer:
    """Renders rooms in this process.

    Args:
        catalog: assets the rooms were described with.
        threads: of Dr.Jit and of the denoiser.
        samples: paths a pixel.
        denoise: whether Open Image Denoise cleans the picture, led by albedo and normals.
    """

    def __init__(self, catalog: Catalog, threads: int = 1, samples: int = 16, denoise: bool = True) -> None:
        self._mi, self._dr = mitsuba_started(threads)
        self._catalog, self._samples, self._denoise = catalog, samples, denoise
        self._integrator = self._mi.load_dict({"type": "path", "max_depth": PATH_DEPTH, "rr_depth": 3})

    def _material(self, role: str, room: Room, solid: Solid, colors: Floats) -> tuple[dict[str, Any], Solid]:
        """Material of a role, and its triangles with texture coordinates that fit it."""
        surfaces = {
            "floor": room.floor, "ceiling": room.ceiling, "wall0": room.walls[0], "wall1": room.walls[1],
            "wood": room.wood, "fabric": room.fabric, "slope": room.ceiling,
        }  # fmt: skip
        for k, one in enumerate(room.annexes):
            surfaces |= {f"floor@{k}": one.floor, f"ceiling@{k}": one.ceiling, f"wall0@{k}": one.wall}
        if role == "mirror":
            return {"type": "roughconductor", "material": "Ag", "alpha": MIRROR_ROUGHNESS}, solid
        if role in surfaces:
            surface = surfaces[role]
            image = _albedo(surface, self._catalog, room.seed + list(surfaces).index(role))
            tiled = replace(solid, uv=solid.uv / surface.tile_m)
            return self._coat(_bitmap(self._mi, image), surface.gloss), tiled
        gloss = {"trim": room.trim.gloss, "gloss": 0.5}.get(role, 0.0)
        palette, texel = np.unique(colors, axis=0, return_inverse=True)
        u = (texel.reshape(-1) + 0.5) / len(palette)
        flat = {**_bitmap(self._mi, palette[None]), "filter_type": "nearest"}
        return self._coat(flat, gloss), replace(solid, uv=np.stack([u, np.full_like(u, 0.5)], axis=1))

    @staticmethod
    def _coat(reflectance: dict[str, Any], gloss: float) -> dict[str, Any]:
        if gloss <= 0:
            return {"type": "twosided", "inner": {"type": "diffuse", "reflectance": reflectance}}
        alpha = 0.35 - 0.3 * gloss
        inner = {"type": "principled", "base_color": reflectance, "roughness": alpha**0.5, "specular": 0.5}
        return {"type": "twosided", "inner": inner}

    def _mesh(self, name: str, solid: Solid, **attached: Any) -> Any:
        mi = self._mi
        properties = mi.Properties()
        for key, value in attached.items():
            properties[f"mesh_{key}"] = mi.load_dict(value)
        count = len(solid.vertices)
        mesh = mi.Mesh(name, count, count // 3, properties, has_vertex_normals=True, has_vertex_texcoords=True)
        values = mi.traverse(mesh)
        values["vertex_positions"] = mi.Float(np.ravel(solid.vertices).astype(np.float32))
        values["vertex_normals"] = mi.Float(np.ravel(solid.normals).astype(np.float32))
        values["vertex_texcoords"] = mi.Float(np.ravel(solid.uv).astype(np.float32))
        values["faces"] = mi.UInt32(np.arange(count, dtype=np.uint32))
        values.update()
        return mesh

    def _glow(self, name: str, glow: Glow) -> Any:
        radiance: dict[str, Any] = {"type": "rgb", "value": list(glow.radiance)}
        if glow.picture is not None:
            image = np.ascontiguousarray(glow.picture[::-1] * np.asarray(glow.radiance, np.float32))
            radiance = _bitmap(self._mi, image)
        dark = {"type": "diffuse", "reflectance": {"type": "rgb", "value": 0.1}}
        return self._mesh(name, glow.solid, bsdf=dark, emitter={"type": "area", "radiance": radiance})

    def scene(self, room: Room, stage: Stage) -> Any:
        """The stage as a Mitsuba scene."""
        mi = self._mi
        parts: dict[str, Any] = {"type": "scene"}
        for role in stage.solids:
            solid, colors = stage.merged(role)
            bsdf, fitted = self._material(role, room, solid, colors)
            parts[role] = self._mesh(role, fitted, bsdf=bsdf)
        for i, (solid, name) in enumerate(stage.pictures):
            if name and self._catalog.root is not None:
                image = read_texture(self._catalog.root / "pictures" / name, 256)[::-1]
            else:
                image = procedural(("noise", "stripes", "checker", "planks")[i % 4], room.seed + i, 64)
            parts[f"picture{i}"] = self._mesh(f"picture{i}", solid, bsdf=self._coat(_bitmap(mi, image), 0.0))
        for i, glow in enumerate(stage.glows):
            parts[f"glow{i}"] = self._glow(f"glow{i}", glow)
        for i, beam in enumerate(stage.beams):
            target = beam.position_m + beam.direction
            aim = mi.ScalarTransform4f().look_at(list(beam.position_m), list(target), [0, 0, 1])
            white = {"type": "bitmap", "bitmap": mi.Bitmap(np.full((4, 4, 3), beam.intensity, np.float32)), "raw": True}
            parts[f"beam{i}"] = {"type": "projector", "irradiance": white, "to_world": aim, "fov": 34.0}
        return mi.load_dict(parts)

    def _clean(self, radiance: Floats, albedo: Floats, normal: Floats) -> Floats:
        if not self._denoise:
            return radiance
        import pyoidn

        guides = {"albedo": np.clip(np.nan_to_num(albedo), 0, 1), "normal": np.nan_to_num(normal)}
        out = pyoidn.denoise(radiance, hdr=True, clean_aux=True, **guides)
        return np.asarray(np.maximum(np.nan_to_num(out), 0.0), dtype=np.float32)

    def shoot(self, scene: Any, cameras: list[Camera], samples: list[int], seed: int) -> list[Shot]:
        """One picture a camera, all traced in one kernel launch with so many paths a pixel each."""
        mi, dr = self._mi, self._dr
        pixels = np.cumsum([0] + [c.count for c in cameras])
        rays = np.cumsum([0] + [c.count * n for c, n in zip(cameras, samples, strict=True)])
        sampler = mi.load_dict({"type": "independent", "sample_count": 1})
        sampler.seed(seed & 0x7FFFFFFF, int(rays[-1]))
        spread = sampler.next_2d()
        sampler.schedule_state()
        dr.eval(spread)
        ray = self._joined_rays(cameras, samples, np.asarray(spread))
        color, _, _ = self._integrator.sample(scene, sampler, ray)
        finite = [dr.select(dr.isfinite(color[c]), color[c], 0.0) for c in range(3)]
        taps = len(_TAPS[0])
        pattern = np.tile(_TAPS, (1, int(pixels[-1])))
        first = scene.ray_intersect(self._joined_rays(cameras, [taps] * len(cameras), pattern))
        hit = first.is_valid()
        distance = dr.select(hit, first.t, 0.0)
        albedo, normal = first.bsdf().eval_diffuse_reflectance(first, hit), first.sh_frame.n
        dr.eval(finite, distance, albedo, normal)
        light = np.stack([np.asarray(f) for f in finite], axis=1)
        guides = [np.asarray(a).T.reshape(-1, taps, 3).mean(1) for a in (albedo, normal)]
        centers = np.asarray(distance)[::taps]
        shots = []
        for i, camera in enumerate(cameras):
            mean = light[rays[i] : rays[i + 1]].reshape(camera.count, samples[i], 3).mean(1)
            images = [a.reshape(*camera.shape, 3) for a in (mean, *(g[pixels[i] : pixels[i + 1]] for g in guides))]
            radiance = self._clean(*(np.ascontiguousarray(a, dtype=np.float32) for a in images))
            shots.append(Shot(radiance, camera.depth(centers[pixels[i] : pixels[i + 1]])))
        return shots

    def flat(self, scene: Any, cameras: list[Camera], lamp_m: Floats) -> list[Shot]:
        """One picture a camera without tracing light: surfaces under one bare lamp, in no time.

        A lamp at `lamp_m` (3,) shines on all without shadows, as much on what faces away from it as the air of a room
        would; what shines itself is white. The same point looks alike from everywhere, as under traced light.
        """
        dr, taps = self._dr, len(_TAPS[0])
        pixels = np.cumsum([0] + [c.count for c in cameras])
        first = scene.ray_intersect(
            self._joined_rays(cameras, [taps] * len(cameras), np.tile(_TAPS, (1, int(pixels[-1]))))
        )
        hit = first.is_valid()
        distance = dr.select(hit, first.t, 0.0)
        albedo, normal = first.bsdf().eval_diffuse_reflectance(first, hit), first.sh_frame.n
        emitter = first.emitter(scene, hit)
        shines = dr.select(hit & (emitter != None), 1.0, 0.0)  # noqa: E711  (of each ray, not of the array)
        dr.eval(distance, albedo, normal, first.p, shines)
        way = lamp_m[:, None] - np.asarray(first.p)
        size = np.maximum(np.linalg.norm(way, axis=0), 1e-3)
        facing = np.abs((way / size * np.nan_to_num(np.asarray(normal))).sum(axis=0))
        light = _AIR + (1 - _AIR) * facing / (1 + (size / _REACH_M) ** 2)
        color = np.where(np.asarray(shines) > 0, 1.0, np.nan_to_num(np.asarray(albedo)) * light)
        radiance = color.T.reshape(-1, taps, 3).mean(1).astype(np.float32)
        centers = np.asarray(distance)[::taps]
        return [
            Shot(radiance[a:b].reshape(*camera.shape, 3), camera.depth(centers[a:b]))
            for camera, a, b in zip(cameras, pixels, pixels[1:], strict=False)
        ]

    def _joined_rays(self, cameras: list[Camera], samples: list[int], spread: Floats) -> Any:
        """Rays of all cameras, as evaluated arrays so that the integrator's kernel is the same for any camera."""
        mi = self._mi
        origins, directions, first = [], [], 0
        for camera, n in zip(cameras, samples, strict=True):
            count = camera.count * n
            offset = spread[:, first : first + count]
            pixel = np.repeat(np.arange(camera.count), n)
            x, y = (pixel % camera.shape[1]).astype(np.float32), (pixel // camera.shape[1]).astype(np.float32)
            directions.append(camera.directions(x + offset[0], y + offset[1]))
            origins.append(np.repeat(camera.origin[:, None], count, axis=1))
            first += count
        origin, direction = np.concatenate(origins, axis=1), np.concatenate(directions, axis=1)
        ray = mi.Ray3f(mi.Point3f(*map(mi.Float, origin)), mi.Vector3f(*map(mi.Float, direction)))
        self._dr.eval(ray)
        return ray

    def room(self, scene: Any, room: Room, width_px: int, view_size_px: tuple[int, int]) -> tuple[Shot, list[Shot]]:
        """The panorama (range) and the room's perspective views (z-depth); views take half the paths a pixel."""
        cameras: list[Camera] = [PanoramaCamera(room.camera_height_m, width_px)]
        cameras += [PerspectiveCamera(v, *view_size_px) for v in room.views]
        samples = [self._samples] + [max(1, self._samples // 2)] * len(room.views)
        panorama, *views = self.shoot(scene, cameras, samples, room.seed)
        return panorama, views


class Camera(Protocol):
    """Pixels and their rays, in the room frame."""

    shape: tuple[int, int]
    count: int
    origin: Floats

    def directions(self, x: Floats, y: Floats) -> Floats:
        """Unit directions (3, n) through continuous pixel coordinates; the first pixel's centre is 0.5."""
        ...

    def depth(self, distance_m: Floats) -> Floats:
        """What depth means for this camera (H, W), from distances along the centre rays."""
        ...


class PanoramaCamera:
    """Equirectangular, at a height above the room frame's origin."""

    def __init__(self, height_m: float, width_px: int) -> None:
        self.shape = (width_px // 2, width_px)
        self.count = self.shape[0] * self.shape[1]
        self.origin = np.array([0, 0, height_m], np.float32)

    def directions(self, x: Floats, y: Floats) -> Floats:
        """See `Camera`."""
        lon = (x / self.shape[1] - 0.5) * np.float32(2 * np.pi)
        lat = (0.5 - y / self.shape[0]) * np.float32(np.pi)
        c = np.cos(lat)
        return np.asarray(np.stack([c * np.sin(lon), c * np.cos(lon), np.sin(lat)]), dtype=np.float32)

    def depth(self, distance_m: Floats) -> Floats:
        """Euclidean range."""
        return distance_m.reshape(self.shape)


class PerspectiveCamera:
    """Pinhole with square pixels and the principal point in the middle."""

    def __init__(self, view: View, width_px: int, height_px: int) -> None:
        self.shape = (height_px, width_px)
        self.count = width_px * height_px
        self.origin = np.array(view.position_m, np.float32)
        self._turn = rotation_room_camera(view.yaw_rad, view.pitch_rad, view.roll_rad).astype(np.float32)
        self._step = np.float32(2 * np.tan(view.hfov_rad / 2) / width_px)

    def directions(self, x: Floats, y: Floats) -> Floats:
        """See `Camera`."""
        rays = np.stack([(x - self.shape[1] / 2) * self._step, (y - self.shape[0] / 2) * self._step, np.ones_like(x)])
        return np.asarray(self._turn @ (rays / np.linalg.norm(rays, axis=0)), dtype=np.float32)

    def depth(self, distance_m: Floats) -> Floats:
        """Distance along the optical axis."""
        y, x = np.mgrid[0 : self.shape[0], 0 : self.shape[1]] + 0.5
        off = ((x - self.shape[1] / 2) ** 2 + (y - self.shape[0] / 2) ** 2) * self._step**2
        return np.asarray(distance_m.reshape(self.shape) / np.sqrt(1 + off), dtype=np.float32)
