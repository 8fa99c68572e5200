from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from edge.errors import DataError
from edge.perception.object_view import cut_out
from training.config.file import recipe_from_mapping
from training.data.samples.objects import Crop, mirrored, read_crops
from training.distill.learning_on import object_task
from training.distill.multiplex import (
    Cameras,
    Picture,
    best_of,
    mask_ious,
    refined,
    started,
    weights_of,
)
from training.distill.objects import asked, refuse_training_mode
from training.distill.selftrain import CAMERA_FILE, REPORT_FILE, Settings, selftrain
from training.losses.rendering import Field, pixel_places, rays, render
from training.nets.objects import CELLS, grid_points, looked_up
from training.tasks.base import read_checkpoint, runs_of
from training.tasks.build import build_task

RECIPE: dict[str, Any] = {
    "name": "things", "version": "0", "task": "objects",
    "net": {"net": "objects", "width": 0.35, "latent": 16, "channels": [16, 16, 16, 16]},
    "input": {"name": "image", "width_px": 64, "height_px": 64, "projection": "perspective", "mask_channel": True},
    "loss": {"rendering": 0.0}, "optim": {"steps": 2, "ema_decay": 0.0},
}  # fmt: skip


def toy() -> torch.Tensor:
    """Three coloured boxes without any symmetry, (1, 4, z, y, x): density and colour."""
    grid = torch.zeros(1, 4, 32, 32, 32)
    for span, colour in (
        ((slice(6, 26), slice(4, 10), slice(6, 26)), (0.8, 0.2, 0.1)),
        ((slice(6, 12), slice(10, 24), slice(6, 16)), (0.1, 0.7, 0.2)),
        ((slice(16, 26), slice(10, 16), slice(20, 26)), (0.1, 0.2, 0.9)),
    ):
        grid[(0, 0, *span)] = 4 * CELLS
        for k, value in enumerate(colour):
            grid[(0, k + 1, *span)] = value
    return grid


