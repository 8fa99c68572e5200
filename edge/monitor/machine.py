"""The machine as the kernel shows it: temperatures, throttling, memory; of a Jetson also power mode and GPU load.

All of it is read from files below `/sys`, `/proc`, `/etc` and `/var`, and none of it needs rights. What a machine does
not show is None. Sources: the kernel's thermal sysfs interface (Documentation/driver-api/thermal/sysfs-api.rst); for
Jetsons NVIDIA's developer guide, "Platform Power and Performance", and what jtop (rbonghi/jetson_stats) reads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_COLDEST_TRIP_CELSIUS = 40.0
"""Drivers write 0 or -274 for a trip point that is not set."""
_PARTS_PER_LOAD = 1000.0
_GPU_NAMES = ("gpu", "ga10b", "gv11b", "gp10b", "gm20b", "gpu-gpc-0")
"""After the address or alone: how nvgpu's devices are called from JetPack 4 to 7."""
_MODE = re.compile(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+?)\s*>")


@dataclass(frozen=True, slots=True)
class Zone:
    """One place where the kernel measures a temperature."""

    name: str
    celsius: float
    throttles_at_celsius: float | None
    """Where the kernel begins to slow the machine down, if it says so (the lowest passive trip point)."""


@dataclass(frozen=True, slots=True)
class MachineState:
    """What was read at one moment."""

    model: str | None
    """E.g. `NVIDIA Jetson AGX Orin Developer Kit`."""
    zones: tuple[Zone, ...]
    throttling: tuple[str, ...]
    """Kernel's names of what is being slowed down or switched off now because of heat."""
    overcurrent_events: int | None
    """How often the power supply's limit was met since the machine started (Jetson)."""
    power_mode: str | None
    """As nvpmodel names it, e.g. `MODE_30W` (Jetson)."""
    gpu_load: float | None
    """0..1 (Jetson)."""
    memory_total_bytes: int | None
    memory_available_bytes: int | None


class Machine:
    """Reads it.

    Args:
        root: of the file system; another one in tests.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def read(self) -> MachineState:
        """How it is now. Some forty small files: a millisecond, ten on a Jetson."""
        memory = self._memory_bytes()
        return MachineState(
            model=_text(self._root / "proc/device-tree/model"),
            zones=self.zones(),
            throttling=self._throttling(),
            overcurrent_events=self._overcurrent_events(),
            power_mode=self._power_mode(),
            gpu_load=self._gpu_load(),
            memory_total_bytes=memory.get("MemTotal"),
            memory_available_bytes=memory.get("MemAvailable"),
        )

    def zones(self) -> tuple[Zone, ...]:
        """Every thermal zone that measures; those of parts that are switched off do not."""
        found = []
        for folder in self._all("sys/class/thermal", "thermal_zone*"):
            name, celsius = _text(folder / "type"), _milli(folder / "temp")
            if name is not None and celsius is not None:
                found.append(Zone(name, celsius, _throttles_at(folder)))
        return tuple(found)

    def _throttling(self) -> tuple[str, ...]:
        """Cooling devices that hold something back; a fan only turns."""
        found = []
        for folder in self._all("sys/class/thermal", "cooling_device*"):
            name = _text(folder / "type")
            if name is not None and "fan" not in name.lower() and (_number(folder / "cur_state") or 0) > 0:
                found.append(name)
        return tuple(found)

    def _overcurrent_events(self) -> int | None:
        counts = [
            _number(file)
            for folder in self._all("sys/class/hwmon", "hwmon*")
            if _text(folder / "name") == "soctherm_oc"
            for file in sorted(folder.glob("oc*_event_cnt"))
        ]
        known = [count for count in counts if count is not None]
        return sum(known) if known else None

    def _power_mode(self) -> str | None:
        """The name in nvpmodel's table of the mode that nvpmodel wrote down; its number where there is no such name."""
        status = re.search(r"pmode:(\d+)", _text(self._root / "var/lib/nvpmodel/status") or "")
        if status is None:
            return None
        number = int(status[1])
        table = _text(self._root / "etc/nvpmodel.conf") or ""
        names = {int(known): str(name) for known, name in _MODE.findall(table)}
        return names.get(number, str(number))

    def _gpu_load(self) -> float | None:
        for folder in self._all("sys/class/devfreq", "*"):
            if folder.name.rpartition(".")[2] in _GPU_NAMES:
                load = _number(folder / "device" / "load")
                if load is not None:
                    return min(max(load / _PARTS_PER_LOAD, 0.0), 1.0)
        for place in ("sys/devices/platform/gpu.0/load", "sys/devices/gpu.0/load"):
            load = _number(self._root / place)
            if load is not None:
                return min(max(load / _PARTS_PER_LOAD, 0.0), 1.0)
        return None

    def _memory_bytes(self) -> dict[str, int]:
        text = _text(self._root / "proc/meminfo") or ""
        return {name: int(kib) * 1024 for name, kib in re.findall(r"(?m)^(\w+):\s+(\d+) kB$", text)}

    def _all(self, folder: str, pattern: str) -> list[Path]:
        """In the order of their numbers."""
        found = (self._root / folder).glob(pattern)
        return sorted(found, key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)] or [0])


def _throttles_at(zone: Path) -> float | None:
    trips = []
    for file in zone.glob("trip_point_*_type"):
        celsius = _milli(file.with_name(file.name.replace("_type", "_temp")))
        if _text(file) == "passive" and celsius is not None and celsius >= _COLDEST_TRIP_CELSIUS:
            trips.append(celsius)
    return min(trips, default=None)


def _text(file: Path) -> str | None:
    """What stands in it; None where nothing does, or it cannot be read now, as a sensor of what is switched off."""
    try:
        return file.read_bytes().decode(errors="replace").strip("\0\n ") or None
    except OSError:
        return None


def _number(file: Path) -> int | None:
    text = _text(file)
    return int(text) if text is not None and re.fullmatch(r"-?\d+", text) else None


def _milli(file: Path) -> float | None:
    value = _number(file)
    return None if value is None else value / 1000.0
