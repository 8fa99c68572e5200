"""From a model folder and rooms it has not learnt from to a manifest that says what to expect of its answers."""

from __future__ import annotations

from pathlib import Path

from edge.errors import DataError
from edge.inference.manifest import BoundaryCorners, DepthConfidence, DepthMetres, LayoutConfidence, write_manifest
from edge.scene import Task
from training.data import evaluation
from training.data.mix.entries import Part
from training.export.proof.runners import open_model
from training.measure.confidence import depth_signs, layout_signs, learn_confidence, with_confidence
from training.measure.lengths import length_spread


def calibrate(model: Path, rooms: Path, split: Part, *, threads: int = 0) -> list[str]:
    """Learn each noun's confidence and write the manifest; returns a line for people for each, and one of lengths.

    Raises:
        DataError: the model is no folder, or says neither layout nor metric depth, or the rooms are too few.
        EngineError: it cannot be run.
    """
    if not model.is_dir():
        raise DataError(f"{model}: give a model folder; a checkpoint is exported first")
    manifest, backend = open_model(model, threads=threads)
    found: dict[Task, LayoutConfidence | DepthConfidence] = {}
    lines = []
    with backend:
        for task, output in manifest.parts.items():
            part, signs = manifest.part(task), None
            if isinstance(output, BoundaryCorners):
                signs = layout_signs(part, backend, evaluation.room_layout_cases(rooms, split))
            elif isinstance(output, DepthMetres):
                wide = part.input.projection == "equirectangular"
                cases = evaluation.room_range_cases if wide else evaluation.room_depth_cases
                signs = depth_signs(part, backend, cases(rooms, split))
            if signs is not None:
                found[task] = learn_confidence(task, signs, f"rendered rooms ({rooms.name}, {split} split)")
                lines.append(f"{task}: {found[task].model_dump_json()}")
            if isinstance(output, BoundaryCorners):  # by the confidence that was just learnt
                learnt = with_confidence(manifest, found).part(task)
                lines.append(str(length_spread(learnt, backend, evaluation.room_layout_cases(rooms, split))))
    if not found:
        raise DataError(f"{model}: only layouts by boundary and depth in metres have a confidence to learn")
    write_manifest(model, with_confidence(manifest, found))
    return lines
