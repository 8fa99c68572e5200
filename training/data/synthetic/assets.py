"""What rooms are made of: a folder of models, textures, pictures and skies, or shapes and textures made here.

The folder, each part optional: `furniture/*.glb` (y up, any unit, front towards +z; the kind is read from the file's
name), `objects/*.glb` (anything, made small enough to stand on a table), `textures/` and `pictures/` (.jpg, .png),
`hdri/` (.hdr, .exr; those not named `indoor...` or `studio...` go behind windows). A name matches Quaternius' ones
(`PREFIXES`) or, in a folder with none of these, a word of `WORDS`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import trimesh

from edge.errors import DataError
from edge.geometry.colour import decode_srgb, linear
from training.data.sets.hdr_files import ENDINGS, read_environment
from training.data.sets.pictures import read_picture

Image = npt.NDArray[np.float32]
Span = tuple[float, float]

SIZES: dict[str, tuple[Span, Span, Span]] = {
    "sofa": ((1.5, 2.4), (0.8, 1.0), (0.72, 0.92)), "armchair": ((0.75, 0.95), (0.75, 0.95), (0.7, 0.9)),
    "bed": ((0.9, 1.8), (1.95, 2.1), (0.5, 0.7)), "nightstand": ((0.4, 0.5), (0.38, 0.5), (0.42, 0.58)),
    "drawer": ((0.8, 1.7), (0.4, 0.55), (0.65, 1.0)), "shelf": ((0.6, 1.4), (0.28, 0.4), (1.5, 2.1)),
    "desk": ((1.1, 1.7), (0.6, 0.8), (0.72, 0.76)), "table": ((1.2, 2.0), (0.8, 1.0), (0.71, 0.77)),
    "coffee_table": ((0.7, 1.2), (0.5, 0.7), (0.36, 0.48)), "chair": ((0.4, 0.5), (0.42, 0.52), (0.82, 0.95)),
    "stool": ((0.35, 0.42), (0.35, 0.42), (0.45, 0.7)), "plant": ((0.4, 0.6), (0.4, 0.6), (0.5, 1.3)),
    "small_plant": ((0.15, 0.25), (0.15, 0.25), (0.18, 0.4)), "plate": ((0.2, 0.28), (0.2, 0.28), (0.015, 0.025)),
    "box": ((0.12, 0.4), (0.1, 0.3), (0.05, 0.35)), "counter": ((0.55, 0.65), (0.58, 0.65), (0.86, 0.94)),
    "oven": ((0.58, 0.62), (0.58, 0.65), (0.86, 0.94)), "fridge": ((0.6, 0.75), (0.6, 0.72), (1.5, 1.9)),
    "basin": ((0.5, 0.7), (0.4, 0.5), (0.8, 0.95)), "toilet": ((0.36, 0.4), (0.6, 0.7), (0.74, 0.82)),
    "bathtub": ((0.7, 0.8), (1.6, 1.8), (0.54, 0.62)), "washer": ((0.58, 0.62), (0.55, 0.62), (0.83, 0.87)),
    "trash": ((0.2, 0.35), (0.2, 0.35), (0.3, 0.65)), "fireplace": ((1.2, 1.6), (0.4, 0.5), (1.0, 1.25)),
    "carpet": ((1.2, 2.6), (1.0, 2.0), (0.01, 0.02)), "picture": ((0.3, 1.0), (0.02, 0.04), (0.3, 0.9)),
    "wall_shelf": ((0.5, 1.1), (0.18, 0.28), (0.1, 0.2)), "cabinet": ((0.5, 0.6), (0.3, 0.38), (0.6, 0.75)),
    "mirror": ((0.4, 0.7), (0.02, 0.04), (0.5, 0.9)), "floor_lamp": ((0.3, 0.45), (0.3, 0.45), (1.4, 1.75)),
    "table_lamp": ((0.2, 0.3), (0.2, 0.3), (0.32, 0.5)), "crate": ((0.25, 0.6), (0.25, 0.5), (0.2, 0.5)),
    "monitor": ((0.45, 0.75), (0.16, 0.2), (0.36, 0.5)), "tv": ((0.8, 1.4), (0.18, 0.25), (0.52, 0.85)),
    "wardrobe": ((0.9, 2.0), (0.5, 0.65), (1.85, 2.2)), "radiator": ((0.6, 1.4), (0.08, 0.14), (0.5, 0.6)),
    "screen": ((1.0, 1.8), (0.04, 0.06), (1.2, 1.6)), "whiteboard": ((1.0, 2.0), (0.02, 0.04), (0.8, 1.1)),
    "books": ((0.15, 0.3), (0.12, 0.22), (0.05, 0.25)), "thing": ((0.05, 0.2), (0.05, 0.2), (0.05, 0.3)),
    "cup": ((0.07, 0.1), (0.07, 0.1), (0.08, 0.13)), "bottle": ((0.06, 0.1), (0.06, 0.1), (0.18, 0.34)),
    "bowl": ((0.14, 0.28), (0.14, 0.28), (0.06, 0.12)), "laptop": ((0.3, 0.38), (0.22, 0.27), (0.18, 0.25)),
    "keyboard": ((0.3, 0.45), (0.11, 0.15), (0.015, 0.03)), "cushion": ((0.35, 0.5), (0.3, 0.5), (0.1, 0.16)),
    "rack": ((0.8, 1.3), (0.4, 0.6), (0.9, 1.5)), "island": ((1.2, 2.4), (0.6, 1.0), (0.86, 0.94)),
    "tall_unit": ((0.58, 0.62), (0.58, 0.64), (2.0, 2.3)),
}  # fmt: skip
"""Kind -> ranges of width, depth and height in metres."""

PREFIXES: dict[str, tuple[str, ...]] = {
    "sofa": ("Couch_Large1", "Couch_Large2", "Couch_Medium", "Couch_L", "Couch_Small1"),
    "armchair": ("Couch_Small", "Armchair"), "bed": ("Bed_",), "nightstand": ("NightStand",),
    "drawer": ("Drawer_",), "shelf": ("Bookshelf", "Shelf_1", "Shelf_2", "Shelf_Large"), "table": ("Table_",),
    "coffee_table": ("Table_RoundSmall", "CoffeeTable"), "chair": ("Chair_",), "stool": ("Stool",),
    "plant": ("Houseplant_1", "Houseplant_6", "Houseplant_7", "Houseplant_8", "Houseplant_4"),
    "small_plant": ("Houseplant_2", "Houseplant_3", "Houseplant_4", "Houseplant_5"), "plate": ("Plate_",),
    "counter": ("Kitchen_1", "Kitchen_2", "Kitchen_3", "Kitchen_Sink"), "oven": ("Kitchen_Oven",),
    "fridge": ("Kitchen_Fridge",), "basin": ("Bathroom_Sink",), "toilet": ("Bathroom_Toilet.",),
    "bathtub": ("Bathroom_Bathtub",), "washer": ("Bathroom_WashingMachine",),
    "trash": ("Trashcan_Cyl", "Trashcan_Small"), "fireplace": ("Fireplace",), "carpet": ("Carpet_",),
    "wall_shelf": ("Shelf_Small",), "cabinet": ("Kitchen_Cabinet",), "floor_lamp": ("Light_Stand", "Light_Floor1"),
    "table_lamp": ("Light_Desk", "Light_Floor2", "Light_Floor3", "Light_Floor4"),
    "ceiling_lamp": ("Light_Ceiling", "Light_Chandelier", "Light_Cube", "Light_Icosahedron."),
    "door": ("Door_1", "Door_2", "Door_3", "Door_4", "Door_5", "Door_7", "Door_8", "Door_9"),
    "curtain": ("Curtains_Double",),
}  # fmt: skip
"""Kind -> how its files' names begin."""
WORDS: dict[str, tuple[str, ...]] = {
    "coffee_table": ("coffee_table", "coffeetable", "side_table"), "nightstand": ("nightstand", "bedside"),
    "floor_lamp": ("floor_lamp", "floorlamp", "standing_lamp"), "ceiling_lamp": ("ceiling", "chandelier", "pendant"),
    "table_lamp": ("lamp",), "armchair": ("armchair",), "sofa": ("sofa", "couch"), "stool": ("stool",),
    "chair": ("chair",), "desk": ("desk",), "table": ("table",), "wardrobe": ("wardrobe", "closet"), "bed": ("bed",),
    "drawer": ("drawer", "dresser", "commode", "sideboard"), "wall_shelf": ("wall_shelf",),
    "shelf": ("shelf", "bookcase", "shelv"), "small_plant": ("small_plant",), "plant": ("plant", "ficus", "tree"),
    "fridge": ("fridge", "refrigerator"), "oven": ("oven", "stove"), "counter": ("counter", "kitchen_unit"),
    "basin": ("basin", "sink"), "toilet": ("toilet",), "bathtub": ("bathtub",), "washer": ("washing", "washer"),
    "trash": ("trash", "bin"), "fireplace": ("fireplace",), "carpet": ("carpet", "rug"), "monitor": ("monitor",),
    "tv": ("tv", "television"), "radiator": ("radiator",), "crate": ("crate", "box"), "curtain": ("curtain",),
    "door": ("door",), "cabinet": ("cabinet",), "plate": ("plate",), "books": ("book",),
}  # fmt: skip
"""Kind -> words in names of models; the first kind with a word in the name has it."""
NO_THINGS = ("Street_", "Streets_", "Pistol", "Revolver", "Shotgun", "FlareGun", "Sword", "Claymore", "Spear", "Bow_",
             "Scythe", "Axe", "Dagger", "Arrow", "Raft", "Tent", "Paddle", "Hammer", "Tank4")  # fmt: skip
