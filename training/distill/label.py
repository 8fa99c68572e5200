"""Pseudo-labels for a folder of unlabelled pictures, and contact sheets to look at them."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.errors import DataError, GeometryError
from edge.scene import CameraModel, ImageArray
from training.data.samples.unlabelled import read_unlabelled
from training.data.sets.pseudo import Pseudo, PseudoDepth, PseudoLayout, noun_of, read_pseudo, write_pseudo
from training.data.sets.segmentation import room_boundary
from training.distill.segment import surfaces_of
from training.distill.teach import Teacher, on_canvas
from training.drawing import coloured_depth, lit_sphere
from training.nets.ade20k import Ade20kSegmenter, read_segmenter
from training.provenance import source_state

_LOG = logging.getLogger(__name__)
_AGREE_RAD = np.deg2rad(2.5)
_CELL_WH = (640, 320)
_COLOURS = ((80, 200, 255), (255, 170, 60))


def read_with_camera(path: Path, hfov_rad: float | None) -> tuple[ImageArray, CameraModel]:
    """A picture and what took it: twice as wide as high is a panorama, else a lens with that field of view.

    Raises:
        DataError: it cannot be read, or is a perspective picture of an unknown lens.
    """
    image = read_unlabelled(path)
    if image.shape[1] == 2 * image.shape[0]:
        return image, CameraModel("equirectangular")
    if hfov_rad is None:
        raise DataError(
            f"{path}: {image.shape[1]}x{image.shape[0]} is no panorama (twice as wide as high); give the lens's "
            "--hfov-deg, or choose panoramas with --match"
        )
    return image, CameraModel("perspective", hfov_rad=hfov_rad)


def _sha256(path: Path) -> str:
    files = [path] if path.is_file() else sorted(p for p in path.glob("*") if p.suffix in (".onnx", ".json"))
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _named(models: Sequence[Path]) -> dict[str, str]:
    """Each model's hash by its file's name, with its folder's where two are called alike (`best.ckpt`)."""
    alike = Counter(p.name for p in models)
    return {p.name if alike[p.name] == 1 else "/".join(p.absolute().parts[-2:]): _sha256(p) for p in models}


class Labeller:
    """Segmenters and trained models that label pictures together."""

    def __init__(self, segmenters: Sequence[Path], teachers: Sequence[Path], *, threads: int = 0) -> None:
        """Open them.

        Raises:
            DataError: none is given, two answer for one noun, or a file is no such model.
        """
        if not segmenters and not teachers:
            raise DataError("nobody to ask: give --teacher (a checkpoint or model folder) or --segmenter (.npz)")
        self._segmenters: list[Ade20kSegmenter] = [read_segmenter(path) for path in segmenters]
        self._teachers: dict[str, Teacher] = {}
        for path in teachers:
            teacher = Teacher(path, threads=threads)
            if teacher.noun in self._teachers:
                raise DataError(f"{path}: a second teacher of {teacher.noun}; give one for each noun")
            self._teachers[teacher.noun] = teacher
        self.origin = {"teachers": _named((*segmenters, *teachers)), **source_state()}

    def label(self, image: ImageArray, camera: CameraModel) -> list[tuple[Pseudo, str]]:
        """A picture's labels, each with what is to be said of them."""
        out: list[tuple[Pseudo, str]] = []
        if self._segmenters:
            layout, reason = self._segmented(image, camera)
            teacher = self._teachers.get("layout")
            out.append((layout if teacher is None else combined(layout, _layout_of(teacher, image, camera)), reason))
        for noun, teacher in self._teachers.items():
            if noun != "layout" or not self._segmenters:
                out.append((teacher.label(image, camera), "by the teacher"))
        return out

    def _segmented(self, image: ImageArray, camera: CameraModel) -> tuple[PseudoLayout, str]:
        canvas, mask = on_canvas(image, camera)
        room = room_boundary(surfaces_of(self._segmenters, image, camera))
        edges, weight = room.boundary.edges_rad, room.boundary.weight
        nothing = np.zeros((1, edges.shape[1]), np.float32)
        return PseudoLayout(canvas, edges, weight, nothing, nothing, mask), room.reason

    def close(self) -> None:
        """Free the teachers; no labels after that."""
        for teacher in self._teachers.values():
            teacher.close()


def _layout_of(teacher: Teacher, image: ImageArray, camera: CameraModel) -> PseudoLayout:
    found = teacher.label(image, camera)
    assert isinstance(found, PseudoLayout)
    return found


