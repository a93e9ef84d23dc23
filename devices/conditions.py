"""The state of this machine that moves timings: clocks, temperatures, load. What cannot be read is left out.

Read on the machine that runs the kernels: the RPC server offers `conditions` under the name "fleetpose.conditions".
Linux's files in /sys are read directly, so it works on phones as far as their permissions allow.
"""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SYS = Path("/sys")
GPU_CLOCKS = (  # below SYS
    "class/kgsl/kgsl-3d0/gpuclk",  # Adreno
    "class/kgsl/kgsl-3d0/devfreq/cur_freq",
    "class/misc/mali0/device/clock",  # Mali, vendor kernels
    "class/misc/mali0/device/devfreq/*/cur_freq",
)
GPU_MOST_CLOCKS = (  # the highest that the driver may choose
    "class/kgsl/kgsl-3d0/max_gpuclk",
    "class/kgsl/kgsl-3d0/devfreq/max_freq",
    "class/misc/mali0/device/devfreq/*/max_freq",
)
PROC = Path("/proc")
#: of the counts in /proc/stat
TICKS_PER_SEC = 100


def conditions() -> dict[str, Any]:
    """The readable ones of: time_unix_secs, machine ("x86_64", "aarch64"), cpus, load_1min, cpu_clock_mhz (mean over
    cores), cpu_busy_secs and cpu_idle_secs (since the start, of all cores together), gpu_clock_mhz,
    gpu_clock_most_mhz, cpu_governor, temperatures_celsius ({zone: degrees}), hottest_celsius, throttled ({cooling
    device: state}, of those that slow something down), battery_percent, battery_status, memory_available_bytes. The
    agent of phones (runtime/agent/device/conditions.c) answers the same.
    """
    values: dict[str, Any] = {
        "time_unix_secs": round(time.time(), 3),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
    }
    if hasattr(os, "getloadavg"):
        values["load_1min"] = round(os.getloadavg()[0], 2)
    _add(values, "cpu_clock_mhz", _cpu_clock_mhz())
    _add_processor_time(values)
    _add(values, "gpu_clock_mhz", _clock_mhz(GPU_CLOCKS))
    _add(values, "gpu_clock_most_mhz", _clock_mhz(GPU_MOST_CLOCKS))
    _add(values, "cpu_governor", _text(SYS / "devices/system/cpu/cpu0/cpufreq/scaling_governor"))
    temperatures = _temperatures()
    if temperatures:
        values["temperatures_celsius"] = temperatures
        values["hottest_celsius"] = max(temperatures.values())
    _add(values, "throttled", _throttled() or None)
    battery = SYS / "class/power_supply/battery"
    percent = _number(battery / "capacity")
    _add(values, "battery_percent", None if percent is None else round(percent))
    _add(values, "battery_status", _text(battery / "status") or None)
    _add(values, "memory_available_bytes", _memory_available_bytes())
    return values


def _add(values: dict[str, Any], key: str, value: Any) -> None:
    if value is not None:
        values[key] = value


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None


def _number(path: Path) -> float | None:
    try:
        value = float(_text(path) or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None  # JSON has no others


def _cpu_clock_mhz() -> float | None:
    """Mean over cores: cpufreq where it is there, else /proc/cpuinfo (virtual machines show a constant)."""
    files = sorted((SYS / "devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
    clocks = [khz / 1000 for khz in map(_number, files) if khz]
    if not clocks:
        lines = (_text(PROC / "cpuinfo") or "").splitlines()
        clocks = [float(line.split(":")[1]) for line in lines if line.startswith("cpu MHz")]
    return round(sum(clocks) / len(clocks), 1) if clocks else None


def _add_processor_time(values: dict[str, Any]) -> None:
    """Seconds of all cores: /proc/stat begins with user, nice, system, idle, iowait, irq, softirq and steal."""
    name, *counts = (_text(PROC / "stat") or "").partition("\n")[0].split() or [""]
    if name != "cpu" or len(counts) < 8 or not all(count.isdecimal() for count in counts[:8]):
        return
    secs = [int(count) / TICKS_PER_SEC for count in counts[:8]]
    idle = secs[3] + secs[4]
    values |= {"cpu_busy_secs": round(sum(secs) - idle, 2), "cpu_idle_secs": round(idle, 2)}


def _clock_mhz(patterns: Sequence[str]) -> float | None:
    """The first of some files below SYS that has a clock."""
    for pattern in patterns:
        for path in SYS.glob(pattern):
            clock = _number(path)
            if clock and clock > 0:
                return round(_in_mhz(clock), 1)
    return None


def _in_mhz(clock: float) -> float:
    """Kernels of phones' makers give Hz, kHz or MHz in files of one name; GPUs run at 10 MHz to 10 GHz."""
    return clock / 1e6 if clock >= 1e7 else clock / 1e3 if clock >= 1e4 else clock


def _temperatures() -> dict[str, float]:
    """Every thermal zone that reads between 0 and 150 degrees (a zone that is off reads nonsense)."""
    temperatures = {}
    for zone in sorted((SYS / "class/thermal").glob("thermal_zone*")):
        raw = _number(zone / "temp")
        degrees = None if raw is None else raw / 1000 if abs(raw) > 200 else raw
        if degrees is not None and 0 < degrees < 150:
            temperatures[f"{zone.name}:{_text(zone / 'type') or '?'}"] = round(degrees, 1)
    return temperatures


def _throttled() -> dict[str, int]:
    """Cooling devices of the kernel's that are not at rest: what it slows down to cool something."""
    states = {}
    for device in sorted((SYS / "class/thermal").glob("cooling_device*")):
        if (state := _number(device / "cur_state") or 0) > 0:  # one that is off says -1
            states[f"{device.name}:{_text(device / 'type') or '?'}"] = round(state)
    return states


def _memory_available_bytes() -> int | None:
    for line in (_text(PROC / "meminfo") or "").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None
