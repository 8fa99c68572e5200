"""Stage 3: one network for things learns what stage 1 and the categories' own networks say of pictures without truth.

What is handed on are probabilities, colours only where a teacher sees the thing, and how it looks from a random side.
Teachers are in evaluation mode and asked once, their answers kept as bytes. A picture's teacher is its category's
network only if its best camera explains the mask at least as well as before stage 2.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edge.errors import DataError
from training.config.losses import ObjectsLossConfig
from training.config.recipe import Recipe
from training.data.samples.objects import Crop, Sample, disturbed, read_crops, tensor_of, truth_of
from training.data.synthetic.objects.rendered import RenderedObjects
from training.distill.learning_on import object_task, parameter_groups, write_learnt
from training.distill.multiplex import ELEVATION_RAD, looking_from
from training.distill.selftrain import CAMERA_FILE, key_of
from training.losses.objects import ObjectsLoss
from training.losses.rendering import rays, render
from training.nets.objects import ObjectNet, field_of, grid_points

UNSURE = 0.45
"""Cells whose probability is so near a half, or filled, count fully; the many others ..."""
ELSEWHERE = 0.2
"""... this much."""
_FILLED = 0.5
_OF_CELLS = ObjectsLoss(ObjectsLossConfig())


@dataclass(frozen=True)
class Plan:
    """How stage 3 learns."""

    steps: int = 400
    batch: int = 16
    lr: float = 2e-4
    encoder_lr: float = 2e-5
    synthetic: float = 0.3
    """Share of samples from rendered things with true grids."""
    seed: int = 0


@dataclass(frozen=True)
class Told:
    """A picture, what its teacher says of it as bytes, and who that was."""

    crop: Crop
    occupancy: npt.NDArray[np.uint8]
    """(x, y, z)."""
    colour: npt.NDArray[np.uint8]
    """(3, x, y, z)."""
    teacher: str


def refuse_training_mode(net: nn.Module, name: str) -> None:
    """Refuse a teacher that would normalise by the picture it is asked about, and drift with every one.

    Raises:
        DataError: a module of it is in training mode.
    """
    wrong = [n or "the network" for n, module in net.named_modules() if module.training]
    if wrong:
        raise DataError(
            f"teacher {name}: {wrong[0]} is in training mode, in which its batch normalisation follows the pictures it "
            "is asked about; call eval() first"
        )


@torch.no_grad()
def asked(net: nn.Module, crop: Crop, recipe: Recipe, name: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """What a teacher says of a crop, as bytes.

    Raises:
        DataError: it is in training mode.
    """
    refuse_training_mode(net, name)
    occupancy, colour = net(tensor_of(crop.image, crop.mask, recipe.input)[None])
    return tuple(np.rint(255 * t[0].numpy()).astype(np.uint8) for t in (occupancy[:, 0], colour))


def _better(teacher: Path, crop: Crop) -> bool:
    """Whether stage 2 explains this picture's mask at least as well as what it started from."""
    path = teacher.parent / CAMERA_FILE
    if not path.is_file():
        return True
    with np.load(path) as known:
        name = f"{key_of(crop)}:iou"
        return name not in known.files or bool(known[name][1] >= known[name][0])


def told_of(
    start: Path, teachers: Mapping[str, Path], pictures: Mapping[str, tuple[Path, Path]], most: int | None = None
) -> list[Told]:
    """What the right teacher says of every picture; categories without a network of their own have stage 1's.

    Args:
        start: checkpoint of stage 1.
        teachers: category -> checkpoint of stage 2.
        pictures: category -> folders of pictures and of masks.
        most: of each category.

    Raises:
        DataError: a checkpoint is for another noun, or a folder has no usable picture.
    """
    tasks = {name: object_task(path) for name, path in {"": start, **teachers}.items()}
    out = []
    for category, (images, masks) in pictures.items():
        own = tasks.get(category)
        for crop in read_crops(images, masks, tasks[""].recipe.input.width_px, most):
            mine = own is not None and _better(teachers[category], crop)
            name = category if mine else ""
            answer = asked(tasks[name].inference_net.eval(), crop, tasks[name].recipe, name or "stage 1")
            out.append(Told(crop, *answer, name or "stage 1"))
    return out


def told_sample(told: Told, recipe: Recipe, rng: np.random.Generator) -> Sample:
    """A varied picture beside what the teacher said of it as it was."""
    image, mask = disturbed(told.crop.image, told.crop.mask, rng, 0.6)
    occupancy, colour = (torch.from_numpy(a).float() / 255 for a in (told.occupancy, told.colour))
    return {"image": tensor_of(image, mask, recipe.input), "occupancy": occupancy, "colour": colour}


def distillation_loss(occupancy: Tensor, colour: Tensor, target: Tensor, target_colour: Tensor) -> Tensor:
    """Of (B, 1, ...) and (B, 3, ...) against a teacher's (B, ...) probabilities and (B, 3, ...) colours.

    Colours count only where the teacher sees the thing: it was never told what empty space looks like.
    """
    unsure = ((target - 0.5).abs() < UNSURE) | (target > _FILLED)
    weight = torch.where(unsure, 1.0, ELSEWHERE)[:, None]
    return _OF_CELLS.of_grid(occupancy, colour, target, target_colour, weight=weight, coloured=_FILLED)


