"""Where a flat board is, from one picture of it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def board_poses(points_m: Array, rays: Array) -> list[tuple[Array, Array]]:
    """The poses that a flat board's picture allows, the likelier first: one or two (Collins and Bartoli, 2014).

    Args:
        points_m: (N, 2) on the board, at least four.
        rays: (N, 3) unit rays in the camera's axes, within 90 degrees of their mean.

    Returns:
        Of each, the rotation (3, 3) and position (3,) that put a point of the board into the camera's axes.
    """
    ahead = rays.mean(axis=0)
    turn = np.asarray(cv2.Rodrigues(_rotation_vector(ahead / np.linalg.norm(ahead)))[0], np.float64)
    flat = rays @ turn.T
    flat = np.ascontiguousarray(flat[:, :2] / flat[:, 2:])
    middle = points_m.mean(axis=0)
    board = np.ascontiguousarray(np.column_stack([points_m - middle, np.zeros(len(flat))]))
    count, turns, places, _ = cv2.solvePnPGeneric(board, flat, np.eye(3), None, flags=cv2.SOLVEPNP_IPPE)
    poses = []
    for i in range(count):
        rotation = turn.T @ np.asarray(cv2.Rodrigues(turns[i])[0], np.float64)
        poses.append((rotation, turn.T @ np.ravel(places[i]) - rotation[:, :2] @ middle))
    return poses


def _rotation_vector(direction: Array) -> Array:
    """Of the shortest rotation that turns a direction forwards."""
    axis = np.cross(direction, (0.0, 0.0, 1.0))
    size = float(np.linalg.norm(axis))
    angle = float(np.arctan2(size, direction[2]))
    return np.asarray(axis / max(size, 1e-12) * angle)
