"""Binary glTF 2.0 (GLB), written and taken apart: the container, its buffer and its accessors."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.errors import GeometryError

_MAGIC, _VERSION = 0x46546C67, 2
_JSON, _BIN = 0x4E4F534A, 0x004E4942
_FLOAT, _SHORT = 5126, 5123
_VERTICES, _INDICES = 34962, 34963
_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3"}

Y_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""glTF axes from the room's: (x, y, z) becomes (x, z, -y)."""


def y_up(points: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Room-frame vectors (..., 3) in glTF's axes."""
    return np.asarray(np.asarray(points, dtype=np.float64) @ Y_UP.T)


def quaternion(rotation: npt.ArrayLike) -> list[float]:
    """x, y, z, w of a rotation (3, 3)."""
    m = np.asarray(rotation, dtype=np.float64)
    # The eigenvector of the largest eigenvalue: Bar-Itzhack, "New Method for Extracting the Quaternion from a Rotation
    # Matrix" (2000); without a case for each sign.
    k = np.array([
        [m[0, 0] - m[1, 1] - m[2, 2], m[1, 0] + m[0, 1], m[2, 0] + m[0, 2], m[2, 1] - m[1, 2]],
        [m[1, 0] + m[0, 1], m[1, 1] - m[0, 0] - m[2, 2], m[2, 1] + m[1, 2], m[0, 2] - m[2, 0]],
        [m[2, 0] + m[0, 2], m[2, 1] + m[1, 2], m[2, 2] - m[0, 0] - m[1, 1], m[1, 0] - m[0, 1]],
        [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], m[0, 0] + m[1, 1] + m[2, 2]],
    ])  # fmt: skip
    q = np.linalg.eigh(k / 3)[1][:, -1]
    return [round(float(v), 9) for v in (q if q[3] >= 0 else -q)]


class Buffer:
    """The one buffer of a file, and what lies in it."""

    def __init__(self) -> None:
        self._data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def add_bytes(self, data: bytes, target: int | None = None) -> int:
        """Index of a new buffer view."""
        self._data.extend(b"\0" * (-len(self._data) % 4))
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self._data), "byteLength": len(data)}
        self.views.append(view if target is None else view | {"target": target})
        self._data.extend(data)
        return len(self.views) - 1

    def add_vertices(self, values: npt.ArrayLike, *, bounds: bool = False) -> int:
        """Index of a new accessor of float32 (V, 2 or 3); `bounds` as positions need."""
        v = np.ascontiguousarray(values, dtype="<f4")
        accessor = self._accessor(v.tobytes(), _VERTICES, _FLOAT, len(v), _TYPES[v.shape[1]])
        if bounds:
            accessor |= {"min": v.min(axis=0).tolist(), "max": v.max(axis=0).tolist()}
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def add_indices(self, faces: npt.ArrayLike) -> int:
        """Index of a new accessor of uint16 triangles."""
        i = np.ascontiguousarray(faces, dtype="<u2").ravel()
        self.accessors.append(self._accessor(i.tobytes(), _INDICES, _SHORT, len(i), "SCALAR"))
        return len(self.accessors) - 1

    def _accessor(self, data: bytes, target: int, component: int, count: int, kind: str) -> dict[str, Any]:
        view = self.add_bytes(data, target)
        return {"bufferView": view, "componentType": component, "count": count, "type": kind}

    def glb(self, tree: dict[str, Any]) -> bytes:
        """The whole file; `tree` is its JSON but for the buffer."""
        whole = tree | {"accessors": self.accessors, "bufferViews": self.views}
        binary = bytes(self._data) + b"\0" * (-len(self._data) % 4)
        whole["buffers"] = [{"byteLength": len(binary)}]
        text = json.dumps(whole, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<II", len(text), _JSON) + text + struct.pack("<II", len(binary), _BIN) + binary
        return struct.pack("<III", _MAGIC, _VERSION, 12 + len(chunks)) + chunks


class File:
    """A GLB that was read."""

    def __init__(self, data: bytes) -> None:
        """Take it apart.

        Raises:
            GeometryError: it is no GLB, or is cut short.
        """
        try:
            magic, version, length = struct.unpack_from("<III", data)
            text_bytes, text_kind = struct.unpack_from("<II", data, 12)
            if (magic, version, text_kind) != (_MAGIC, _VERSION, _JSON) or length > len(data):
                raise GeometryError("this is no GLB (binary glTF 2), or it is cut short; give a whole one")
            self.tree: dict[str, Any] = json.loads(data[20 : 20 + text_bytes])
        except (struct.error, ValueError) as error:
            raise GeometryError("this is no GLB (binary glTF 2), or it is cut short; give a whole one") from error
        self._binary = data[28 + text_bytes : length]

    def view(self, index: int) -> bytes:
        """The bytes of a buffer view."""
        view = self.tree["bufferViews"][index]
        at = view.get("byteOffset", 0)
        return self._binary[at : at + view["byteLength"]]

    def vertices(self, index: int) -> npt.NDArray[np.float64]:
        """(V, 2 or 3) of an accessor of float32."""
        accessor = self.tree["accessors"][index]
        width = {kind: n for n, kind in _TYPES.items()}[accessor["type"]]
        values = np.frombuffer(self.view(accessor["bufferView"]), dtype="<f4", count=accessor["count"] * width)
        return values.reshape(-1, width).astype(np.float64)

    def indices(self, index: int) -> npt.NDArray[np.uint16]:
        """(N,) of an accessor of uint16."""
        accessor = self.tree["accessors"][index]
        return np.frombuffer(self.view(accessor["bufferView"]), dtype="<u2", count=accessor["count"])