"""Words in names of objects that lie on no table: weapons, and flat or large things."""
RESTING = ("table", "coffee_table", "desk", "drawer", "nightstand", "counter", "bed", "sofa")
"""Kinds on which things stand."""
INDOORS = ("indoor", "studio")

KNOWN_HEIGHTS_M: dict[str, float] = {
    "Bed_Bunk": 1.65, "Bed_King": 0.6, "Bed_Single": 0.65, "Drawer_1": 0.7, "Drawer_2": 0.62, "Drawer_3": 0.78,
    "Drawer_4": 1.05, "Drawer_5": 0.68, "Couch_L": 0.85, "Couch_Small2": 0.7, "Kitchen_Sink": 1.07,
    "Shelf_1": 1.6, "Houseplant_4": 0.45, "Houseplant_8": 1.2, "Houseplant_1": 0.75, "Houseplant_7": 0.75,
    "Houseplant_6": 0.8, "Table_RoundLarge": 0.66, "Shelf_Small1": 0.26, "Shelf_Small2": 0.2, "Shelf_Small3": 0.2,
}  # fmt: skip
"""Heights of pieces that differ from the rest of their kind."""

TEXTURE_WORDS: dict[str, tuple[str, ...]] = {
    "floor": ("woodfloor", "wood_floor", "hardwood", "planks", "floor_tiles", "tiles036", "concrete_tiles", "marble_1",
              "marble_2", "marble006", "cement", "concrete_1", "wood_1", "wood_2", "wool"),
    "wall": ("plaster", "drywall", "stucco", "white_1", "concrete_3", "brick", "cinder", "concrete_4", "tiles036"),
    "ceiling": ("ceiling_tile", "drywall", "stucco", "white_1", "wood_planks", "plaster"),
    "wood": ("texture_wood", "wood_color", "wood_1", "wood_2", "hardwood", "cardboard_3"),
    "fabric": ("fabric", "wool", "cardboard_3", "white_1"),
}  # fmt: skip
PROCEDURAL: dict[str, tuple[str, ...]] = {
    "floor": ("procedural:planks", "procedural:tiles", "procedural:checker", "procedural:noise"),
    "wall": ("procedural:noise", "procedural:noise", "procedural:tiles", "procedural:stripes"),
    "ceiling": ("procedural:noise", "procedural:tiles"), "wood": ("procedural:planks",),
    "fabric": ("procedural:weave",),
}  # fmt: skip


