"""Measuring a model on everything given, each set of data by itself, and saying so in tables, a file and pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from edge.errors import DataError
from edge.inference.base import Backend
from edge.inference.manifest import MANIFEST_FILE, FileRef, Manifest, Metric, ObjectGrid, sha256_of
from edge.inference.ort import OrtBackend
from edge.inference.timing import Speed, side_by_side
from training.config.data import SourceConfig
from training.config.file import load_recipe
from training.config.recipe import Recipe
from training.data import evaluation
from training.data.mix.entries import PARTS, Part
from training.data.sets.readers import DEPTH, LAYOUT, LIGHTING, Kind
from training.export.engine import ONNX_FILE
from training.export.proof.runners import open_model
from training.export.proof.tables import baselines_of, beaten, by_set, kind_of, number
from training.export.published.foreign import manifest_for
from training.measure.depth import measure_depth
from training.measure.layout import measure_layout, measure_views
from training.measure.lighting import answers_of, baselines, constant_light, measure_lighting
from training.measure.objects import Baselines, best_level, measure_objects
from training.measure.report import Measured, write_errors
from training.tasks.base import read_checkpoint

_ROOT = Path(__file__).resolve().parents[1]
_WORST = 50
_FORMATS = ("rgbd", "horizonnet", "hdri", "walks")
"""Kinds of `training.data.sets.readers` that many data sets come in; the others are each one data set."""


def part_named(text: str) -> Part:
    """The part of a split.

    Raises:
        DataError: there is none of that name.
    """
    for part in PARTS:
        if text == part:
            return part
    raise DataError(f"{text!r} is no split; use one of {', '.join(PARTS)}")


@dataclass(frozen=True)
class Places:
    """Where the data is; None = not measured on it.

    `real` holds folders named depth, layout and lighting, of which those of the model's nouns are read.
    """

    rooms: Path | None = None
    objects: Path | None = None
    split: Part = "test"
    split_seed: int = 0
    hdri: Path | None = None
    hold_out_hdri: tuple[str, ...] = ()
    real: Path | None = None
    sources: tuple[evaluation.Source, ...] = ()
    flip: bool = False
    """Whether depth is asked about each picture in the mirror too (`training.metrics.depth.both_ways`)."""

    @property
    def rooms_name(self) -> str:
        """As tables name it."""
        return f"rendered rooms, {self.split} split"

    @property
    def real_name(self) -> str:
        """As tables name it."""
        return "" if self.real is None else self.real.name


def _may_be(learnt: SourceConfig, kind: str, folder: Path) -> bool:
    """Whether a model that learnt from one set may have seen another: the same kind, or of formats the same folder."""
    if learnt.kind != kind:
        return False
    return kind not in _FORMATS or learnt.path is None or learnt.path.name == folder.name


def _said_to_be_learnt(kind: str, titles: Collection[str]) -> SourceConfig | None:
    """How a model may have learnt from a kind of set that its card names and its recipe does not."""
    tables: tuple[Mapping[str, Kind[Any]], ...] = (DEPTH, LAYOUT, LIGHTING)
    named = any(table[kind].title in titles for table in tables if kind in table)
    return SourceConfig(kind=kind) if named else None


def sources_for(
    given: Iterable[str], recipe: Recipe | None, part: Part, titles: Collection[str] = ()
) -> tuple[evaluation.Source, ...]:
    """What `kind=folder` texts name, each with how the model learnt from sets of its kind.

    `titles`: what its manifest names as learnt from; a recipe's file knows no set that the command line added.

    Raises:
        DataError: a text is written otherwise.
    """
    known = recipe.data.sources if recipe is not None else ()
    seed, held = (recipe.data.split_seed, recipe.data.hold_out_hdri) if recipe is not None else (0, ())
    out = []
    for text in given:
        kind, equals, folder = text.partition("=")
        if not (kind and equals and folder):
            raise DataError(f"{text!r} is no source; write kind=folder, such as nyu=/data/nyu")
        learnt = next((s for s in known if _may_be(s, kind, Path(folder))), None)
        if learnt is None and not any(s.kind == kind and s.path is not None for s in known):
            learnt = _said_to_be_learnt(kind, titles)
        out.append(evaluation.Source(kind, Path(folder), part, learnt, seed, held))
    return tuple(out)


@dataclass(frozen=True)
class Model:
    """A model that can be run; `onnx` is its file, None for a checkpoint."""

    path: Path
    manifest: Manifest
    backend: Backend
    onnx: Path | None


@dataclass(frozen=True)
class Report:
    """All sets that a model was measured on, and its speed beside a peer's where one was given."""

    sets: tuple[Measured, ...]
    speed: Speed | None = None

    @property
    def rows(self) -> tuple[Metric, ...]:
        """The metrics that tables and cards show, set by set."""
        return tuple(row for measured in self.sets for row in measured.rows)


