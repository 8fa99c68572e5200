"""Learning depth from footage without labels.

The depth of each picture and the motion to its neighbours must make the neighbours look like it
(`training/losses/photometric.py`). Footage alone has no scale: motions found from points take theirs from the depth
that the network gives at those points, and the depth's own is tied to that of the network it started from, to rendered
rooms learnt beside, or to a baseline or poses in metres.
"""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.config.losses import SelfDepthLossConfig
from training.config.nets import FcrnConfig, Monodepth2Config
from training.config.recipe import Recipe
from training.data.samples.self_depth import MOST_PAIRS
from training.losses.depth import DepthLoss
from training.losses.photometric import (
    Comparison,
    compared,
    height_difference,
    motion_from_vector,
    sampled,
    scale_difference,
    smoothness,
    synthesised,
)
from training.nets.depth import Fcrn
from training.nets.monodepth2 import Monodepth2
from training.nets.pose import PoseNet
from training.tasks.base import Batch, NounTask
from training.tasks.depth import depth_net

_TEXTURE = 2 / 255
"""Steps of brightness from pixel to pixel under which a picture says nothing of depth."""
_FEWEST_POINTS = 8


def way_lengths(depth_m: Tensor, points: Tensor) -> Tensor:
    """(B, S) metres of the ways whose triangulated points are given, from the depth of the picture that they are in.

    Args:
        depth_m: (B, 1, H, W).
        points: (B, S, P, 3) px and depth in lengths of the way; 0 = no point. With fewer than 8 the length is 0.
    """
    b, s, p, _ = points.shape
    there = points[..., :2].reshape(b, s * p, 2).permute(0, 2, 1)[..., None]
    at = sampled(depth_m, there).reshape(b, s, p)
    known = points[..., 2] > 0
    ratio = torch.log(at.clamp(min=1e-6)) - torch.log(points[..., 2].clamp(min=1e-6))
    middle = torch.nanmedian(torch.where(known, ratio, torch.nan), dim=2).values
    return torch.where(
        known.sum(dim=2) >= _FEWEST_POINTS, torch.exp(torch.nan_to_num(middle)), torch.zeros_like(middle)
    )


def mirrored_motion(T: Tensor) -> Tensor:
    """Rigid transforms (..., 4, 4) as a mirror shows them, left and right exchanged."""
    M = torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0], dtype=T.dtype, device=T.device))
    return M @ T @ M


