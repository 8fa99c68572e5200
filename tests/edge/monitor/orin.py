"""The files that a Jetson AGX Orin with JetPack 6 shows, as NVIDIA's developer guide and jtop's sources name them."""

from __future__ import annotations

from pathlib import Path

ZONES = ("cpu-thermal", "gpu-thermal", "cv0-thermal", "soc0-thermal", "tj-thermal", "tboard-thermal")
"""In the order of their numbers."""
THROTTLES_AT_CELSIUS = 99.0
NVPMODEL = """\
< PARAM TYPE=FILE NAME=CPU_ONLINE >
CORE_1 /sys/devices/system/cpu/cpu1/online
< POWER_MODEL ID=0 NAME=MAXN >
CPU_ONLINE CORE_1 1
< POWER_MODEL ID=2 NAME=MODE_30W >
CPU_ONLINE CORE_1 1
< PM_CONFIG DEFAULT=2 >
"""


def orin(root: Path, *, celsius: float = 48.5) -> Path:
    """Write them below `root`, at that temperature everywhere."""
    files = {
        "proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0",
        "proc/meminfo": "MemTotal:       31325396 kB\nMemFree:         1000000 kB\nMemAvailable:   24000000 kB\n",
        "etc/nvpmodel.conf": NVPMODEL,
        "var/lib/nvpmodel/status": "pmode:0002 fmode:fanNull\n",
        "sys/class/devfreq/17000000.gpu/device/load": "420\n",
        "sys/class/devfreq/15340000.vic/device/load": "999\n",
        "sys/class/hwmon/hwmon0/name": "ina3221\n",
        "sys/class/hwmon/hwmon4/name": "soctherm_oc\n",
        "sys/class/hwmon/hwmon4/oc1_event_cnt": "0\n",
        "sys/class/hwmon/hwmon4/oc3_event_cnt": "7\n",
    }
    for number, name in enumerate(ZONES):
        folder = f"sys/class/thermal/thermal_zone{number}"
        files |= {f"{folder}/type": f"{name}\n", f"{folder}/temp": f"{round(celsius * 1000)}\n"}
        if name != "tboard-thermal":
            files |= {f"{folder}/trip_point_0_type": "critical\n", f"{folder}/trip_point_0_temp": "104500\n"}
            files |= {f"{folder}/trip_point_1_type": "passive\n", f"{folder}/trip_point_1_temp": "99000\n"}
            files |= {f"{folder}/trip_point_2_type": "active\n", f"{folder}/trip_point_2_temp": "50000\n"}
    devices = {"pwm-fan": 3, "cpufreq-cpu0": 0, "devfreq-17000000.gpu": 0, "cpu-throttle-alert": 0}
    for number, (name, state) in enumerate(devices.items()):
        folder = f"sys/class/thermal/cooling_device{number}"
        files |= {f"{folder}/type": f"{name}\n", f"{folder}/cur_state": f"{state}\n"}
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def heat(root: Path, celsius: float, zone: str = "cpu-thermal") -> None:
    """Another temperature of one zone."""
    (root / f"sys/class/thermal/thermal_zone{ZONES.index(zone)}/temp").write_text(f"{round(celsius * 1000)}\n")
