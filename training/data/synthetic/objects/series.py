"""Rendering many things: who is alike, which side each is on, shards that a stopped run goes on with, the wild set.

A folder holds `split.json`, `objects-00000.h5` with 64 variants each (a `part-*.h5` for each that waits for its shard),
and `wild/CATEGORY/images`, `wild/CATEGORY/masks`: one picture of each wild variant, whose cameras and shapes are in
`wild-truth/CATEGORY.npz`, for scoring alone. A variant's group:

    image      (V, 96, 96, 3) uint8   sRGB crop, black outside the mask
    mask       (V, 96, 96)    uint8
    crop       (V, 4)         float32 x0 y0 x1 y1 of the crop in the camera's square picture, 0..1
    camera     (V, 4)         float32 azimuth, elevation (rad), distance (sides of the cube), horizontal view (rad)
    occupancy  (32, 32, 32)   uint8   share of the cell that is filled, axes x y z
    colour     (32, 32, 32, 3) uint8  sRGB of the nearest surface
    surface    (2048, 3)      float32 points on the surface
    attributes category, model, source (file, made), cluster, variant, scale, seed, split
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.errors import DataError
from training.data.sets.hdr_files import environment_files
from training.data.synthetic.objects import GRID
from training.data.synthetic.objects.clusters import SPLIT_FILE, Side, placed, read_split, write_split
from training.data.synthetic.objects.models import Thing, all_things
from training.data.synthetic.objects.rendered import RenderedObjects
from training.data.synthetic.objects.variants import Look, Variant, rendered
from training.data.synthetic.objects.voxels import fitted, grids_of
from training.data.synthetic.processes import in_processes
from training.data.synthetic.shards import check_same_run, fill, write_part

GENERATOR = "objects/2"
SHARD = 64
_POOL_ITEMS = 512
"""Things after which worker processes are replaced; they are small beside rooms."""
_WILD_LIGHT = 4
"""Every fourth environment lights wild pictures alone."""


@dataclass(frozen=True)
class Amounts:
    """How many variants of each thing, and views of each variant."""

    variants: int = 10
    """Of a file to learn from; of a thing made here one, since every number makes another."""
    wild_variants: int = 16
    views: int = 6
    made_views: int = 4
    test_views: int = 12


@dataclass(frozen=True)
class Job:
    """What a run shares; every process makes the same list of variants of it."""

    out: Path
    models: tuple[Path, ...]
    made: int
    seed: int
    amounts: Amounts
    look: Look

    @property
    def about(self) -> dict[str, Any]:
        """Attributes of every file; shards of different runs never mix."""
        a = self.amounts
        return {
            "generator": GENERATOR, "seed": self.seed, "made": self.made, "samples": self.look.samples,
            "models": [p.name for p in self.models] or ["none"], "elevation_deg": list(self.look.elevation_deg),
            "amounts": [a.variants, a.wild_variants, a.views, a.made_views, a.test_views],
            "lights": [p.stem for p in self.look.lights] or ["none"],
        }  # fmt: skip


def _shapes(things: Sequence[Thing], show: Callable[[int, int], None] | None) -> Any:
    """(N, 32, 32, 32) soft grids of the things as they are."""
    grids = np.empty((len(things), GRID, GRID, GRID), np.uint8)
    for i, thing in enumerate(things):
        body = thing.read()
        grids[i] = grids_of(replace(body, vertices=fitted(body.vertices)), 0).occupancy
        if show:
            show(i + 1, len(things))
    return grids


def prepare(job: Job, show: Callable[[int, int], None] | None = None) -> None:
    """Write the split; of things that are there already it stays as it is.

    Raises:
        DataError: a model cannot be read, or the split that is there.
    """
    things, path = all_things(job.models, job.made), job.out / SPLIT_FILE
    before = read_split(path)
    if {t.name for t in things} <= before.keys():
        return
    names, categories = [t.name for t in things], [t.category for t in things]
    made = [t.source == "made" for t in things]
    sides, clusters = placed(names, categories, made, _shapes(things, show), before, job.seed)
    write_split(path, names, categories, clusters, sides, job.seed)


@lru_cache(maxsize=2)
def variants_of(job: Job) -> tuple[Variant, ...]:
    """All variants of a run, in an order that mixes everything, so that any part of it shows all of it."""
    sides = read_split(job.out / SPLIT_FILE)
    clusters = read_split(job.out / SPLIT_FILE, "cluster")
    found = []
    for thing in all_things(job.models, job.made):
        side: Side = sides[thing.name]
        if side == "out":
            continue
        count, views = _amount(job.amounts, side, thing)
        found += [Variant(thing, n, side, clusters[thing.name], views) for n in range(count)]
    order = np.random.default_rng(job.seed).permutation(len(found))
    return tuple(found[i] for i in order)


def _amount(amounts: Amounts, side: Side, thing: Thing) -> tuple[int, int]:
    """Variants and views."""
    if side == "wild":
        return amounts.wild_variants, 1
    if side != "train":
        return 1, amounts.test_views
    return (1, amounts.made_views) if thing.source == "made" else (amounts.variants, amounts.views)


def _render(job: Job, index: int) -> int:
    write_part(job.out, rendered(variants_of(job)[index], job.look, job.seed, index), job.about)
    return index


def _write_wild(out: Path) -> None:
    """The wild variants as folders of pictures and masks, and what is true of them elsewhere."""
    wild = RenderedObjects(out).of("wild")
    for category in sorted(set(wild.categories)):
        images, masks = (out / "wild" / category / what for what in ("images", "masks"))
        for folder in (images, masks, out / "wild-truth"):
            folder.mkdir(parents=True, exist_ok=True)
        truth: dict[str, list[Any]] = {"name": [], "camera": [], "crop": [], "occupancy": [], "colour": []}
        for index in [i for i, c in zip(wild.indices, wild.categories, strict=True) if c == category]:
            item = wild.read(index)
            name = f"{index:06d}.png"
            cv2.imwrite(str(images / name), item["image"][0][..., ::-1])
            cv2.imwrite(str(masks / name), item["mask"][0])
            truth["name"].append(name)
            for key in ("camera", "crop"):
                truth[key].append(item[key][0])
            for key in ("occupancy", "colour"):
                truth[key].append(item[key])
        np.savez_compressed(out / "wild-truth" / f"{category}.npz", **{k: np.array(v) for k, v in truth.items()})  # type: ignore[arg-type]


def lights_in(folder: Path | None) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Environments to learn in and those of wild pictures; a folder of fewer than eight lights both."""
    if folder is None:
        return (), ()
    files = environment_files(folder)
    wild = tuple(files[_WILD_LIGHT - 1 :: _WILD_LIGHT])
    return (
        (tuple(f for f in files if f not in wild), wild)
        if len(files) >= 2 * _WILD_LIGHT
        else (tuple(files), tuple(files))
    )