def opened(path: Path, manifest: Path | None = None, *, threads: int = 0) -> Model:
    """A checkpoint (.ckpt), a model folder, or an ONNX file with the manifest given or the one beside it.

    Raises:
        DataError: it is none of them.
        EngineError: it cannot be loaded.
        ManifestError: the ONNX is not what the manifest says.
    """
    if path.suffix != ".onnx":
        found, backend = open_model(path, threads=threads)
        return Model(path, found, backend, path / found.onnx.file if path.is_dir() else None)
    if not path.is_file():
        raise DataError(
            f"{path}: no such file; give a checkpoint (.ckpt), a model folder or an .onnx with its manifest"
        )
    said = manifest or path.parent / MANIFEST_FILE
    if not said.is_file():
        raise DataError(f"{path}: an ONNX alone does not say what it takes and gives; add a manifest for it ({said})")
    found = manifest_for(said, FileRef(file=ONNX_FILE, sha256=sha256_of(path)))
    return Model(path, found, OrtBackend(path, found, threads=threads), path)


def recipe_of(model: Model) -> Recipe | None:
    """The recipe that made a checkpoint or a model folder; None for another party's model."""
    if model.path.suffix == ".ckpt":
        return read_checkpoint(model.path)[0]
    path = _ROOT / model.manifest.provenance.recipe
    return load_recipe(path) if path.is_file() else None


def _depth_sets(model: Model, places: Places) -> Iterator[Measured | None]:
    measure = partial(measure_depth, model.manifest.part("depth"), model.backend, flip=places.flip)
    if places.rooms is not None:
        given = (places.rooms, places.split, places.split_seed)
        yield measure(evaluation.room_depth_cases(*given), f"{places.rooms_name}, views")
        yield measure(evaluation.room_range_cases(*given), f"{places.rooms_name}, panoramas")
    if places.real is not None:
        for name, entries in evaluation.real_depth_cases(places.real / "depth").items():
            yield measure(entries, f"{places.real_name}: {name}")
    for source in places.sources:
        yield measure(source.depth_cases(), source.name)


def _layout_sets(model: Model, places: Places) -> Iterator[Measured | None]:
    manifest = model.manifest.part("layout")
    measure, views = (partial(m, manifest, model.backend) for m in (measure_layout, measure_views))
    if places.rooms is not None:
        rooms = evaluation.room_layout_cases(places.rooms, places.split, places.split_seed)
        yield measure(rooms, places.rooms_name)
        yield views(rooms, places.rooms_name)
    if places.real is not None:
        real, name = evaluation.real_layout_cases(places.real / "layout"), f"{places.real_name}: layout"
        yield measure(real, name)
        yield views(real, name)
    for source in places.sources:
        yield measure(source.layout_cases(), source.name)


def _training_light(places: Places) -> dict[str, Any]:
    """By the shape of a picture, the constant that the environments learnt from give; nothing where none is there."""
    if places.hdri is None:
        return {}
    learnt = tuple(n for n in evaluation.places_in(places.hdri) if n not in places.hold_out_hdri)
    if not learnt:
        return {}
    cases = evaluation.hdri_cases(places.hdri, learnt)
    return {
        shape: constant_light([e.read().coefficients for name, es in cases.items() if name.endswith(shape) for e in es])
        for shape in ("panorama", "view")
    }


def _lighting_sets(model: Model, places: Places, peer: Model | None) -> Iterator[Measured]:
    manifest = model.manifest.part("lighting")
    measure = partial(measure_lighting, answers_of(manifest, model.backend))
    published = None
    if peer is not None:
        name = ", ".join([peer.manifest.name, *(f"trained on {d.name}" for d in peer.manifest.provenance.data)])
        published = (name, answers_of(peer.manifest.part("lighting"), peer.backend))
    constants = _training_light(places)
    groups: list[tuple[str, dict[str, Any]]] = []
    if places.hdri is not None and places.hold_out_hdri:
        held = evaluation.hdri_cases(places.hdri, places.hold_out_hdri)
        groups.append(("validation: held-out HDRIs, {}", held))
    if places.rooms is not None:
        entries = evaluation.room_lighting_cases(places.rooms, places.split, places.split_seed)
        lights = evaluation.room_lights(places.rooms, "train", places.split_seed)
        learnt = constant_light(lights) if lights else None
        yield measure(entries, places.rooms_name, baselines(learnt, published))
    if places.real is not None:
        groups.append((f"{places.real_name}: {{}}", evaluation.hdri_cases(places.real / "lighting")))
    groups += [(f"{source.name}, {{}}", source.lighting_cases()) for source in places.sources]
    for title, cases in groups:
        for name, entries in cases.items():
            yield measure(entries, title.format(name), baselines(constants.get(name.split()[-1]), published))