def field_in(grid: torch.Tensor) -> Field:
    """The field of a grid of densities and colours."""

    def there(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = looked_up(grid, points)
        return found[..., 0], found[..., 1:]

    return there


def points_in(grid: torch.Tensor) -> torch.Tensor:
    """Middles of its filled cells."""
    return grid_points(32)[grid[0, 0].flatten() > 0]


def seen_from(grid: torch.Tensor, cameras: Cameras, side: int = 48) -> Picture:
    """The picture that the first of the cameras has."""
    origin, direction = rays(cameras.camera[:1], cameras.crop[:1], pixel_places(side)[None])
    found = render(field_in(grid), origin, direction, 48)
    return Picture(found.mask[0].view(side, side), found.colour[0].view(side, side, 3))


def at(azimuth_deg: float, elevation_deg: float, points: torch.Tensor) -> Cameras:
    """One camera there, with the crop that holds the thing."""
    from training.distill.multiplex import _square_about, projected

    camera = torch.tensor([[math.radians(azimuth_deg), math.radians(elevation_deg), 2.2, math.radians(35.0)]])
    return Cameras(camera, _square_about(projected(camera, points)))


def degrees_apart(a: torch.Tensor, azimuth_deg: float) -> np.ndarray:
    """Of azimuths (M,) in radians."""
    return np.abs((np.degrees(a.numpy()) - azimuth_deg + 180) % 360 - 180)


def test_a_camera_ten_degrees_off_is_found() -> None:
    """From 10 degrees off in azimuth and 5 in elevation, refining ends within 3 degrees."""
    grid = toy()
    points = points_in(grid)
    picture = seen_from(grid, at(50, 25, points))
    cameras, _ = refined(field_in(grid), at(60, 20, points), picture, steps=40, lr=0.05, count=200)
    assert degrees_apart(cameras.camera[:, 0], 50)[0] < 3


@pytest.mark.parametrize("azimuth_deg", [10.0, 160.0])
def test_of_ten_cameras_the_true_one_gets_the_weight(azimuth_deg: float) -> None:
    """Ten cameras round a thing without symmetry: those that end at the true one hold nearly all of the weight."""
    grid = toy()
    points = points_in(grid)
    picture = seen_from(grid, at(azimuth_deg, 30, points))
    cameras, losses = refined(field_in(grid), started(points, phase_rad=0.2), picture, count=200, samples=24)
    near = degrees_apart(cameras.camera[:, 0], azimuth_deg) < 10
    assert near[int(losses.argmin())]
    assert float(weights_of(losses)[torch.from_numpy(near)].sum()) > 0.9
    kept, left = best_of(cameras, losses, 1)
    assert len(left) == 2 and float(left[0]) == float(losses.min())
    assert float(mask_ious(field_in(grid), kept, picture)[0]) > 0.85


def test_cameras_stay_within_their_bounds() -> None:
    """Whatever the picture asks for, elevations stay between -15 and 60 degrees and distances outside of the cube."""
    grid = toy()
    nothing = Picture(torch.zeros(16, 16), torch.zeros(16, 16, 3))
    cameras, _ = refined(field_in(grid), started(points_in(grid), 3), nothing, steps=15, lr=1.0, count=40, samples=8)
    elevation = np.degrees(cameras.camera[:, 1].numpy())
    assert (elevation >= -15.01).all() and (elevation <= 60.01).all() and (cameras.camera[:, 2] > 0.9).all()


def test_a_mirrored_thing_looks_mirrored_from_the_mirrored_camera() -> None:
    """What augmentation does to pictures, grids and cameras is one mirror."""
    grid = toy()
    cameras = at(35, 20, points_in(grid))
    item = {
        "image": seen_from(grid, cameras).colour.numpy()[None], "mask": seen_from(grid, cameras).mask.numpy()[None],
        "camera": cameras.camera.numpy(), "crop": cameras.crop.numpy(),
        "occupancy": grid[0, 0].permute(2, 1, 0).numpy(), "colour": grid[0, 1:].permute(3, 2, 1, 0).numpy(),
    }  # fmt: skip
    there = mirrored(item)
    volume = np.concatenate([there["occupancy"][None], np.moveaxis(there["colour"], -1, 0)])
    turned = torch.from_numpy(np.ascontiguousarray(volume.transpose(0, 3, 2, 1)))[None]
    again = seen_from(turned, Cameras(torch.from_numpy(there["camera"]), torch.from_numpy(there["crop"])))
    assert np.abs(again.mask.numpy() - there["mask"][0]).max() < 1e-4
    assert np.abs(again.colour.numpy() - there["image"][0]).max() < 1e-4


def small_task() -> Any:
    """A small network, its statistics settled on noise."""
    torch.manual_seed(1)
    task = build_task(recipe_from_mapping(RECIPE, "test"))
    task.train()
    for _ in range(3):
        task.net(torch.randn(8, 4, 64, 64))
    return task.eval()


def a_crop(seed: int = 0) -> Crop:
    """A picture of a bright patch."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((64, 64), np.uint8)
    mask[8:56, 16:48] = 255
    image = (rng.integers(60, 255, (64, 64, 3)) * (mask > 0)[..., None]).astype(np.uint8)
    return Crop(f"{seed}", image, mask)


def test_teachers_are_in_evaluation_mode() -> None:
    """Asking changes nothing in a teacher; one in training mode, or with one such module, is refused."""
    task = small_task()
    before = {k: v.clone() for k, v in task.net.state_dict().items()}
    asked(task.net, a_crop(), task.recipe, "a")
    assert all(torch.equal(v, before[k]) for k, v in task.net.state_dict().items())
    task.net.encoder.features[3].train()
    with pytest.raises(DataError, match="training mode.*eval"):
        refuse_training_mode(task.net, "a")


def test_pictures_are_cut_out_as_a_device_does(tmp_path: Path) -> None:
    """What is learnt from is what will be asked about, bit for bit; masks of nothing or of everything are left out."""
    rng, mask = np.random.default_rng(0), np.zeros((120, 200), np.uint8)
    mask[30:80, 100:180] = 255
    image = rng.integers(0, 256, (120, 200, 3)).astype(np.uint8)
    images, masks = tmp_path / "images", tmp_path / "masks"
    for folder in (images, masks):
        folder.mkdir()
    cv2.imwrite(str(images / "a.png"), image[..., ::-1])
    with pytest.raises(DataError, match=r"no mask for a\.png"):
        read_crops(images, masks, 96)
    for name, wrong in (("a", np.zeros_like(mask)), ("b", np.full_like(mask, 255)), ("c", mask)):
        cv2.imwrite(str(images / f"{name}.png"), image[..., ::-1])
        cv2.imwrite(str(masks / f"{name}.png"), wrong)
    with pytest.raises(DataError, match=r"no usable mask \(a\.png: the mask covers nothing of the picture\)"):
        read_crops(images, masks, 96, most=2)
    (crop,) = read_crops(images, masks, 96)
    picture, inside = cut_out(image, mask > 0, 96)
    assert crop.name == "c.png" and np.array_equal(crop.image, picture)
    assert np.array_equal(crop.mask, np.where(inside, 255, 0)) and not crop.image[crop.mask == 0].any()


def test_stage_2_stops_where_stage_1_explains_nothing(tmp_path: Path) -> None:
    """An untrained network does not pass the gate: the report says by how much, and nothing is learnt."""
    task = build_task(recipe_from_mapping(RECIPE, "test"))
    checkpoint = tmp_path / "start.ckpt"
    torch.save({"recipe": task.recipe.model_dump(mode="json"), "state_dict": task.state_dict(), "global_step": 3},
               checkpoint)  # fmt: skip
    for what in ("images", "masks"):
        (tmp_path / what).mkdir()
    crop = a_crop()
    cv2.imwrite(str(tmp_path / "images/a.png"), crop.image)
    cv2.imwrite(str(tmp_path / "masks/a.png"), crop.mask)
    fast = {"cameras": 3, "kept": 2, "first_steps": 1, "later_steps": 1, "rays": 16, "samples": 6, "epochs": 1}
    given = (checkpoint, tmp_path / "images", tmp_path / "masks", "patch", tmp_path / "out")
    with pytest.raises(DataError, match="stage 1 is too weak"):
        selftrain(*given, Settings(**fast))  # type: ignore[arg-type]
    said = json.loads((tmp_path / "out" / REPORT_FILE).read_text(encoding="utf-8"))
    assert said["passed"] is False and said["losses"] == []
    report = selftrain(*given, Settings(**fast, gate=False))  # type: ignore[arg-type]
    assert len(report.losses) == 1 and (tmp_path / "out" / CAMERA_FILE).is_file()
    learnt = object_task(tmp_path / "out" / "final.ckpt")
    assert not torch.equal(learnt.net.field.answer.bias, task.net.field.answer.bias)  # type: ignore[union-attr]
    run = runs_of(read_checkpoint(tmp_path / "out" / "final.ckpt")[1])[-1]
    assert run["segmented"] == 1 and run["category"] == "patch" and "commit" in run
