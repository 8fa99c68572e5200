"""Nonlinear least squares (Levenberg and Marquardt), for some hundreds of unknowns at most."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_ROUNDS, _STEP = 60, 1e-6
_MOST_DAMPING = 1e9
_ENOUGH = 1e-12


def _jacobian(misses: Callable[[Array], Array], unknowns: Array, at: Array) -> Array:
    steps = np.eye(len(unknowns)) * _STEP
    return np.stack([(misses(unknowns + step) - at) / _STEP for step in steps], axis=1)


def least_squares(misses: Callable[[Array], Array], unknowns: Array) -> tuple[Array, Array]:
    """The unknowns at which the sum of squared misses is least, near a first guess.

    Args:
        misses: (M,) of the unknowns, each in units of its standard deviation.
        unknowns: (N,) to begin with, of the order of 1: derivatives are taken by steps of 1e-6.

    Returns:
        The unknowns (N,), and their covariance (N, N).
    """
    damping, at = 1e-3, misses(unknowns)
    for _ in range(_ROUNDS):
        jacobian = _jacobian(misses, unknowns, at)
        normal, slope = jacobian.T @ jacobian, jacobian.T @ at
        before = at @ at
        while damping < _MOST_DAMPING:
            step = np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-12), -slope)
            tried = misses(unknowns + step)
            if tried @ tried < before:
                unknowns, at, damping = unknowns + step, tried, damping / 5
                break
            damping *= 10
        if before - at @ at < _ENOUGH * (1 + before):
            break
    jacobian = _jacobian(misses, unknowns, at)
    return unknowns, np.linalg.pinv(jacobian.T @ jacobian)