@dataclass(frozen=True)
class Catalog:
    """Names of what is there, sorted, so that a seed picks the same on every machine."""

    root: Path | None = None
    furniture: dict[str, tuple[str, ...]] = field(default_factory=dict)
    extents: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    """Asset -> width, depth, height in its own unit, z up."""
    rests: dict[str, float] = field(default_factory=dict)
    """Asset -> height of the largest surface that things can stand on, as a share of its own height."""
    textures: dict[str, tuple[str, ...]] = field(default_factory=lambda: dict(PROCEDURAL))
    pictures: tuple[str, ...] = ()
    skies: tuple[str, ...] = ()

    def pick(self, rng: np.random.Generator, kind: str) -> str | None:
        """A model of that kind, or None."""
        names = self.furniture.get(kind, ())
        k = rng.random()
        return names[int(k * len(names))] if names else None

    def pick_texture(self, rng: np.random.Generator, role: str) -> str | None:
        """A covering for floor, wall, ceiling, wood or fabric; None for plain colour."""
        names = self.textures.get(role, ())
        k, plain = rng.random(), rng.random()
        if not names or (role == "wall" and plain < 0.4):
            return None
        return names[int(k * len(names))]

    def pick_picture(self, rng: np.random.Generator) -> str | None:
        """A picture to hang up, or None."""
        k = rng.random()
        return self.pictures[int(k * len(self.pictures))] if self.pictures else None

    def pick_sky(self, rng: np.random.Generator, night: bool) -> str | None:
        """An outdoor environment by day or by night, or None."""
        k = rng.random()
        names = [s for s in self.skies if any(w in s for w in ("night", "moon")) == night] or list(self.skies)
        return names[int(k * len(names))] if names else None

    def scale(self, asset: str, height_m: float) -> float:
        """Metres per unit of the asset, when such things are `height_m` high; a known height wins, give or take 6 %."""
        known = KNOWN_HEIGHTS_M.get(Path(asset).stem)
        return (height_m if known is None else known * (0.94 + 0.12 * (height_m % 0.1) / 0.1)) / self.extents[asset][2]

    def model(self, asset: str) -> Path:
        """Its file; objects' names begin with their folder."""
        assert self.root is not None
        return self.root / asset if asset.startswith("objects/") else self.root / "furniture" / asset

    @property
    def summary(self) -> str:
        """How much of each there is, for the file's attributes."""
        pieces = sum(len(v) for v in self.furniture.values())
        return f"{pieces} models, {len(self.pictures)} pictures, {len(self.skies)} skies, root {self.root}"


