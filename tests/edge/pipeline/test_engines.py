"""The networks of a run: loaded one after the other, until told to end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from edge.errors import ConfigError, EngineError
from edge.inference.accelerator import Accelerator
from edge.inference.options import InferenceOptions
from edge.inference.serving import ServingBackend
from edge.pipeline import engines
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


def test_another_is_loaded_while_the_first_serves(accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, and without building; who read what there was before still reads that."""
    asked: list[bool] = []
    real = engines.load

    def noted(*arguments: Any, may_build: bool, **options: Any) -> ServingBackend:
        asked.append(may_build)
        return real(*arguments, may_build=may_build, **options)

    monkeypatch.setattr(engines, "load", noted)
    loaded = LoadedEngines(
        REPOSITORY / "engines",
        {"lighting": "lighting"},
        InferenceOptions(backend="ort-cpu", threads=1),
        accelerator,
        on_progress=lambda _: None,
        stop=threading.Event(),
    )
    before = loaded.by_task
    loaded.add({"lighting": "lighting", "layout": "layout"})
    loaded.add({"lighting": "lighting", "layout": "layout"})
    assert (set(before), set(loaded.by_task), set(loaded.models)) == (
        {"lighting"},
        {"lighting", "layout"},
        {"lighting", "layout"},
    )
    assert loaded.by_task["lighting"] is before["lighting"]
    assert asked == [True, False]
    with pytest.raises(ConfigError, match="is for lighting"):
        loaded.add({"depth": "lighting"})
    loaded.close()
