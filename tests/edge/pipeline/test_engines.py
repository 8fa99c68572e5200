"""The networks of a run: loaded one after the other, until told to end."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from edge.errors import EngineError
from edge.inference.accelerator import Accelerator
from edge.inference.options import InferenceOptions
from edge.pipeline.engines import LoadedEngines
from tests.plans import REPOSITORY


@pytest.fixture
def accelerator() -> Iterator[Accelerator]:
    """The thread that loads."""
    made = Accelerator()
    yield made
    assert made.stop(10.0)


def test_told_to_end_it_loads_no_more(accelerator: Accelerator) -> None:
    """SIGTERM while the first network is loaded: the second is not begun."""
    stop, said = threading.Event(), list[str]()

    def ended(text: str) -> None:
        said.append(text)
        stop.set()

    with pytest.raises(EngineError, match="interrupted"):
        LoadedEngines(
            REPOSITORY / "engines",
            {"layout": "layout", "lighting": "lighting"},
            InferenceOptions(backend="ort-cpu", threads=1),
            accelerator,
            on_progress=ended,
            stop=stop,
        )
    assert said == ["loading layout engine 'layout'"]
