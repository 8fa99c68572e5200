"""Laws of the daemon's objects: asked for, told, kept in bounds, forgotten; by a network on ONNX Runtime."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from jsonschema import Draft202012Validator

from edge.config.objects import ObjectRegionConfig
from edge.daemon.answers import objects as request
from edge.daemon.objects import MOST, Asked, ObjectWatch
from edge.derive.glb import read_objects
from edge.errors import EdgeError, ManifestError, ObjectError
from edge.inference.base import Arrays
from edge.inference.serving import load
from edge.inference.store import ModelStore
from edge.mqtt.schemas import json_schema, request_schemas
from edge.mqtt.verbs import ObjectsArguments
from edge.pipeline.batches import Engine
from edge.pipeline.demands import Answer
from edge.publish.compose import Source
from edge.publish.objects import MOST_BYTES, objects_message, objects_model
from edge.scene import FoundObject
from tests.brokers import wait_until
from tests.edge.object_model import write_extruder
from tests.edge.things import PERSPECTIVE, scene

FRAME, DEPTH, BOX = scene(PERSPECTIVE, (0.4, 2.5), 180.0)
SOURCE = Source("dev", "objects", "0" * 64)


class Bench:
    """A watch over one camera that always sees the same chair, and what it told."""

    def __init__(self, engine: Engine | None) -> None:
        self.frame, self.told, self.stop = FRAME, list[tuple[str, tuple[FoundObject, ...]]](), threading.Event()
        self.watch = ObjectWatch(lambda: engine, self.infer, self.look, self.tell, self.stop)

    def infer(self, engine: Engine, tensor: npt.NDArray[np.float32]) -> Future[Arrays]:
        future: Future[Arrays] = Future()
        future.set_result({n: a.copy() for n, a in engine.backend.run(tensor).items()})
        return future

    def look(self, camera: str) -> Any:
        if camera != "hall":
            raise EdgeError(f"no camera {camera!r}; there are hall")
        return Answer(self.frame, {"depth": SimpleNamespace(value=DEPTH)}, {})

    def tell(self, camera: str, found: Sequence[FoundObject], at: float) -> None:
        self.told.append((camera, tuple(found)))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The extruder, proved by its golden pair."""
    folder = write_extruder(tmp_path_factory.mktemp("engines") / "objects")
    stored = ModelStore(folder.parent).find("objects")
    with load(stored) as backend:
        assert backend.golden is not None
        assert backend.golden.passed
        yield Engine(stored.manifest, backend)


@pytest.fixture(scope="module")
def found(engine: Engine) -> FoundObject:
    """What comes of the chair's box."""
    return Bench(engine).watch.ask("hall", Asked(BOX, None, "chair"))


def test_a_request_is_answered_and_told(engine: Engine) -> None:
    """The answer fits its schema, names the object, and the same object is in the list and in the GLB."""
    bench = Bench(engine)
    arguments = ObjectsArguments.model_validate({"camera": "hall", "box": list(BOX), "class": "chair"})
    said = request.answer(arguments, watch=bench.watch)
    Draft202012Validator(request_schemas()["response_objects"]).validate(
        {"status": "ok", "data": said, "error": None, "transaction": None}
    )
    assert said["object"]["class"] == "chair"
    assert said["object"]["confidence"] > 0.7
    assert said["object"]["scale"] == "metric"
    ((camera, objects),) = bench.told
    assert camera == "hall"
    body = json.loads(objects_message(camera, objects, SOURCE, 1.0).encoded())
    Draft202012Validator(json_schema("objects")).validate(body)
    assert (body["count"], body["objects"][0]["name"]) == (1, said["object"]["name"])
    assert [o.name for o in read_objects(objects_model(camera, objects, SOURCE, 1.0).data)] == [said["object"]["name"]]
    forgotten = request.answer(ObjectsArguments(camera="hall", forget=True), watch=bench.watch)
    assert forgotten == {"camera": "hall", "object": None, "count": 0}
    assert bench.told[-1] == ("hall", ())
    assert objects_model("hall", (), SOURCE, 1.0).data == b""


