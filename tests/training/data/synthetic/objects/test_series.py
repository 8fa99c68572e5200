from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edge.errors import DataError
from training.config.file import load_recipe, with_overrides
from training.data.samples.objects import ObjectSamples
from training.data.sources import datasets
from training.data.synthetic.objects.models import Thing
from training.data.synthetic.objects.rendered import RenderedObjects
from training.data.synthetic.objects.series import Amounts, lights_in, synthesize_objects
from training.data.synthetic.objects.sheet import object_sheet
from training.data.synthetic.objects.studio import Orbit, Studio
from training.data.synthetic.objects.voxels import fitted, grids_of
from training.measure.objects import look_of

RECIPES = Path(__file__).resolve().parents[5] / "training/recipes"
FEW = Amounts(variants=1, wild_variants=1, views=2, made_views=2, test_views=2)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Things of two kinds, twelve of each, as a folder."""
    out = tmp_path_factory.mktemp("things")
    synthesize_objects(out, made=6, seed=3, amounts=FEW, samples=2)
    return out


@pytest.mark.parametrize("kind", ["chair", "sofa"])
def test_a_grid_from_the_true_camera_has_the_pictures_mask(kind: str) -> None:
    """Ray marching through the cells gives the mask that Mitsuba traced from the triangles: one frame, one camera."""
    body = Thing(kind, "x", made=(kind, 2)).read()
    body = replace(body, vertices=fitted(body.vertices))
    grids = grids_of(body, 0)
    camera = Orbit(0.6, 0.3, 2.2, float(np.radians(35)))
    _, mask, square = Studio(body, None).picture(camera, 4, 0)
    numbers = np.array([camera.azimuth_rad, camera.elevation_rad, camera.distance, camera.hfov_rad], np.float32)
    grid = grids.occupancy.astype(np.float32) / 255, np.moveaxis(grids.colour, -1, 0).astype(np.float32) / 255
    found, _ = look_of(grid, numbers, square, 96)
    turned, _ = look_of(grid, numbers * np.array([-1, 1, 1, 1], np.float32), square, 96)
    true = mask.astype(np.float32) / 255
    assert ((found - true) ** 2).mean() < 0.015
    assert ((turned - true) ** 2).mean() > 0.03


@pytest.mark.slow
def test_a_series_goes_on_where_it_stopped_and_is_split_by_cluster(series: Path) -> None:
    """Every thing is there once, on one side; a run with other settings is refused, the same one adds nothing."""
    found = RenderedObjects(series)
    sides = {s: len(found.of(s)) for s in ("train", "val", "wild", "test")}
    assert sum(sides.values()) == len(found) and sides["train"] > sides["test"] > 0
    item = found.read(found.indices[0])
    assert item["image"].shape[1:] == (96, 96, 3) and item["occupancy"].shape == (32, 32, 32)
    assert (item["image"][item["mask"] == 0] == 0).all()
    before = (series / "split.json").read_bytes()
    synthesize_objects(series, made=6, seed=3, amounts=FEW, samples=2)
    assert (series / "split.json").read_bytes() == before
    with pytest.raises(DataError, match="was made with seed"):
        synthesize_objects(series, made=6, seed=4, amounts=FEW, samples=2)
    assert object_sheet(series, series / "sheet.png").is_file()
    rows = json.loads(before)["things"].values()
    where: dict[str, set[str]] = {}
    for row in rows:
        where.setdefault(row["cluster"], set()).add(row["side"])
    assert all(len(s - {"out"}) <= 1 for s in where.values())


@pytest.mark.slow
def test_samples_are_what_the_recipe_says(series: Path) -> None:
    """A training sample has a varied crop, the true grids and rays of other views, and its number decides it."""
    recipe = with_overrides(load_recipe(RECIPES / "objects_edge.yaml"), data={"objects": series})
    found = RenderedObjects(series)
    assert not len(found.of("val"))
    with pytest.raises(DataError, match="nothing to validate on"):
        datasets(recipe)  # twelve things of a kind are too few to hold some out for that
    training, validation = ObjectSamples(found.of("train"), recipe, 4), ObjectSamples(found.of("test"), recipe, None)
    torch.manual_seed(5)
    a = training[0]
    torch.manual_seed(5)
    b = training[0]
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert a["image"].shape == (4, 96, 96) and a["seen"].shape == (2, recipe.loss.rays, 4)  # type: ignore[union-attr]
    assert set(a["image"][3].unique().tolist()) <= {0.0, 1.0}
    assert (a["image"][:3, a["image"][3] == 0] == 0).all()
    assert set(validation[0]) == {"image", "occupancy", "colour"}


def test_wild_pictures_have_lights_of_their_own(tmp_path: Path) -> None:
    """Of many environments every fourth lights wild pictures alone; of few all light both."""
    for i in range(9):
        (tmp_path / f"outdoor__{i}.hdr").write_bytes(b"")
    learnt, wild = lights_in(tmp_path)
    assert len(learnt) == 7 and len(wild) == 2 and not set(learnt) & set(wild)
    for i in range(4, 9):
        (tmp_path / f"outdoor__{i}.hdr").unlink()
    learnt, wild = lights_in(tmp_path)
    assert learnt == wild and len(wild) == 4
