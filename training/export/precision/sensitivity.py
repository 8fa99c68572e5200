"""Which layers of a network must stay in float32 for the rest to be kept in fewer bits: found by measuring."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx

Block = tuple[str, ...]
"""Names of neighbouring nodes, in order."""
MOST_BLOCKS = 24
"""Blocks of a sweep: as many networks are built and run."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sweep:
    """What was found: `damage` is a share of what is tolerated, above 1 too much."""

    whole: float
    """With every block in fewer bits."""
    alone: tuple[tuple[Block, float], ...]
    """Each block alone in fewer bits, worst first; empty where the whole was good enough, or time ran out."""
    excluded: tuple[Block, ...]
    """What stays float32."""
    damage: float
    """What the rest, in fewer bits, is off by, as a share of what is tolerated."""

    @property
    def kept(self) -> frozenset[str]:
        """Names of all nodes of the `excluded` blocks."""
        return frozenset(name for block in self.excluded for name in block)


def label(block: Block) -> str:
    """A block as cards name it: its first and its last node."""
    return block[0] if len(block) == 1 else f"{block[0]}…{block[-1]}"


def sweep(
    blocks: Sequence[Block],
    build: Callable[[frozenset[str]], onnx.ModelProto],
    damage: Callable[[onnx.ModelProto], float],
    *,
    limit_s: float,
) -> Sweep:
    """Exclude blocks, those first that alone do most damage, until the rest does no more than is tolerated.

    Args:
        blocks: what may be excluded.
        build: the network with these nodes in float32, all others in fewer bits.
        damage: what its answers are off by, as a share of what is tolerated.
        limit_s: give up after about so long: then nothing is excluded.

    Returns:
        What was found; its `damage` is above 1 where nothing helped.
    """
    until = time.monotonic() + limit_s
    every = frozenset(name for block in blocks for name in block)
    whole = damage(build(frozenset()))
    if whole <= 1:
        return Sweep(whole, (), (), whole)
    alone: list[tuple[Block, float]] = []
    for block in blocks:
        if time.monotonic() > until:
            _LOG.warning(
                "the search for what must stay float32 took more than %.0f s and was given up; on a machine that does "
                "nothing else it may end",
                limit_s,
            )
            return Sweep(whole, (), (), whole)
        alone.append((block, damage(build(every - set(block)))))
    alone.sort(key=lambda pair: -pair[1])

    def left(count: int) -> float:
        return damage(build(frozenset(name for block, _ in alone[:count] for name in block)))

    # The fewest worst blocks whose exclusion is enough: twice as many each time, then in between. Starting with few
    # matters: damage does not fall with every block, and each costs speed.
    few, most, best = 0, 1, whole
    while most < len(alone) and (best := left(most)) > 1:
        few, most = most, min(2 * most, len(alone))
    while most - few > 1:
        middle = (few + most) // 2
        here = left(middle)
        few, most, best = (few, middle, here) if here <= 1 else (middle, most, best)
    excluded = tuple(block for block, _ in alone[:most])
    return Sweep(whole, tuple(alone), excluded, best if most < len(alone) else 0.0)