def combined(segmented: PseudoLayout, taught: PseudoLayout) -> PseudoLayout:
    """Edges by both: averaged where they agree; elsewhere the surer one's, at half its weight. Corners are taught."""
    a, b = segmented.edge_weight, taught.edge_weight
    agree = np.abs(segmented.edges_rad - taught.edges_rad) < _AGREE_RAD
    mean = (segmented.edges_rad * a + taught.edges_rad * b) / np.maximum(a + b, 1e-6)
    surer = np.where(a >= b, segmented.edges_rad, taught.edges_rad)
    edges = np.where(agree & (a + b > 0), mean, surer).astype(np.float32)
    alone = (a == 0) | (b == 0)
    weight = np.maximum(a, b) * np.where(agree | alone, 1.0, 0.5)
    corner_weight = taught.corner_weight * weight.max(axis=0, keepdims=True)
    return PseudoLayout(
        segmented.image, edges, weight.astype(np.float32), taught.corners, corner_weight.astype(np.float32), taught.mask
    )


def label_pictures(
    pictures: Sequence[Path],
    out: Path,
    labeller: Labeller,
    *,
    hfov_rad: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write one file a picture and noun; returns their paths. Pictures that nobody understands are named and left out.

    Raises:
        DataError: two pictures have one name, one cannot be read, or none gave a label.
    """
    alike = [stem for stem, count in Counter(p.stem for p in pictures).items() if count > 1]
    if alike:
        raise DataError(f"{alike[0]}: several pictures are called so, and labels go by that name; rename all but one")
    written: list[Path] = []
    for number, path in enumerate(pictures):
        image, camera = read_with_camera(path, hfov_rad)
        try:
            found = labeller.label(image, camera)
        except GeometryError as e:
            _LOG.info("%s: left out: %s", path.name, e)
            found = []
        for pseudo, said in found:
            if isinstance(pseudo, PseudoLayout) and not (pseudo.edge_weight > 0).any():
                _LOG.info("%s: no layout: %s", path.name, said)
                continue
            origin: dict[str, Any] = {"picture": path.name, "sha256": _sha256(path), "said": said}
            written.append(out / f"{path.stem}.{noun_of(pseudo)}.npz")
            write_pseudo(written[-1], pseudo, origin | labeller.origin)
            _LOG.info("%s: %s", path.name, said)
        if progress is not None:
            progress(number + 1, len(pictures))
    if not written:
        raise DataError(f"none of {len(pictures)} pictures gave a label; give pictures of rooms, or other teachers")
    return written


def _drawn_edges(pseudo: PseudoLayout) -> ImageArray:
    """The panorama with both edges, dim where they count little, and bright spots at corners."""
    out: ImageArray = cv2.resize(pseudo.image, _CELL_WH).astype(np.uint8)
    width, height = _CELL_WH
    for edges, weights, colour in zip(pseudo.edges_rad, pseudo.edge_weight, _COLOURS, strict=True):
        columns = np.arange(width) * len(edges) // width
        for x, (edge, weight) in enumerate(zip(edges[columns], weights[columns], strict=True)):
            if weight > 0:
                y = min(height - 1, max(0, round((edge / np.pi + 0.5) * height)))
                dim = tuple(int(v * (0.35 + 0.65 * float(weight))) for v in colour)
                cv2.circle(out, (x, y), 1, dim, -1)
    return out


def _drawn(pseudo: Pseudo) -> ImageArray:
    image = np.asarray(cv2.resize(pseudo.image, _CELL_WH), dtype=np.uint8)
    if isinstance(pseudo, PseudoLayout):
        answer: Any = _drawn_edges(pseudo)
    elif isinstance(pseudo, PseudoDepth):
        answer = cv2.resize(coloured_depth(pseudo.depth_m), _CELL_WH)
    else:
        answer = cv2.resize(lit_sphere(pseudo.coefficients, _CELL_WH[1]), _CELL_WH)
    return np.asarray(np.concatenate([image, answer], axis=1), dtype=np.uint8)


def draw_sheet(paths: Sequence[Path], out_png: Path) -> Path:
    """Write a contact sheet: each picture, and what it was labelled.

    Raises:
        DataError: it cannot be written.
    """
    rows = []
    for path in paths:
        pseudo, origin = read_pseudo(path)
        row = _drawn(pseudo)
        cv2.putText(row, f"{path.stem}: {origin['said']}", (8, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 0, 255), 1)
        rows.append(row)
    out_png.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(out_png), np.concatenate(rows)[..., ::-1]):
        raise DataError(f"cannot write {out_png}; give a path ending in .png in a folder that can be written")
    return out_png
