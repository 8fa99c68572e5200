"""The sweep finds which blocks must stay float32, and no more of them than needed."""

from __future__ import annotations

import itertools

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.export.graph import in_blocks
from training.export.precision.sensitivity import Sweep, label, sweep

BLOCKS = [(f"n{i}", f"m{i}") for i in range(8)]
NAMES = [name for block in BLOCKS for name in block]


def _swept(damages: list[float], limit_s: float = 60.0) -> Sweep:
    """A sweep over networks whose damage is the sum of that of the blocks that are not in float32."""

    def build(kept: frozenset[str]) -> onnx.ModelProto:
        model = onnx.ModelProto()
        model.graph.node.extend(onnx.NodeProto(name=name) for name in NAMES if name not in kept)
        return model

    def damage(model: onnx.ModelProto) -> float:
        left = {node.name for node in model.graph.node}
        return sum(d for block, d in zip(BLOCKS, damages, strict=False) if left & set(block))

    return sweep(BLOCKS, build, damage, limit_s=limit_s)


@given(st.lists(st.floats(0, 3), min_size=8, max_size=8))
def test_the_fewest_worst_blocks_are_excluded(damages: list[float]) -> None:
    """Where damage adds up, what is left is tolerable, and with one block fewer excluded it would not be."""
    found = _swept(damages)
    worst = sorted(damages, reverse=True)
    fewest = next(k for k in itertools.count() if sum(worst[k:]) <= 1 or k == 8)
    assert len(found.excluded) == fewest
    assert found.damage <= 1
    assert found.damage == pytest.approx(sum(worst[fewest:]))
    assert found.whole == pytest.approx(sum(damages))
    assert found.kept == {name for block in found.excluded for name in block}


def test_a_good_network_is_not_swept() -> None:
    """Where everything in fewer bits is good enough, blocks are not tried one by one."""
    found = _swept([0.1] * 8)
    assert (found.alone, found.excluded) == ((), ())


def test_a_sweep_that_takes_too_long_excludes_nothing() -> None:
    """It says that the whole is too far off, which refuses the file, rather than guess."""
    found = _swept([1.0] * 8, limit_s=-1.0)
    assert found.excluded == ()
    assert found.damage == pytest.approx(8.0)


@given(st.integers(0, 40), st.integers(1, 12))
def test_blocks_keep_order_and_are_even(count: int, most: int) -> None:
    """Every name is in one block, in order, and blocks differ in length by one at most."""
    names = [f"n{i}" for i in range(count)]
    blocks = in_blocks(names, most)
    assert [name for block in blocks for name in block] == names
    assert len(blocks) == min(count, most)
    assert max(map(len, blocks), default=0) - min(map(len, blocks), default=0) <= 1


def test_blocks_are_called_by_their_ends() -> None:
    """One node by its name, several by the first and the last."""
    assert label(("Conv_1",)) == "Conv_1"
    assert label(("Conv_1", "Add_2", "Conv_3")) == "Conv_1…Conv_3"
