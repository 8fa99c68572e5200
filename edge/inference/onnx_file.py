"""Whether an ONNX file is whole in itself, read without the onnx package, which a device does not have.

A model may keep weights in other files beside it (external data), which the sha256 in the manifest does not cover: they
could be changed, and the model would still verify. So what a model says must all be in the one file. Only the fields of
onnx.proto3 that lead to a tensor are followed, by their numbers there; nothing is copied.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from edge.errors import ManifestError

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
"""protobuf's wire types."""
_LEADS_TO: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 20: "Training", 25: "Function"},
    "Training": {1: "Graph", 2: "Graph"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Function": {7: "Node", 11: "Attribute"},
    "Node": {5: "Attribute"},
    "Attribute": {
        5: "Tensor",
        6: "Graph",
        10: "Tensor",
        11: "Graph",
        22: "SparseTensor",
        23: "SparseTensor",
    },
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {},
}
"""Message -> number of a field -> the message in it, as onnx.proto3 has them."""
_GRAPH, _OPERATOR, _EXTERNAL_DATA, _DATA_LOCATION = 7, 4, 13, 14
_NODES, _READS = 1, 1
_ELSEWHERE = b"EPContext"
"""The operator that names a file with compiled code for a runtime."""
_INSTEAD = (
    (b"version https://git-lfs", "is a pointer of Git LFS, not the model: run `git lfs pull`"),
    (b"<", "is a web page, not a model: download the file itself"),
)

Content = mmap.mmap | bytes


class _NoModelError(Exception):
    """The bytes are no protobuf message."""


def check_whole(path: Path) -> None:
    """See that an ONNX file is one, and needs no other file.

    Raises:
        ManifestError: it is no model, or keeps weights or code elsewhere.
    """
    refuse_placeholder(path)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        try:
            elsewhere = _kept_elsewhere(content)
        except _NoModelError as e:
            raise ManifestError(f"{path}: is no ONNX model ({e}); export or download it again") from e
    if elsewhere is not None:
        raise ManifestError(
            f"{path}: keeps {elsewhere} in another file, which the manifest's sha256 does not cover; put all into one "
            "file: `edge-train import` does, and so does onnx.save of the loaded model"
        )


def refuse_placeholder(path: Path) -> None:
    """See that a file is not what stands in the place of a model that was not downloaded.

    Raises:
        ManifestError: it is empty, a pointer of Git LFS, or a web page.
    """
    with path.open("rb") as file:
        begin = file.read(64)
    if not begin:
        raise ManifestError(f"{path}: is empty; restore it, or export the model again")
    for start, what in _INSTEAD:
        if begin.startswith(start):
            raise ManifestError(f"{path}: {what}")


def operators(path: Path) -> list[tuple[str, tuple[str, ...]]]:
    """The operators of a model's own graph, each with the names of what it reads, in the file's order.

    Raises:
        ManifestError: it is no model.
    """
    refuse_placeholder(path)
    found = []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        try:
            for graph in _messages(content, 0, len(content), _GRAPH):
                found += [_operator(content, *node) for node in _messages(content, *graph, _NODES)]
        except _NoModelError as e:
            raise ManifestError(f"{path}: is no ONNX model ({e}); export or download it again") from e
    return found


def _messages(content: Content, start: int, end: int, wanted: int) -> Iterator[tuple[int, int]]:
    """Where a message's fields of one number begin and end."""
    for field, wire, at, until in _fields(content, start, end):
        if field == wanted and wire == _BYTES:
            yield at, until


def _operator(content: Content, start: int, end: int) -> tuple[str, tuple[str, ...]]:
    """A node's operator, and the names of what it reads."""
    named = [content[at:until].decode(errors="replace") for at, until in _messages(content, start, end, _OPERATOR)]
    reads = (content[at:until].decode(errors="replace") for at, until in _messages(content, start, end, _READS))
    return (named or [""])[0], tuple(reads)


def _kept_elsewhere(content: Content) -> str | None:
    """What a model keeps in another file; None if nothing."""
    left = [("Model", 0, len(content))]
    seen_graph = False
    while left:
        kind, start, end = left.pop()
        for field, wire, at, until in _fields(content, start, end):
            seen_graph |= kind == "Model" and field == _GRAPH
            if kind == "Tensor" and _is_elsewhere(field, wire, at):
                return "weights"
            if kind == "Node" and field == _OPERATOR and content[at:until] == _ELSEWHERE:
                return "compiled code"
            inner = _LEADS_TO[kind].get(field)
            if inner is not None and wire == _BYTES:
                left.append((inner, at, until))
    if not seen_graph:
        raise _NoModelError("it has no graph")
    return None


def _is_elsewhere(field: int, wire: int, value: int) -> bool:
    return (field == _EXTERNAL_DATA and wire == _BYTES) or (field == _DATA_LOCATION and wire == _VARINT and value != 0)


def _fields(content: Content, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """(field, wire type, start, end) of a message's fields; of a number its value in the place of its start."""
    at = start
    while at < end:
        tag, at = _varint(content, at, end)
        field, wire = tag >> 3, tag & 7
        if tag >= 1 << 32 or field == 0:
            raise _NoModelError(f"byte {at} begins no field")
        if wire == _VARINT:
            value, at = _varint(content, at, end)
            yield field, wire, value, at
            continue
        if wire == _BYTES:
            size, at = _varint(content, at, end)
        elif wire in (_EIGHT_BYTES, _FOUR_BYTES):
            size = 8 if wire == _EIGHT_BYTES else 4
        else:
            raise _NoModelError(f"byte {at} begins no field")
        if at + size > end:
            raise _NoModelError("it is cut short")
        yield field, wire, at, at + size
        at += size


def _varint(content: Content, at: int, end: int) -> tuple[int, int]:
    """A number of 7 bits a byte, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise _NoModelError("it is cut short")
        byte = content[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (1 << 64) - 1, at
    raise _NoModelError(f"byte {at} ends no number")