def looks_loss(
    occupancy: Tensor, colour: Tensor, target: Tensor, target_colour: Tensor, loss: ObjectsLoss, seed: int
) -> Tensor:
    """How unlike student and teacher look, each thing from one random side; arguments as of `distillation_loss`.

    `loss` says how many rays, of how many samples. Both are looked at alike, so what is the same gives no gradient.
    """
    generator, count = torch.Generator().manual_seed(seed), len(target)
    azimuth, share, places = (
        torch.rand(*shape, generator=generator) for shape in ((count,), (count,), (count, 1, loss.config.rays, 2))
    )
    low, high = ELEVATION_RAD
    cells, full = grid_points(target.shape[-1]), target.permute(0, 3, 2, 1).flatten(1) > _FILLED
    sides = [
        looking_from(2 * math.pi * azimuth[i : i + 1], low + (high - low) * share[i : i + 1], cells[full[i]])
        for i in range(count)
    ]
    camera, crop = (torch.stack([getattr(s, name) for s in sides]) for name in ("camera", "crop"))
    with torch.no_grad():
        teacher = field_of(target[:, None], target_colour)
        found = render(teacher, *rays(camera[:, 0], crop[:, 0], places[:, 0]), loss.config.samples)
        seen = torch.cat([found.mask[..., None], found.colour], dim=-1)[:, None]
    return loss.of_views(field_of(occupancy, colour), camera, crop, places, seen, jitter=False)


class _Synthetic:
    """Random views of rendered things with their true grids."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        found = RenderedObjects(folder).of("train")
        self._items = [{k: item[k] for k in ("image", "mask", "occupancy", "colour")} for item in found]
        self._recipe = recipe

    def sample(self, rng: np.random.Generator) -> Sample:
        item = self._items[int(rng.integers(len(self._items)))]
        view = int(rng.integers(len(item["image"])))
        image, mask = disturbed(item["image"][view], item["mask"][view], rng)
        return {"image": tensor_of(image, mask, self._recipe.input)} | truth_of(item)


def teach(
    net: ObjectNet, told: Sequence[Told], recipe: Recipe, plan: Plan, objects: Path | None = None,
    show: Callable[[int, int], None] | None = None,
) -> list[float]:  # fmt: skip
    """Let the network, in evaluation mode, learn what was told; the rate falls to 0 at the end. Returns all losses."""
    net.eval().requires_grad_(True)
    rng, history = np.random.default_rng(plan.seed), []
    synthetic = _Synthetic(objects, recipe) if objects is not None and plan.synthetic > 0 else None
    optimizer = torch.optim.AdamW(parameter_groups(net, plan.lr, plan.encoder_lr))
    falling = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, 3 * (1 - step / plan.steps)))
    assert isinstance(recipe.loss, ObjectsLossConfig)
    looks = ObjectsLoss(recipe.loss)
    for step in range(plan.steps):
        samples = [
            synthetic.sample(rng)
            if synthetic is not None and rng.random() < plan.synthetic
            else told_sample(told[int(rng.integers(len(told)))], recipe, rng)
            for _ in range(plan.batch)
        ]
        batch = {k: torch.stack([s[k] for s in samples]) for k in samples[0]}
        optimizer.zero_grad()
        occupancy, colour = net(batch["image"])
        given = (occupancy, colour, batch["occupancy"], batch["colour"])
        loss = distillation_loss(*given)
        if recipe.loss.distilled_looks:
            loss = loss + recipe.loss.distilled_looks * looks_loss(*given, looks, plan.seed + step)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        falling.step()
        history.append(float(loss.detach()))
        if show:
            show(step + 1, plan.steps)
    return history


def distill_objects(
    start: Path, teachers: Mapping[str, Path], pictures: Mapping[str, tuple[Path, Path]], out: Path,
    plan: Plan = Plan(), objects: Path | None = None, most: int | None = None,
    show: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Write the checkpoint `out` of one network that started as stage 1; returns how many pictures each taught.

    Arguments are as of `told_of` and `teach`.

    Raises:
        DataError: see `told_of`.
    """
    began = time.monotonic()
    told = told_of(start, teachers, pictures, most)
    task = object_task(start)
    net = cast(ObjectNet, task.inference_net)
    losses = teach(net, told, task.recipe, plan, objects, show)
    names = sorted({t.teacher for t in told})
    out.parent.mkdir(parents=True, exist_ok=True)
    write_learnt(start, task, net.eval(), out, steps=plan.steps, since=began, segmented=len(told), teachers=names)
    taught = {name: sum(t.teacher == name for t in told) for name in names}
    return {"taught": taught, "first_loss": losses[0], "last_loss": float(np.mean(losses[-20:]))}
