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


def test_conditions_say_what_is_slowed_down(sys_tree):
    for number, state in enumerate(("0", "3", "-1")):
        sys_tree(f"class/thermal/cooling_device{number}/cur_state", state)
        sys_tree(f"class/thermal/cooling_device{number}/type", "thermal-devfreq-0\n")
    assert conditions()["throttled"] == {"cooling_device1:thermal-devfreq-0": 3}


def test_conditions_hold_the_highest_clock(sys_tree):
    sys_tree("class/kgsl/kgsl-3d0/gpuclk", "305000000\n")
    sys_tree("class/kgsl/kgsl-3d0/max_gpuclk", "850000000\n")
    found = conditions()
    assert (found["gpu_clock_mhz"], found["gpu_clock_most_mhz"]) == (305.0, 850.0)


@pytest.mark.parametrize(
    ("stat", "secs"),
    [("cpu  1000 200 300 4000 500 60 40 100 0 0\ncpu0 1 2 3\n", (17.0, 45.0)), ("cpu  1 2\n", None), ("", None)],
)
def test_conditions_count_what_processors_did(tmp_path, monkeypatch, stat, secs):
    (tmp_path / "stat").write_text(stat)
    monkeypatch.setattr(module, "PROC", tmp_path)
    found = conditions()
    assert (found.get("cpu_busy_secs"), found.get("cpu_idle_secs")) == (secs or (None, None))


@pytest.mark.parametrize("written", ["848000000", "848000", "848"])
def test_conditions_hold_a_mali_gpus_clock(sys_tree, written):
    sys_tree("class/misc/mali0/device/devfreq/1c500000.mali/cur_freq", written)
    assert conditions()["gpu_clock_mhz"] == 848.0


def test_conditions_leave_out_what_cannot_be_read(sys_tree):
    sys_tree("class/kgsl/kgsl-3d0/gpuclk", "busy")
    found = conditions()
    assert "gpu_clock_mhz" not in found
    assert "temperatures_celsius" not in found