def test_what_is_asked_again_takes_its_place(engine: Engine, found: FoundObject) -> None:
    """Over the same box there is one object; beyond eight the oldest is forgotten."""
    bench = Bench(engine)
    for _ in range(2):
        bench.watch.ask("hall", Asked(BOX, None, "chair"))
    assert len(bench.watch.of("hall")) == 1
    moved = [replace(found, name=f"o{i}", box=(i / 20, 0.1, i / 20 + 0.03, 0.2)) for i in range(MOST + 3)]
    for one in moved:
        bench.watch._keep("hall", one, 0.0)
    assert [o.name for o in bench.watch.of("hall")] == [f"o{i}" for i in range(3, MOST + 3)]
    bench.watch.keep_only(["kitchen"])
    assert bench.watch.of("hall") == ()


def test_a_configured_object_is_told_when_it_changed(engine: Engine) -> None:
    """Looked at twice it is told once; when nothing stands out there any more it is gone."""
    bench = Bench(engine)
    regions = {"hall": [ObjectRegionConfig(name="armchair", box=BOX)]}
    for _ in range(2):
        bench.watch._look_at_all(regions)
    assert [[o.name for o in objects] for _, objects in bench.told] == [["armchair"]]
    bench.frame = replace(FRAME, image=np.full_like(FRAME.image, 90))
    bench.watch.look_again(regions, 600.0)
    assert wait_until(lambda: bench.told[-1] == ("hall", ()), 30.0)
    bench.watch.look_again(regions, 600.0)  # not due yet
    assert len(bench.told) == 2


def test_what_cannot_be_asked(engine: Engine) -> None:
    """No engine, no such camera, nothing inside the box: each with what to do."""
    with pytest.raises(EdgeError, match=r"tasks\.objects\.engine"):
        Bench(None).watch.ask("hall", Asked(BOX, None, None))
    bench = Bench(engine)
    with pytest.raises(EdgeError, match="there are hall"):
        bench.watch.ask("attic", Asked(BOX, None, None))
    bench.frame = replace(FRAME, image=np.full_like(FRAME.image, 90))
    with pytest.raises(ObjectError, match="polygon"):
        bench.watch.ask("hall", Asked((0.1, 0.1, 0.3, 0.3), None, None))
    assert bench.told == []


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"box": [0, 0, 1, 1], "forget": True},
        {"box": [0.5, 0, 0.2, 1]},
        {"box": [0, 0, 2, 1]},
        {"polygon": [[0, 0]]},
    ],
)
def test_arguments_that_say_nothing_or_too_much(arguments: dict[str, Any]) -> None:
    """Exactly one of box, polygon and forget, within the picture."""
    with pytest.raises(ValueError, match="validation error"):
        ObjectsArguments.model_validate({"camera": "hall", **arguments})


def test_the_model_is_never_larger_than_its_bound(found: FoundObject) -> None:
    """The oldest meshes are left out of a GLB that would be larger."""
    many = [replace(found, name=f"o{i}") for i in range(20)]
    data = objects_model("hall", many, SOURCE, 1.0).data
    assert len(data) <= MOST_BYTES
    left = [o.name for o in read_objects(data)]
    assert left == [f"o{i}" for i in range(20 - len(left), 20)]
    assert len(left) > 4


def test_a_grid_of_another_shape_is_refused(tmp_path: Path) -> None:
    """Occupancy and colour mistaken for each other are refused when the model is loaded."""
    output = {"kind": "object_grid", "occupancy": "colour", "colour": "occupancy"}
    folder = write_extruder(tmp_path / "engines" / "objects", output=output, golden=None)
    with pytest.raises(ManifestError, match="occupancy"):
        load(ModelStore(folder.parent).find("objects"))
