"""Which things there are: GLB files of folders, models in ShapeNet's layout, and furniture made here from numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.errors import DataError
from training.data.synthetic.assets import model_parts
from training.data.synthetic.objects.makers import MAKERS, make

Floats = npt.NDArray[np.float64]
ENDINGS = (".glb", ".gltf", ".obj")
CATEGORIES: tuple[tuple[str, str], ...] = (
    ("animal", r"^animals_pack__"),
    ("seat", r"^(Chair|Couch)_|^Stool"),
    ("case", r"^(Drawer|Kitchen|NightStand|Shelf)_|^Bookshelf|WashingMachine"),
    ("lamp", r"^Light_"),
    ("container", r"(Can_|Battery_|WaterBottle|__Pot|GasCan|Propane|Trashcan|Backpack|Bandages)"),
    ("plant", r"^Houseplant"),
    ("misc", r"(Axe|Hammer|Shovel|__Pan|Torch|Radio|Phone|FirstAid|WoodLog|ships_pack|Raft\.|Tank\d*$)"),
    ("misc", r"^(Column|Table|Bed)_|Fireplace|Bathtub|Bathroom_(Sink|Toilet\d?)$"),
)
"""Category -> how the names of Quaternius' files begin or what they hold; the first that matches."""
LEFT_OUT = "|".join((
    r"^(Door|Window|Carpet|Curtains|Plate)", r"^(Fork|Knife|Spoon)", r"Mirror|Towel|Match|Shower",
    r"^(medieval_weapons|street)_pack", r"Pistol|Revolver|Shotgun|FlareGun|Knife|BearTrap",
))  # fmt: skip
"""Flat things, thinner than a cell, packs that are one body many times over, and weapons."""
_SYNSETS = {
    "02691156": "airplane", "02747177": "container", "02773838": "bag", "02818832": "bed", "02828884": "seat",
    "02871439": "case", "02876657": "container", "02924116": "bus", "02933112": "case", "02946921": "container",
    "02958343": "car", "03001627": "seat", "03211117": "display", "03337140": "case", "03593526": "container",
    "03636649": "lamp", "03991062": "plant", "04256520": "seat", "04379243": "table", "04530566": "ship",
}  # fmt: skip
"""ShapeNet's numbers of some categories; the others keep their number as their name."""


@dataclass(frozen=True)
class Body:
    """Triangles in the canonical frame's axes, of any size and place."""

    vertices: Floats
    """(V, 3), y up, front towards +z."""
    faces: npt.NDArray[np.int64]
    """(F, 3)."""
    part: npt.NDArray[np.int64]
    """(F,) which part, of one colour, each triangle belongs to."""
    colours: Floats
    """(parts, 3) linear, 0..1."""

    @property
    def corners(self) -> Floats:
        """(F, 3, 3) corners of each triangle."""
        return np.asarray(self.vertices[self.faces])


@dataclass(frozen=True)
class Thing:
    """A model by name; `made` are a maker's name and number, for things without a file."""

    name: str
    category: str
    path: Path | None = None
    made: tuple[str, int] | None = None
    turned: bool = False
    """Whether its front is towards -z, as ShapeNet's."""

    @property
    def source(self) -> str:
        """`file` or `made`."""
        return "made" if self.path is None else "file"

    def read(self) -> Body:
        """Its triangles.

        Raises:
            DataError: the file is no readable model.
        """
        if self.made is not None:
            vertices, faces, part, colours = make(*self.made)
            return Body(vertices, faces, part, colours)
        assert self.path is not None
        parts = model_parts(self.path)
        offsets = np.cumsum([0, *(len(p.vertices) for p in parts)])
        z_up = np.concatenate([p.vertices for p in parts])
        vertices = np.stack([z_up[:, 0], z_up[:, 2], -z_up[:, 1]], axis=1)
        if self.turned:
            vertices = vertices * np.array([-1.0, 1.0, -1.0])
        faces = np.concatenate([p.faces + o for p, o in zip(parts, offsets[:-1], strict=True)])
        part = np.repeat(np.arange(len(parts)), [len(p.faces) for p in parts])
        return Body(vertices, faces.astype(np.int64), part, np.array([p.color for p in parts]))


def _category(path: Path, folder: Path) -> str | None:
    """By name; else the sub-folder that the file is in; None for what is left out."""
    for category, pattern in CATEGORIES:
        if re.search(pattern, path.stem):
            return category
    if path.parent != folder:
        return path.relative_to(folder).parts[0].lower()
    return None if re.search(LEFT_OUT, path.stem) else "misc"


def _shapenet(folder: Path) -> list[Thing]:
    """Models at SYNSET/MODEL/models/model_normalized.obj (second release) or SYNSET/MODEL/model.obj (first)."""
    found = sorted([*folder.glob("[0-9]*/*/models/model_normalized.obj"), *folder.glob("[0-9]*/*/model.obj")])
    names = [path.relative_to(folder).parts[:2] for path in found]
    return [
        Thing(f"{synset}/{model}", _SYNSETS.get(synset, synset), path, turned=True)
        for (synset, model), path in zip(names, found, strict=True)
    ]


def things_in(folder: Path) -> list[Thing]:
    """The models of a folder, by name: GLB, glTF or OBJ files at any depth, or ShapeNet's layout.

    A file's category is that of its name (`CATEGORIES`), else its sub-folder's name, else `misc`.

    Raises:
        DataError: the folder holds none.
    """
    found = _shapenet(folder)
    if not found and folder.is_dir():
        for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in ENDINGS):
            category = _category(path, folder)
            if category is not None:
                found.append(Thing(f"{folder.name}/{path.relative_to(folder).with_suffix('')}", category, path))
    if not found:
        raise DataError(
            f"{folder}: no models; give a folder with {', '.join(ENDINGS)} files, or with ShapeNet's sub-folders"
        )
    return found


def things_made(each: int, first: int = 0) -> list[Thing]:
    """So many pieces of furniture of each kind that `makers` knows."""
    return [
        Thing(f"made/{kind}_{number:04d}", maker.category, made=(kind, number))
        for kind, maker in MAKERS.items()
        for number in range(first, first + each)
    ]


def all_things(folders: Sequence[Path], made: int) -> list[Thing]:
    """Everything to render, names unique.

    Raises:
        DataError: there is nothing, or two folders have a model of one name.
    """
    found = [thing for folder in folders for thing in things_in(folder)] + things_made(made)
    if not found:
        raise DataError("nothing to render: give --models a folder of GLB files, or --made how many to make of a kind")
    names = [t.name for t in found]
    twice = sorted({n for n in names if names.count(n) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise DataError(f"two models are called {twice[0]}; give each folder once, and folders of other names")
    return found
