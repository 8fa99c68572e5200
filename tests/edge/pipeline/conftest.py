"""Pipelines to test with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edge.inference.accelerator import Accelerator
from tests.edge.pipelines import (
    Bench,
)


@pytest.fixture
def bench() -> Bench:
    """A fresh pipeline."""
    return Bench()


@pytest.fixture
def accelerated() -> Iterator[Bench]:
    """A fresh pipeline whose networks run on a thread of their own."""
    accelerator = Accelerator()
    yield Bench(accelerator.submit)
    assert accelerator.stop(5.0)
