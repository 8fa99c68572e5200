"""Samples of pictures with pseudo-labels, varied like labelled ones, and their mixture with those."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from edge.errors import DataError
from edge.geometry.harmonics import rotate_yaw
from edge.geometry.panorama import longitudes
from edge.perception.preprocess import resize, tensor_from_image
from edge.scene import BoolArray
from training.config.recipe import Recipe
from training.data.mix.mixture import Mixture
from training.data.samples.hdri import CELL_PX
from training.data.samples.openings import opening_sample, says_openings
from training.data.samples.rooms import DepthSamples, columns_of
from training.data.sets.pseudo import PseudoLayout, PseudoLighting, at_columns, read_all
from training.data.vary.masks import random_view_mask
from training.data.vary.panoramic import edge_weights, moved_picture, stretch_matrix
from training.data.vary.perspective import DepthPicture
from training.data.vary.photometric import sensor

Sample = dict[str, torch.Tensor]
MIRROR_SIGN = np.array([1, 1, 1, -1, -1, 1, 1, -1, 1], np.float32)[:, None]
"""Coefficients whose basis is odd in x: L11, L2-2 and L21."""


def stretched(pseudo: PseudoLayout, plane: npt.ArrayLike) -> PseudoLayout:
    """After a linear map (2, 2) of the floor plane; edges move as `moved_picture` moves pixels."""
    m = np.asarray(plane, dtype=np.float64)
    n = pseudo.edges_rad.shape[1]
    lon = longitudes(n)
    back = np.stack([np.sin(lon), np.cos(lon)], axis=-1) @ np.linalg.inv(m).T
    at = np.floor((np.arctan2(back[:, 0], back[:, 1]) / (2 * np.pi) + 0.5) * n).astype(int) % n
    edges = np.arctan(np.tan(pseudo.edges_rad[:, at]) * np.hypot(back[:, 0], back[:, 1])).astype(np.float32)
    mask = moved_picture(pseudo.mask.astype(np.uint8), m, blend=False).astype(np.bool_)
    others = (pseudo.edge_weight[:, at], pseudo.corners[:, at], pseudo.corner_weight[:, at])
    return PseudoLayout(moved_picture(pseudo.image, m), edges, *others, mask)


def _moved(arrays: list[npt.NDArray[Any]], flip: bool, share: float) -> list[npt.NDArray[Any]]:
    """Mirrored and turned arrays whose last axis (pictures: the second) goes round the panorama."""
    out = []
    for a in arrays:
        axis = 1
        mirrored = np.flip(a, axis) if flip else a
        out.append(np.ascontiguousarray(np.roll(mirrored, round(share * a.shape[axis]), axis)))
    return out


class PseudoLayoutSamples(Dataset[Sample]):
    """As `LayoutSamples` for training, but `seen` is (3, W): the weights of ceiling, floor and corners.

    Labels know nothing of openings: a network that says those learns nothing of them here.
    """

    def __init__(self, pictures: list[PseudoLayout], recipe: Recipe, columns: int) -> None:
        """Keep the pictures at the network's size."""
        size = (recipe.input.width_px, recipe.input.height_px)
        self._pictures = [_layout_at(p, *size, columns) for p in pictures]
        self._spec, self._augment, self._columns = recipe.input, recipe.augment, columns
        self._openings = says_openings(recipe)

    def __len__(self) -> int:
        """Pictures; each is varied anew whenever it is taken."""
        return len(self._pictures)

    def _varied(self, p: PseudoLayout, rng: np.random.Generator) -> PseudoLayout:
        a = self._augment
        if a.stretch > 1 and rng.random() < 0.8:
            factors = np.exp(rng.uniform(-np.log(a.stretch), np.log(a.stretch), 2))
            p = stretched(p, stretch_matrix(factors[0], factors[1], float(rng.uniform(0, np.pi))))
        flip = bool(a.flip and rng.random() < 0.5)
        share = float(rng.integers(self._columns)) / self._columns if a.roll else 0.0
        parts: list[npt.NDArray[Any]] = [p.image, p.edges_rad, p.edge_weight, p.corners, p.corner_weight, p.mask]
        image, *rest = _moved(parts, flip, share)
        return PseudoLayout(sensor(image, rng, a.photometric), *rest)

    def __getitem__(self, index: int) -> Sample:
        """A sample."""
        rng = _rng()
        p = self._varied(self._pictures[index], rng)
        mask = p.mask
        if mask.all() and rng.random() < self._augment.perspective_share:
            centred = rng.random() < 0.7
            mask = random_view_mask(rng, self._spec.width_px, self._spec.height_px, centred=centred)
        in_view = edge_weights(p.edges_rad, None if mask.all() else mask)
        corner_weight = p.corner_weight * in_view.max(axis=0, keepdims=True)
        rows = {
            "image": tensor_from_image(p.image, self._spec, mask=None if mask.all() else mask),
            "boundary": p.edges_rad,
            "corners": p.corners,
            "seen": np.concatenate([p.edge_weight * in_view, corner_weight]),
        }
        if self._openings:
            rows |= opening_sample(np.zeros(self._columns, np.uint8), None, p.edges_rad, mask)
        return {"index": torch.tensor(index), **{name: torch.from_numpy(row) for name, row in rows.items()}}


