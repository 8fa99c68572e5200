"""Which GPUs a library's CUDA code is for, read from the library itself, and which GPU a Jetson has."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MAGIC = struct.pack("<I", 0xBA55ED50)
_HEADER = struct.Struct("<IHHQ")
"""Of a container: magic, version, size of this header, bytes that follow."""
_ENTRY = struct.Struct("<HHIQIIHHI")
"""Beginning of an entry: kind, _, size of this header, bytes that follow, _, _, _, _, architecture."""
_PTX, _CUBIN = 1, 2

JETSON_GPUS = {"tegra194": frozenset({72}), "tegra234": frozenset({87}), "tegra264": frozenset({101, 110})}
"""Compute capabilities by chip: Xavier, Orin, and Thor, which CUDA 12 and 13 number differently."""


@dataclass(frozen=True, slots=True)
class CudaCode:
    """Compute capabilities (87 for 8.7) that a library has code for."""

    cubin: frozenset[int]
    """Machine code."""
    ptx: frozenset[int]
    """Code that the driver compiles for this and any later GPU."""

    def runs_on_jetson(self, capabilities: frozenset[int]) -> bool:
        """Whether it has code for a Jetson's GPU.

        Machine code for another GPU of the same generation does not run there: CUDA's programming guide promises that
        for desktop GPUs alone.
        """
        return bool(self.cubin & capabilities) or any(ptx <= max(capabilities) for ptx in self.ptx)


def cuda_code(library: Path) -> CudaCode:
    """The CUDA code in a shared library (fat binaries: containers of entries, each for one architecture).

    Raises:
        OSError: the file cannot be read.
    """
    found: dict[int, set[int]] = {_PTX: set(), _CUBIN: set()}
    with library.open("rb") as file:
        if library.stat().st_size:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                for kind, architecture in _entries(data):
                    found[kind].add(architecture)
    return CudaCode(frozenset(found[_CUBIN]), frozenset(found[_PTX]))


def _entries(data: mmap.mmap) -> Iterator[tuple[int, int]]:
    """Kind and architecture of each."""
    at = data.find(_MAGIC)
    while at >= 0 and at + _HEADER.size <= len(data):
        _, version, header, size = _HEADER.unpack_from(data, at)
        end = at + len(_MAGIC)
        if version == 1 and header == _HEADER.size and at + header + size <= len(data):
            entry, end = at + header, at + header + size
            while entry + _ENTRY.size <= end:
                kind, _, own, following, _, _, _, _, architecture = _ENTRY.unpack_from(data, entry)
                if kind not in (_PTX, _CUBIN) or own < _ENTRY.size:
                    break
                yield kind, architecture
                entry += own + following
        at = data.find(_MAGIC, end)


def jetson_gpu(root: Path = Path("/")) -> frozenset[int] | None:
    """Compute capabilities of the Jetson that this is, any Jetson's where it does not say which; None on others."""
    tree = root / "proc" / "device-tree" / "compatible"
    words = tree.read_bytes().decode(errors="replace") if tree.is_file() else ""
    for chip, capabilities in JETSON_GPUS.items():
        if f"nvidia,{chip}" in words:
            return capabilities
    if (root / "etc" / "nv_tegra_release").is_file():
        return frozenset[int]().union(*JETSON_GPUS.values())
    return None