class SelfDepthTask(NounTask):
    """Batches are those of `SelfDepthSamples`; the network is that of `task: depth`, and served like it."""

    net: Fcrn | Monodepth2

    def __init__(self, recipe: Recipe) -> None:
        """Build the network, what corrects motions, and a copy that keeps what it starts from."""
        assert isinstance(recipe.net, FcrnConfig | Monodepth2Config) and isinstance(recipe.loss, SelfDepthLossConfig)
        super().__init__(recipe, depth_net(recipe.net))
        self.weights: SelfDepthLossConfig = recipe.loss
        self.supervised = DepthLoss(recipe.loss.supervised, recipe.net.min_m, recipe.net.max_m)
        self.start = copy.deepcopy(self.net).requires_grad_(False)
        self.motions = nn.Embedding(MOST_PAIRS, 6)
        nn.init.zeros_(self.motions.weight)
        self.pose = None if recipe.loss.motion == "matches" else PoseNet(recipe.loss.motion_encoder)
        spec = recipe.input
        order = [0, 1, 2] if spec.colour == "rgb" else [2, 1, 0]
        mean, std = (torch.tensor(values)[:, None, None] for values in (spec.mean, spec.std))
        self.register_buffer("_mean", mean, persistent=False)
        self.register_buffer("_std", std, persistent=False)
        self._order, self._full_scale = order, 255 * spec.scale

    def on_fit_start(self) -> None:
        """Keep what the run starts from, unless it goes on with one that did."""
        if self.global_step == 0:
            self.start.load_state_dict(self.inference_net.state_dict())

    def train(self, mode: bool = True) -> SelfDepthTask:
        """As every task; what the run started from is never changed."""
        super().train(mode)
        self.start.eval()
        return self

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """That of every task, and the motions, which are not decayed."""
        optimizer = super().configure_optimizers()
        moving = [self.motions.weight, *([] if self.pose is None else self.pose.parameters())]
        optimizer.add_param_group({"params": moving, "lr_factor": self.weights.motion_lr_factor, "weight_decay": 0.0})
        return optimizer

    def normalised(self, image: Tensor) -> Tensor:
        """(..., 3, H, W) RGB in 0..1 as the network takes it."""
        ordered = image[..., self._order, :, :] * self._full_scale
        return (ordered - cast(Tensor, self._mean)) / cast(Tensor, self._std)

    def log_depth(self, net: nn.Module, image: Tensor, per_canonical: Tensor) -> Tensor:
        """(B, 1, H, W) ln metres of a network's input, for the lens that took it, at the picture's size."""
        assert isinstance(net, Fcrn | Monodepth2)
        return self._for_lens(net.raw(image)[:, :1], image, per_canonical)

    def log_depths(self, image: Tensor, per_canonical: Tensor) -> list[Tensor]:
        """`log_depth` at each of the sizes that the network learns at, all enlarged to the picture's: finest first."""
        raw = self.net.scales(image) if isinstance(self.net, Monodepth2) else [self.net.raw(image)[:, :1]]
        return [self._for_lens(one, image, per_canonical) for one in raw]

    def _for_lens(self, raw: Tensor, image: Tensor, per_canonical: Tensor) -> Tensor:
        config = self.net.config
        raw = raw.float().clamp(*torch.log(torch.tensor([config.min_m, config.max_m])).tolist())
        if raw.shape[2:] != image.shape[2:]:
            raw = F.interpolate(raw, size=image.shape[2:], mode="bilinear", align_corners=False)
        return raw + torch.log(per_canonical)[:, None, None, None]

    def motion(self, batch: Batch, depth_m: Tensor) -> Tensor:
        """(B, S, 4, 4) source from target in metres, as the pictures show them."""
        given, known = batch["T"], batch["known"]
        length = torch.where(known, torch.ones_like(known, dtype=given.dtype), way_lengths(depth_m, batch["points"]))
        T = given.clone()
        T[..., :3, 3] = given[..., :3, 3] * length[..., None]
        if self.pose is not None:
            T = self._seen_motion(batch, T, depth_m)
        else:
            step = self.motions(batch["pair"].clamp(min=0)) * (batch["pair"] >= 0)[..., None]
            step = torch.cat([step[..., :3], step[..., 3:] * length[..., None]], dim=-1)
            step = torch.where(known[..., None], torch.zeros_like(step), step)
            T = motion_from_vector(step) @ T
        return torch.where(batch["mirrored"][:, None, None, None], mirrored_motion(T), T)

    def _seen_motion(self, batch: Batch, T: Tensor, depth_m: Tensor) -> Tensor:
        """The turn as points show it, and the rest as the pose network sees it once the turn is undone.

        `network_alone`: all of it as the network sees it.
        """
        assert self.pose is not None
        turn = torch.eye(4, dtype=T.dtype, device=T.device).expand_as(T).clone()
        if self.weights.motion == "network":
            turn[..., :3, :3] = T[..., :3, :3]
        mirrored = batch["mirrored"][:, None, None]
        shown = torch.where(mirrored[..., None], mirrored_motion(turn), turn)
        out = []
        for s in range(T.shape[1]):
            turned = synthesised(batch["sources"][:, s], torch.ones_like(depth_m), batch["lens"], shown[:, s])
            step = motion_from_vector(self.pose(batch["target"], turned.image))
            step = torch.where(mirrored, mirrored_motion(step), step)
            out.append(torch.where(batch["known"][:, s, None, None], T[:, s], turn[:, s] @ step))
        return torch.stack(out, dim=1)

    def _compared(self, batch: Batch, depth_m: Tensor, sources_depth_m: Tensor | None) -> Comparison:
        usable = batch["usable"]
        T = self.motion(batch, depth_m.detach())
        if self.pose is None:
            usable = usable & (T[..., :3, 3].detach().norm(dim=-1) > 0)
        still, sources_still = batch["still"], batch["sources_still"]
        moves = not bool(still.all() & sources_still.all())
        return compared(
            batch["target"], batch["sources"], depth_m, batch["lens"], T, sources_depth_m=sources_depth_m,
            usable=usable, still=still if moves else None, sources_still=sources_still if moves else None,
        )  # fmt: skip

    @torch.no_grad()
    def _sources_depth(self, batch: Batch) -> Tensor:
        """(B, S, 1, H, W) metres of the sources, by the averaged network: nothing is learnt through them.

        Of what is not there, 1 m: nothing is compared with it.
        """
        net = self.inference_net.eval() if self.averaged is not None else self.start
        there, sources = batch["usable"], batch["sources"]
        depth = torch.ones_like(sources[:, :, :1])
        if bool(there.any()):
            per_canonical = batch["per_canonical"][:, None].expand(there.shape)[there]
            depth[there] = torch.exp(self.log_depth(net, self.normalised(sources[there]), per_canonical))
        return depth

    def loss_of(self, batch: Batch) -> Tensor:
        """All terms by their weights; see `SelfDepthLossConfig`. What footage says is the mean over all sizes."""
        w = self.weights
        log_depths = self.log_depths(batch["image"], batch["per_canonical"])
        log_depth = log_depths[0]
        sources_depth_m = self._sources_depth(batch) if w.geometric > 0 else None
        total = log_depth.new_zeros(())
        for halvings, one in enumerate(log_depths):
            depth_m = torch.exp(one)
            if self.global_step < w.settle_steps:
                depth_m = depth_m.detach()
            found = self._compared(batch, depth_m, sources_depth_m)
            smooth = smoothness(one, batch["target"], of_disparity=w.smooth_on == "disparity") / 2**halvings
            said = w.photometric * found.photometric + w.geometric * found.geometric + w.smoothness * smooth
            total = total + said / len(log_depths)
        if w.height > 0:
            known = batch["floor"], batch["camera_height_m"]
            total = total + w.height * height_difference(torch.exp(log_depth), batch["lens"], *known)
        if w.scale > 0 or w.shape > 0:
            with torch.no_grad():
                start = self.log_depth(self.start, batch["image"], batch["per_canonical"])
            total = total + w.scale * scale_difference(log_depth, start, together=w.scale_over == "batch")
            total = total + w.shape * _untaught_difference(log_depth, start, batch)
        if "room_image" in batch and w.rooms > 0:
            total = total + w.rooms * self.supervised(self.net.raw(batch["room_image"]), batch["room_depth"], log=True)
        return total

    def score(self, net: nn.Module, batch: Batch) -> dict[str, float]:
        """Held-out footage: how unlike its sources a picture is (`error`), what it was, and the scale's drift."""
        log_depth = self.log_depth(net, batch["image"], batch["per_canonical"])
        found = self._compared(batch, torch.exp(log_depth), None)
        start = self.log_depth(self.start, batch["image"], batch["per_canonical"])
        before = self._compared(batch, torch.exp(start), None)
        drift = (log_depth - start).flatten(1).median(dim=1).values.mean()
        return {
            "error": float(found.photometric), "at_start": float(before.photometric),
            "counted": float(found.counted.float().mean()), "scale_drift": float(drift),
        }  # fmt: skip


def _untaught_difference(log_depth: Tensor, start: Tensor, batch: Batch) -> Tensor:
    """L1 of ln(depth / start) but for its median, where a picture has no texture to learn from, or what moves."""
    image = batch["target"]
    grey = image.mean(dim=1, keepdim=True)
    step = F.pad((grey[..., 1:] - grey[..., :-1]).abs(), (0, 1)) + F.pad(
        (grey[..., 1:, :] - grey[..., :-1, :]).abs(), (0, 0, 0, 1)
    )
    bare = F.max_pool2d(step, 5, stride=1, padding=2) < 2 * _TEXTURE
    counts = (bare | ~batch["still"]).to(log_depth.dtype)
    difference = log_depth - start
    shift = difference.detach().flatten(1).median(dim=1).values[:, None, None, None]
    return ((difference - shift).abs() * counts).sum() / counts.sum().clamp(min=1.0)