def _layout_at(p: PseudoLayout, width_px: int, height_px: int, columns: int) -> PseudoLayout:
    edges, corners = (p.edges_rad, p.edge_weight), (p.corners, p.corner_weight)
    edges_rad, edge_weight, heights, corner_weight = (at_columns(row, columns) for row in (*edges, *corners))
    image, mask = resize(p.image, width_px, height_px), _mask_at(p.mask, width_px, height_px)
    return PseudoLayout(image, edges_rad, edge_weight, heights, corner_weight, mask)


def _mask_at(mask: BoolArray, width_px: int, height_px: int) -> BoolArray:
    small = cv2.resize(mask.astype(np.uint8), (width_px, height_px), interpolation=cv2.INTER_NEAREST)
    return np.asarray(small, dtype=np.bool_)


class PseudoLightingSamples(Dataset[Sample]):
    """As `LightingTraining`; `cells` is nan, as teachers say nothing of them."""

    def __init__(self, pictures: list[PseudoLighting], recipe: Recipe) -> None:
        """Keep the pictures at the network's size."""
        self._spec, self._augment = recipe.input, recipe.augment
        size = (self._spec.width_px, self._spec.height_px)
        self._pictures = [
            PseudoLighting(resize(p.image, *size), p.coefficients, _mask_at(p.mask, *size)) for p in pictures
        ]
        self._cells = torch.full((3, size[1] // CELL_PX, size[0] // CELL_PX), torch.nan)

    def __len__(self) -> int:
        """Pictures; each is varied anew whenever it is taken."""
        return len(self._pictures)

    def __getitem__(self, index: int) -> Sample:
        """A sample."""
        rng, a, p = _rng(), self._augment, self._pictures[index]
        flip = bool(a.flip and rng.random() < 0.5)
        share = float(rng.integers(self._spec.width_px)) / self._spec.width_px if a.roll else 0.0
        image, mask = _moved([p.image, p.mask], flip, share)
        light = p.coefficients * MIRROR_SIGN if flip else p.coefficients
        light = np.asarray(rotate_yaw(light, 2 * np.pi * share), dtype=np.float32)
        picture = sensor(image, rng, a.photometric, tone=False)
        return {
            "image": torch.from_numpy(tensor_from_image(picture, self._spec, mask=None if mask.all() else mask)),
            "coefficients": torch.from_numpy(light),
            "cells": self._cells,
        }


def _rng() -> np.random.Generator:
    """A new generator for each sample."""
    return np.random.default_rng(int(torch.randint(0, 2**62, ()).item()))


class Mixed(Dataset[Sample]):
    """Labelled samples, a share of them replaced by pseudo-labelled ones."""

    def __init__(self, labelled: Dataset[Sample], pseudo: Dataset[Sample], share: float) -> None:
        """`share`: 0..1 of the samples."""
        self._labelled, self._pseudo, self._share = labelled, pseudo, share

    def __len__(self) -> int:
        """As many as the labelled ones."""
        return len(self._labelled)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Sample:
        """One of either kind, drawn by chance."""
        if float(torch.rand(())) < self._share:
            return self._pseudo[int(torch.randint(0, len(self._pseudo), ()))]  # type: ignore[arg-type]
        sample = self._labelled[index]
        if "corners" in sample and len(sample["seen"]) == 2:
            sample["seen"] = torch.cat([sample["seen"], sample["seen"].amax(dim=0, keepdim=True)])
        return sample


def _samples(recipe: Recipe, pictures: list[Any]) -> Dataset[Sample]:
    if recipe.task == "layout":
        return PseudoLayoutSamples(pictures, recipe, columns_of(recipe))
    if recipe.task == "lighting":
        return PseudoLightingSamples(pictures, recipe)
    known = [DepthPicture(p.image, p.depth_m, float(p.focal_px[0]), float(p.focal_px[1])) for p in pictures]
    return DepthSamples(Mixture([(1.0, known)]), recipe, len(known))


def with_pseudo(labelled: Dataset[Sample], recipe: Recipe) -> tuple[Dataset[Sample], dict[str, Any]]:
    """The recipe's training samples with its share of pseudo-labelled ones, and a record of these.

    Raises:
        DataError: the folder holds nothing to learn from, or the recipe's noun has no pseudo-labels.
    """
    if recipe.data.pseudo is None:
        return labelled, {}
    if recipe.task == "joint":
        raise DataError("data.pseudo: a network of several nouns has no pseudo-labels; drop it, or train one noun")
    if getattr(recipe.net, "head", "boundary") == "horizon_depth":
        raise DataError(
            "data.pseudo: pseudo-labels of layout know some edges and not others, and net.head: horizon_depth learns "
            "from both at once; drop it, or set net.head: boundary"
        )
    pictures, teachers = read_all(recipe.data.pseudo, recipe.noun)
    record = {"pseudo": len(pictures), "teachers": teachers}
    return Mixed(labelled, _samples(recipe, pictures), recipe.data.pseudo_share), record