def _names(folder: Path, *endings: str) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.suffix.lower() in endings) if folder.is_dir() else []


def _by_kind(models: list[str]) -> dict[str, tuple[str, ...]]:
    """Kind -> models of it, for kinds that have any."""
    known = {kind: tuple(n for n in models if n.startswith(p)) for kind, p in PREFIXES.items()}
    if not any(known.values()):
        first = {n: next((k for k, words in WORDS.items() if any(w in n.lower() for w in words)), "") for n in models}
        known = {kind: tuple(n for n in models if first[n] == kind) for kind in WORDS}
    return {kind: names for kind, names in known.items() if names}


@lru_cache(maxsize=4)
def read_catalog(root: Path | None, pictures: bool = True, without_skies: tuple[str, ...] = ()) -> Catalog:
    """What a folder of assets offers but for those skies (file names); without a folder, everything is made here.

    Raises:
        DataError: the folder is not there, or a model in it cannot be read.
    """
    if root is None:
        return Catalog()
    if not root.is_dir():
        raise DataError(f"no asset folder at {root}; give a folder with furniture/, textures/, hdri/, or leave it out")
    furniture = _by_kind(_names(root / "furniture", ".glb"))
    things = tuple(f"objects/{n}" for n in _names(root / "objects", ".glb") if not any(w in n for w in NO_THINGS))
    paths = {n: root / "furniture" / n for names in furniture.values() for n in names} | {n: root / n for n in things}
    extents = {n: _extent(path) for n, path in paths.items()}
    rests = {n: _rest(paths[n]) for kind in RESTING for n in furniture.get(kind, ())}
    furniture |= {"thing": things} if things else {}
    found = _names(root / "textures", ".jpg", ".jpeg") + _names(root / "textures", ".png")
    textures = {
        role: tuple(n for n in found if any(w in n.lower() for w in words)) or PROCEDURAL[role]
        for role, words in TEXTURE_WORDS.items()
    }
    skies = tuple(n for n in _names(root / "hdri", *ENDINGS) if not n.startswith(INDOORS) and n not in without_skies)
    hung = tuple(_names(root / "pictures", ".jpg", ".jpeg", ".png")) if pictures else ()
    return Catalog(root, furniture, extents, rests, textures, hung, skies)