def _object_sets(model: Model, places: Places) -> Iterator[Measured | None]:
    """Things; a checkpoint's level is chosen on the validation split, a model folder says its own."""
    output = model.manifest.output
    if places.objects is None or not isinstance(output, ObjectGrid):
        return
    given = (model.manifest, model.backend, places.objects)
    level = best_level(*given) if model.onnx is None else output.level
    baselines = Baselines(places.objects)
    for source in ("file", "made"):
        yield measure_objects(*given, places.split, source, level, baselines)
    if places.split == "test":
        yield measure_objects(*given, "wild", "file", level, baselines)


def _sets(model: Model, places: Places, peer: Model | None) -> Iterator[Measured | None]:
    yield from _object_sets(model, places)
    for noun in model.manifest.parts:
        if noun == "lighting":
            yield from _lighting_sets(model, places, peer)
        else:
            measure: Callable[[Model, Places], Iterator[Measured | None]] = (
                _depth_sets if noun == "depth" else _layout_sets
            )
            yield from measure(model, places)


def evaluate(
    model: Model, places: Places, *, peer: Model | None = None, errors: Path | None = None, worst: int = _WORST
) -> Report:
    """Measure a model on everything given, and close it.

    Args:
        model: from `opened`.
        places: the data.
        peer: a published lighting network to stand beside the baselines.
        errors: folder for pictures of what went wrong, the worst first.
        worst: how many of each set.

    Raises:
        DataError: nothing was given to measure on, a folder is laid out otherwise, or the peer is for another noun.
        EngineError: a model cannot be run.
    """
    if peer is not None and not ("lighting" in peer.manifest.parts and "lighting" in model.manifest.parts):
        raise DataError(f"{peer.path}: a peer is compared in lighting alone; give a lighting model to both, or no peer")
    try:
        sets = tuple(measured for measured in _sets(model, places, peer) if measured is not None)
        if not sets:
            raise DataError("nothing to measure on: give --rooms, --objects, --hdri, --real or --source")
        if errors is not None:
            write_errors(sets, errors, worst)
    finally:
        for used in (model, peer):
            if used is not None:
                used.backend.close()
    speed = None
    if peer is not None and model.onnx is not None and peer.onnx is not None:
        speed = side_by_side((model.manifest, model.onnx), (peer.manifest, peer.onnx))
    return Report(sets, speed)


def _shown(m: Metric, value: float | None) -> str:
    return f"{number(value)}{m.unit and value is not None and ' ' + m.unit or ''}"


def print_table(report: Report, console: Console) -> None:
    """A table for each set: green where the model beats every baseline, red where it does not."""
    for data, named in by_set(report.rows).items():
        full = baselines_of(m for rows in named.values() for m in rows)
        said = [next(iter(names)) for kind, names in full.items() if len(names) == 1 and names != {kind}]
        table = Table("metric", "model", *full, title=data, caption="\n".join(said), min_width=60)
        for rows in named.values():
            compared = [m for m in rows if m.baseline is not None]
            style = ("green" if all(map(beaten, compared)) else "red") if compared else ""
            base = {kind_of(m.baseline_name): _shown(m, m.baseline) for m in compared}
            ours = f"[{style}]{_shown(rows[0], rows[0].value)}[/]" if style else _shown(rows[0], rows[0].value)
            table.add_row(rows[0].name, ours, *(base.get(kind, "") for kind in full))
        console.print(table)
    if report.speed is not None:
        s = report.speed
        console.print(
            f"one thread, interleaved: {s.model_ms:.2f} ms against the peer's {s.peer_ms:.2f} ms ({s.ratio:.2f}); "
            f"{s.model_bytes / 1e6:.2f} MB against {s.peer_bytes / 1e6:.2f} MB"
        )


def _finite(value: Any) -> Any:
    """The value as JSON can say it: numbers that are none become null."""
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(report: Report, model: Path, path: Path) -> None:
    """`metrics` is what `edge-train export --metrics` reads; `sets` holds every number and every picture's error.

    Raises:
        DataError: the file cannot be written.
    """
    sets = [
        {
            "data": s.data,
            **s.details,
            "ranked_by": s.ranked_by,
            "worst_first": [asdict(s.pictures[i]) for i in s.worst_first],
        }
        for s in report.sets
    ]
    data: dict[str, Any] = {
        "model": str(model),
        "metrics": [m.model_dump(mode="json") for m in report.rows],
        "sets": sets,
    }
    if report.speed is not None:
        data["speed"] = asdict(report.speed) | {"ratio": report.speed.ratio}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(_finite(data), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as e:
        raise DataError(f"{path}: cannot be written ({e.strerror}); give another --json") from e
