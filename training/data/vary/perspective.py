"""Perspective pictures with depth: crops and turns that keep the lens known, and views cut from panoramas."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge.geometry.panorama import sampling_map
from edge.geometry.pinhole import rays_from_pixels
from edge.geometry.rigid import rotation_room_camera
from edge.scene import ImageArray, Intrinsics

Depth = npt.NDArray[np.float32]


@dataclass(frozen=True)
class DepthPicture:
    """A picture, its z-depth (0 = unknown) and the focal lengths it was taken with, in px."""

    image: ImageArray
    depth_m: Depth
    fx_px: float
    fy_px: float

    @property
    def focal_px(self) -> float:
        """Geometric mean of the two focal lengths: what canonical depth is scaled by."""
        return float(np.sqrt(self.fx_px * self.fy_px))


def mirrored(picture: DepthPicture) -> DepthPicture:
    """Left and right exchanged."""
    image, depth = np.ascontiguousarray(picture.image[:, ::-1]), np.ascontiguousarray(picture.depth_m[:, ::-1])
    return DepthPicture(image, depth, picture.fx_px, picture.fy_px)


def warped(
    picture: DepthPicture, zoom: tuple[float, float], roll_rad: float, centre_px: tuple[float, float]
) -> DepthPicture:
    """Turned about the optical axis and enlarged about a point by `zoom` across and down; z-depth keeps its values.

    What comes from outside of the picture has depth 0.
    """
    h, w = picture.image.shape[:2]
    c, s = np.cos(roll_rad), np.sin(roll_rad)
    linear = np.array([[c, -s], [s, c]]) @ np.diag([1 / zoom[0], 1 / zoom[1]])
    offset = np.asarray(centre_px) - linear @ [w / 2, h / 2]
    offset += linear.sum(axis=1) / 2 - 0.5  # pixel centres lie at + 0.5
    back = np.column_stack([linear, offset])
    flags = cv2.WARP_INVERSE_MAP
    image = cv2.warpAffine(picture.image, back, (w, h), flags=flags | cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    depth = cv2.warpAffine(picture.depth_m, back, (w, h), flags=flags | cv2.INTER_NEAREST, borderValue=0)
    return DepthPicture(
        np.asarray(image, np.uint8), np.asarray(depth, np.float32), picture.fx_px * zoom[0], picture.fy_px * zoom[1]
    )


def random_crop(picture: DepthPicture, rng: np.random.Generator, largest_zoom: float) -> DepthPicture:
    """A part of the picture of any shape, enlarged by 1..`largest_zoom` each way and turned by a degree or two.

    Across and down differ by up to 4 : 3 (a camera's 16 : 9 picture brought to a network's 4 : 3).
    """
    h, w = picture.image.shape[:2]
    zoom = np.exp(rng.uniform(0, np.log(largest_zoom)) + rng.uniform(0, np.log(4 / 3), 2) * (rng.random(2) < 0.4))
    free = (1 - 1 / zoom) / 2
    centre = (w * (0.5 + rng.uniform(-free[0], free[0])), h * (0.5 + rng.uniform(-free[1], free[1])))
    return warped(picture, (float(zoom[0]), float(zoom[1])), float(np.radians(rng.normal(0, 2.0))), centre)


def halved_depth(depth_m: Depth) -> Depth:
    """(H, W) -> (H / 2, W / 2): the nearest surface that each block knows, never a blend; 0 where it knows none."""
    h, w = depth_m.shape
    blocks = np.where(depth_m > 0, depth_m, np.inf).reshape(h // 2, 2, w // 2, 2).min(axis=(1, 3))
    return np.where(np.isfinite(blocks), blocks, 0).astype(np.float32)


def view_from_panorama(
    panorama: npt.NDArray[np.float32], k: Intrinsics, yaw_rad: float, pitch_rad: float = 0.0
) -> npt.NDArray[np.float32]:
    """(h, w, C) what a perspective camera sees of a panorama (H, 2H, C), bilinear."""
    directions = rays_from_pixels(k) @ rotation_room_camera(yaw_rad, pitch_rad).T
    x, y = sampling_map(directions, panorama.shape[1], panorama.shape[0])
    wrapped = np.concatenate([panorama[:, -1:], panorama, panorama[:, :1]], axis=1)
    xy = (x.astype(np.float32) + 1, y.astype(np.float32))
    return np.asarray(cv2.remap(wrapped, *xy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), dtype=np.float32)
