"""Conditions read from a made-up /sys: clocks in MHz, temperatures in degrees, nonsense left out."""

import json

import pytest

from devices import conditions as module
from devices.conditions import conditions


@pytest.fixture
def sys_tree(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SYS", tmp_path)

    def write(path, text):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    return write


def test_conditions_of_this_machine_are_read():
    found = conditions()
    assert found["cpus"] >= 1
    assert found["time_unix_secs"] > 1.7e9
    json.dumps(found, allow_nan=False)


def test_conditions_of_a_phone_are_read(sys_tree):
    sys_tree("devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "1800000\n")
    sys_tree("devices/system/cpu/cpu1/cpufreq/scaling_cur_freq", "2200000\n")
    sys_tree("devices/system/cpu/cpu0/cpufreq/scaling_governor", "schedutil\n")
    sys_tree("class/kgsl/kgsl-3d0/gpuclk", "587000000\n")
    sys_tree("class/thermal/thermal_zone0/temp", "41500\n")
    sys_tree("class/thermal/thermal_zone0/type", "gpuss-0\n")
    sys_tree("class/thermal/thermal_zone1/temp", "-40960\n")
    sys_tree("class/thermal/thermal_zone2/temp", "38\n")
    found = conditions()
    assert (found["cpu_clock_mhz"], found["gpu_clock_mhz"], found["cpu_governor"]) == (2000.0, 587.0, "schedutil")
    assert found["temperatures_celsius"] == {"thermal_zone0:gpuss-0": 41.5, "thermal_zone2:?": 38.0}
    assert found["hottest_celsius"] == 41.5


@pytest.mark.parametrize("written", ["848000000", "848000", "848"])
def test_conditions_hold_a_mali_gpus_clock(sys_tree, written):
    sys_tree("class/misc/mali0/device/devfreq/1c500000.mali/cur_freq", written)
    assert conditions()["gpu_clock_mhz"] == 848.0


def test_conditions_leave_out_what_cannot_be_read(sys_tree):
    sys_tree("class/kgsl/kgsl-3d0/gpuclk", "busy")
    found = conditions()
    assert "gpu_clock_mhz" not in found
    assert "temperatures_celsius" not in found