def synthesize_objects(
    out: Path, models: Sequence[Path] = (), made: int = 0, seed: int = 1, workers: int = 1, *,
    hdri: Path | None = None, amounts: Amounts = Amounts(), elevation_deg: tuple[float, float] = (-10.0, 50.0),
    samples: int = 16, progress: Callable[[int, int], None] | None = None,
) -> list[Path]:  # fmt: skip
    """Render the models of folders, and things made here, into a folder; what is there is kept. Returns the shards.

    Args:
        out: folder, made if need be; this module's docstring says what is in it.
        models: folders of GLB, glTF or OBJ files, or in ShapeNet's layout.
        made: pieces of furniture to make of each kind.
        seed: of cameras, variants, lights and the split.
        workers: rendering processes.
        hdri: folder of environments; None = an even sky and a lamp.
        amounts: of variants and views.
        elevation_deg: lowest and highest camera.
        samples: light paths a pixel.
        progress: called with (variants finished, variants in all).

    Raises:
        DataError: there is nothing to render, a model cannot be read, `out` holds another run, or a worker died.
    """
    if (
        min(workers, samples, *vars(amounts).values()) < 1
        or made < 0
        or not -90 < elevation_deg[0] <= elevation_deg[1] < 90
    ):
        raise DataError("counts must be positive and elevations within -90..90, lowest first; correct the options")
    out.mkdir(parents=True, exist_ok=True)
    lights, wild_lights = lights_in(hdri)
    job = Job(out, tuple(models), made, seed, amounts, Look(elevation_deg, samples, lights, wild_lights))
    check_same_run(out, job.about)
    prepare(job)
    make = partial(in_processes, partial(_render, job), workers=workers, each=_POOL_ITEMS)
    total = len(variants_of(job))
    shards = fill(out, total, make, job.about, each=SHARD, stem="objects", progress=progress)
    _write_wild(out)
    return shards


def counts_of(out: Path) -> dict[str, int]:
    """By side, how many clusters the split has."""
    sides, clusters = read_split(out / SPLIT_FILE), read_split(out / SPLIT_FILE, "cluster")
    return dict(Counter(sides[name] for name in {clusters[n] for n in sides} & sides.keys()))