def _extent(path: Path) -> tuple[float, float, float]:
    w, d, h = np.ptp(np.concatenate([p.vertices for p in model_parts(path)]), axis=0)
    return float(w), float(d), float(h)


def _rest(path: Path) -> float:
    """Share of a model's height at which most of its surface faces up; see `Catalog.rests`."""
    levels, areas = [], []
    parts = model_parts(path)
    high = max(float(p.vertices[:, 2].max()) for p in parts)
    for part in parts:
        a, b, c = (part.vertices[part.faces[:, i]] for i in range(3))
        normal = np.cross(b - a, c - a)
        level = (a[:, 2] + b[:, 2] + c[:, 2]) / (3 * high)
        up = (normal[:, 2] > 0.95 * np.linalg.norm(normal, axis=1)) & (level > 0.3)
        levels.append(level[up])
        areas.append(normal[up, 2])
    level, area = np.concatenate(levels), np.concatenate(areas)
    if not area.sum() > 0:
        return 1.0
    near = np.abs(level[:, None] - level[None]) < 0.02
    return float(np.max(level, initial=0, where=near[int(np.argmax(near @ area))]))


@dataclass(frozen=True)
class Part:
    """Triangles of one material: z up, base middle at the origin, back towards +y."""

    vertices: npt.NDArray[np.float64]
    faces: npt.NDArray[np.int64]
    normals: npt.NDArray[np.float64]
    color: tuple[float, float, float]


