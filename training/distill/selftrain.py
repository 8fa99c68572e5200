"""Stage 2: a network for things learns on from pictures of one category whose cameras and shapes nobody knows.

Every picture keeps several cameras (`multiplex`). First cameras alone are fitted to what the network says; if that does
not explain the pictures, stage 1 is too weak and nothing is learnt. Then network and cameras take turns, and cameras
that explain a picture badly are given up.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edge.errors import DataError
from training.config.recipe import Recipe
from training.data.samples.objects import Crop, read_crops, tensor_of
from training.distill.learning_on import object_task, parameter_groups, write_learnt
from training.distill.multiplex import (
    CAMERAS,
    Cameras,
    Picture,
    best_of,
    looks_apart,
    mask_ious,
    refined,
    started,
    weights_of,
)
from training.losses.objects import occupancy_loss
from training.losses.rendering import pixel_places
from training.nets.objects import ObjectNet, grid_points

LEAST_IOU, LEAST_GAIN = 0.6, 0.05
"""The gate: mean overlap of the best camera's mask, and how far above that of one camera for all it must be."""
CAMERA_FILE, REPORT_FILE, CHECKPOINT_FILE = "cameras.npz", "report.json", "final.ckpt"
_FILLED = 0.4


@dataclass(frozen=True)
class Settings:
    """How stage 2 learns."""

    epochs: int = 4
    cameras: int = CAMERAS
    kept: int = 4
    kept_late: int = 2
    first_steps: int = 20
    later_steps: int = 5
    rays: int = 340
    samples: int = 32
    batch: int = 4
    lr: float = 1e-4
    encoder_lr: float = 1e-5
    prior: float = 0.1
    prior_end: float = 0.02
    seed: int = 0
    gate: bool = True
    """Whether to stop where stage 1 is too weak; off, the report says so all the same."""


@dataclass
class Known:
    """A picture and what is believed of its camera."""

    crop: Crop
    image: Tensor
    picture: Picture
    cameras: Cameras | None = None
    losses: Tensor | None = None
    start_iou: float = 0.0
    best_iou: float = 0.0


@dataclass
class Report:
    """What happened, for people and for stage 3."""

    category: str
    pictures: int
    best_iou: float = 0.0
    fixed_iou: float = 0.0
    passed: bool = False
    losses: list[float] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)


def key_of(crop: Crop) -> str:
    """Of a picture's pixels and mask: cameras are kept under it whatever the file is called."""
    return hashlib.blake2b(crop.image.tobytes() + crop.mask.tobytes(), digest_size=8).hexdigest()


def known_of(crops: Sequence[Crop], recipe: Recipe) -> list[Known]:
    """The crops as the network and the renderer want them."""
    out = []
    for crop in crops:
        mask = torch.from_numpy(crop.mask.astype(np.float32) / 255)
        colour = torch.from_numpy(crop.image.astype(np.float32) / 255) * (mask > 0.5)[..., None]
        out.append(Known(crop, tensor_of(crop.image, crop.mask, recipe.input), Picture(mask, colour)))
    return out


def filled_points(net: ObjectNet, raw: Tensor) -> Tensor:
    """(N, 3) middles of the cells that are likely filled."""
    full = net.probability(raw[0, 0]).flatten() > _FILLED
    return grid_points(raw.shape[-1])[full]


@torch.no_grad()
def _raw(net: ObjectNet, known: Known) -> Tensor:
    return net.grid(known.image[None])


def fit_cameras(net: ObjectNet, pictures: Sequence[Known], settings: Settings, show: Any = None) -> float:
    """The first visit of every picture: cameras all round, refined, the best kept; returns the fixed camera's overlap.

    That is the largest mean overlap that one of the unrefined cameras has over all pictures.
    """
    generator, fixed = torch.Generator().manual_seed(settings.seed), []
    for i, known in enumerate(pictures):
        raw = _raw(net, known)
        there, points = net.field_in(raw), filled_points(net, raw)
        fixed.append(mask_ious(there, started(points, settings.cameras), known.picture))
        phase = float(torch.rand((), generator=generator)) * 2 * np.pi / settings.cameras
        cameras, losses = refined(
            there, started(points, settings.cameras, phase), known.picture, steps=settings.first_steps,
            count=settings.rays, samples=settings.samples, seed=settings.seed + i,
        )  # fmt: skip
        known.cameras, known.losses = best_of(cameras, losses, settings.kept)
        known.start_iou = known.best_iou = float(mask_ious(there, known.cameras, known.picture)[0])
        if show:
            show(i + 1, len(pictures))
    return float(torch.stack(fixed).mean(0).max())


def _step(
    net: ObjectNet, prior: ObjectNet, batch: Sequence[Known], settings: Settings, weight: float, seed: int
) -> Tensor:
    """The loss of a batch: what the surviving cameras see, weighted, and nearness to stage 1."""
    images = torch.stack([k.image for k in batch])
    raw = net.grid(images)
    with torch.no_grad():
        before = prior.probability(prior.grid(images)[:, :1])
    losses = []
    for i, known in enumerate(batch):
        assert known.cameras is not None and known.losses is not None
        generator = torch.Generator().manual_seed(seed + i)
        everywhere = pixel_places(known.picture.mask.shape[0])
        places = everywhere[torch.randint(len(everywhere), (settings.rays,), generator=generator)]
        apart = looks_apart(net.field_in(raw[i : i + 1]), known.cameras, known.picture, places, settings.samples)
        losses.append((weights_of(known.losses) * apart).sum())
    return torch.stack(losses).mean() + weight * occupancy_loss(net.probability(raw[:, :1]), before)