@lru_cache(maxsize=256)
def model_parts(path: Path) -> tuple[Part, ...]:
    """A GLB's parts, turned z up and recentred; colours linear.

    Raises:
        DataError: the file is no readable model.
    """
    try:
        loaded: Any = trimesh.load(path, force="scene")
        meshes = [g for g in loaded.dump() if isinstance(g, trimesh.Trimesh) and len(g.faces)]
    except (OSError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise DataError(f"{path} is no readable GLB ({error}); remove it or export it again") from error
    if not meshes:
        raise DataError(f"{path} holds no triangles; remove it or export it again")
    up = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    corners = [m.vertices @ up.T for m in meshes]
    low, high = np.min([c.min(0) for c in corners], 0), np.max([c.max(0) for c in corners], 0)
    origin = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    return tuple(
        Part(c - origin, np.asarray(m.faces), m.vertex_normals @ up.T, _color(m))
        for c, m in zip(corners, meshes, strict=True)
    )


def _color(mesh: trimesh.Trimesh) -> tuple[float, float, float]:
    """Linear base colour; of a textured model the mean of its texture, since textures here are the room's own."""
    visual: Any = mesh.visual
    picture = getattr(getattr(visual, "material", None), "baseColorTexture", None)
    if picture is not None:
        mean = linear(np.asarray(picture.convert("RGB"), np.uint8)).mean((0, 1))
        return float(mean[0]), float(mean[1]), float(mean[2])
    value = getattr(getattr(visual, "material", None), "main_color", None)
    if value is None:
        value = visual.main_color
    r, g, b = (float(v) / 255.0 for v in np.asarray(value)[:3])
    return r, g, b


# --- textures ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=128)
def read_texture(path: Path, size_px: int = 512) -> Image:
    """A picture as linear albedo (size, size, 3).

    Raises:
        DataError: it cannot be read.
    """
    small = cv2.resize(read_picture(path), (size_px, size_px), interpolation=cv2.INTER_AREA)
    return decode_srgb(small / np.float32(255)).astype(np.float32)


def _noise(rng: np.random.Generator, size_px: int) -> Image:
    out = np.zeros((size_px, size_px), np.float32)
    for cells in (2, 4, 8, 16, 32, 64):
        grid = np.pad(rng.normal(size=(cells, cells)).astype(np.float32), 1, mode="wrap")
        big = cv2.resize(grid, None, fx=size_px / cells, fy=size_px / cells, interpolation=cv2.INTER_CUBIC)
        edge = size_px // cells
        out += big[edge : edge + size_px, edge : edge + size_px] / np.float32(cells**0.7)
    return np.asarray(out / (np.abs(out).max() + 1e-6), dtype=np.float32)


def procedural(kind: str, seed: int, size_px: int = 256) -> Image:
    """A linear albedo texture (size, size, 3) of mean about 0.5, made from a seed."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:size_px, 0:size_px] / size_px
    noise = _noise(rng, size_px)
    tint = np.array([1.0, 1.0, 1.0])
    if kind == "planks":
        rows = int(rng.integers(4, 9))
        row = (y * rows).astype(int)
        shift = rng.random(rows)[row]
        column = ((x + shift) * 2).astype(int) % 2
        tone = rng.uniform(0.35, 0.65, (rows, 2))[row, column]
        seam = ((y * rows) % 1 < 0.03) | (((x + shift) * 2) % 1 < 0.006)
        grain = cv2.resize(noise[:, : size_px // 16], (size_px, size_px)) * 0.12
        value, tint = np.where(seam, 0.12, tone + grain), np.array([1.25, 0.95, 0.65])
    elif kind == "tiles":
        n = int(rng.integers(2, 7))
        cell = rng.uniform(0.5, 0.66, (n, n))[(y * n).astype(int), (x * n).astype(int)]
        joint = ((x * n) % 1 < 0.03) | ((y * n) % 1 < 0.03)
        value = np.where(joint, 0.25, cell + 0.04 * noise)
    elif kind == "checker":
        n = 2 * int(rng.integers(1, 4))
        value = np.where(((x * n).astype(int) + (y * n).astype(int)) % 2 == 0, 0.72, 0.22) + 0.04 * noise
    elif kind == "stripes":
        value = 0.5 + 0.12 * np.sign(np.sin(2 * np.pi * x * int(rng.integers(3, 14)))) + 0.02 * noise
    elif kind == "weave":
        value = 0.5 + 0.08 * np.sin(x * np.pi * 64) * np.sin(y * np.pi * 64) + 0.08 * noise
    else:
        value = 0.5 + 0.08 * noise
    return np.asarray(np.clip(value[..., None] * tint, 0.02, 0.95), dtype=np.float32)


def sky_window(path: Path, heading_rad: float, size_px: int = 128) -> Image:
    """What a window shows of an outdoor environment: linear, mean luminance 1, the sun itself clipped.

    Raises:
        DataError: the environment cannot be read.
    """
    sky = _read_sky(path)
    height, width = sky.shape[:2]
    v, u = np.meshgrid(np.linspace(0.75, -0.45, size_px), np.linspace(-0.85, 0.85, size_px), indexing="ij")
    lon = heading_rad + np.arctan(u)
    lat = np.arctan2(v, np.hypot(1, u))
    x = ((lon / (2 * np.pi) + 0.5) % 1.0) * width - 0.5
    y = (0.5 - lat / np.pi) * height - 0.5
    seen = cv2.remap(sky, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    seen = np.minimum(seen, 12 * np.median(seen) + 1e-4)
    return np.asarray(seen / max(float(seen.mean()), 1e-6), dtype=np.float32)


@lru_cache(maxsize=64)
def _read_sky(path: Path) -> Image:
    return np.ascontiguousarray(read_environment(path))