def _visit(net: ObjectNet, known: Known, settings: Settings, kept: int, seed: int) -> None:
    """A later visit: the surviving cameras follow the network, and the worst are given up."""
    assert known.cameras is not None
    there = net.field_in(_raw(net, known))
    cameras, losses = refined(there, known.cameras, known.picture, steps=settings.later_steps, count=settings.rays,
                              samples=settings.samples, seed=seed)  # fmt: skip
    known.cameras, known.losses = best_of(cameras, losses, kept)
    known.best_iou = float(mask_ious(there, known.cameras, known.picture)[0])


def learn(
    net: ObjectNet, prior: ObjectNet, pictures: Sequence[Known], settings: Settings,
    show: Callable[[int, int], None] | None = None,
) -> list[float]:  # fmt: skip
    """Network and cameras in turns; the network stays in evaluation mode, so its statistics do not drift.

    Returns the mean loss of every epoch.
    """
    net.eval()
    optimizer = torch.optim.Adam(parameter_groups(net, settings.lr, settings.encoder_lr))
    rng, history = np.random.default_rng(settings.seed), []
    for epoch in range(settings.epochs):
        share = epoch / max(1, settings.epochs - 1)
        weight = settings.prior + share * (settings.prior_end - settings.prior)
        kept = settings.kept if epoch < settings.epochs / 2 else settings.kept_late
        order, total = rng.permutation(len(pictures)), 0.0
        for start in range(0, len(order), settings.batch):
            batch = [pictures[i] for i in order[start : start + settings.batch]]
            seed = settings.seed + 1000 * epoch + start
            for i, known in enumerate(batch):
                _visit(net, known, settings, kept, seed + i)
            optimizer.zero_grad()
            loss = _step(net, prior, batch, settings, weight, seed)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            total += float(loss.detach()) * len(batch)
        history.append(total / len(order))
        if show:
            show(epoch + 1, settings.epochs)
    return history


def write_cameras(path: Path, pictures: Sequence[Known]) -> None:
    """Every picture's cameras and overlaps, by the hash of its pixels; written whole."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for known in pictures:
        assert known.cameras is not None and known.losses is not None
        row = torch.cat([known.cameras.camera, known.cameras.crop, known.losses[:, None]], dim=1)
        arrays[key_of(known.crop)] = row.numpy()
        arrays[f"{key_of(known.crop)}:iou"] = np.array([known.start_iou, known.best_iou], np.float32)
    temporary = path.with_suffix(f".tmp{os.getpid()}.npz")
    np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]
    os.replace(temporary, path)


def selftrain(
    checkpoint: Path, images: Path, masks: Path, category: str, out: Path, settings: Settings = Settings(),
    most: int | None = None, show: Callable[[int, int], None] | None = None,
) -> Report:  # fmt: skip
    """Learn on from a folder of pictures; writes the checkpoint, the cameras and the report into `out`.

    Args:
        checkpoint: of stage 1.
        images: folder with one picture of each thing.
        masks: folder with masks of the same names.
        category: its name, for report and record.
        out: folder, made if need be.
        settings: how it learns.
        most: use only so many pictures.
        show: called with (pictures whose cameras are fitted, pictures), then with epochs.

    Raises:
        DataError: no picture can be used, the checkpoint is for another noun, or stage 1 is too weak for the category.
    """
    began = time.monotonic()
    task = object_task(checkpoint)
    net, prior = (cast(ObjectNet, object_task(checkpoint).inference_net).eval() for _ in range(2))
    net.requires_grad_(True)
    prior.requires_grad_(False)
    pictures = known_of(read_crops(images, masks, task.recipe.input.width_px, most), task.recipe)
    out.mkdir(parents=True, exist_ok=True)
    report = Report(category, len(pictures), settings=asdict(settings))
    report.fixed_iou = fit_cameras(net, pictures, settings, show)
    report.best_iou = float(np.mean([k.best_iou for k in pictures]))
    report.passed = report.best_iou >= LEAST_IOU and report.best_iou - report.fixed_iou >= LEAST_GAIN
    _write_report(out, report)
    write_cameras(out / CAMERA_FILE, pictures)
    if settings.gate and not report.passed:
        raise DataError(
            f"{category}: the best cameras explain {report.best_iou:.2f} of the masks (at least {LEAST_IOU}), one "
            f"camera for all {report.fixed_iou:.2f} (at least {LEAST_GAIN} less): stage 1 is too weak for this "
            "category; train it longer or on more things"
        )
    report.losses = learn(net, prior, pictures, settings, show)
    write_cameras(out / CAMERA_FILE, pictures)
    write_learnt(
        checkpoint, task, net, out / CHECKPOINT_FILE, since=began, segmented=len(pictures), category=category,
        steps=settings.epochs * -(-len(pictures) // settings.batch),
    )  # fmt: skip
    _write_report(out, report)
    return report


def _write_report(out: Path, report: Report) -> None:
    (out / REPORT_FILE).write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")
