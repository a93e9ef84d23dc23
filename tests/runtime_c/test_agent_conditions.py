"""The agent's conditions, read from a made-up /sys, beside those that Python reads there."""

from __future__ import annotations

import json

import pytest

from devices import conditions as module
from devices.conditions import conditions
from tests.runtime_c import compiling

TREE = {
    "devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1800000\n",
    "devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "2200000\n",
    "devices/system/cpu/cpu0/cpufreq/scaling_governor": "schedutil\n",
    "devices/system/cpu/cpufreq/policy0/scaling_governor": "none of a core's\n",
    "class/kgsl/kgsl-3d0/gpuclk": "587000000\n",
    "class/kgsl/kgsl-3d0/max_gpuclk": "585000000\n",
    "class/kgsl/kgsl-3d0/devfreq/max_freq": "none of these\n",
    "class/thermal/thermal_zone0/temp": "41500\n",
    "class/thermal/thermal_zone0/type": 'gpu "ss"-0\n',
    "class/thermal/thermal_zone1/temp": "-40960\n",
    "class/thermal/thermal_zone2/temp": "38\n",
    "class/thermal/cooling_device0/cur_state": "0\n",
    "class/thermal/cooling_device0/type": "thermal-cpufreq-0\n",
    "class/thermal/cooling_device1/cur_state": "3\n",
    "class/thermal/cooling_device1/type": "thermal-devfreq-0\n",
    "class/power_supply/battery/capacity": "87\n",
    "class/power_supply/battery/status": "Discharging\n",
}
MALI = {
    "class/misc/mali0/device/devfreq/1c500000.mali/cur_freq": "848000000",
    "class/misc/mali0/device/devfreq/1c500000.mali/max_freq": "900000000",
    "class/thermal/cooling_device0/cur_state": "-1",
    "class/thermal/thermal_zone7/temp": "no number",
}
#: a maker's kernel that gives its GPU's clock in kHz, and files that have no finite number
KILOHERTZ = {
    "class/misc/mali0/device/clock": "572000\n",
    "class/thermal/thermal_zone0/temp": "nan\n",
    "class/thermal/cooling_device0/cur_state": "inf\n",
    "class/power_supply/battery/capacity": "nan\n",
}
#: what is of the moment, and what the two count by other means
MOVING = {
    "time_unix_secs",
    "load_1min",
    "memory_available_bytes",
    "cpus",
    "cpu_clock_mhz",
    "cpu_busy_secs",
    "cpu_idle_secs",
}


@pytest.mark.parametrize("tree", [TREE, MALI, KILOHERTZ, {}], ids=["adreno", "mali", "kilohertz", "nothing"])
def test_agent_reads_what_python_reads(tmp_path, monkeypatch, tree):
    for path, text in tree.items():
        (tmp_path / "sys" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sys" / path).write_text(text)
    agent = compiling.RUNTIME / "agent"
    files = [compiling.HERE / "print_conditions.c", agent / "device" / "conditions.c",
             agent / "device" / "kernel_files.c",
             agent / "core" / "bytes.c", compiling.RUNTIME / "src" / "core" / "folder.c"]  # fmt: skip
    flags = [*compiling.sanitizer_flags(tmp_path), f'-DAGENT_SYS="{tmp_path / "sys"}"', f"-I{compiling.RUNTIME}"]
    done = compiling.run_program(compiling.compile_program(tmp_path / "print_conditions", files, flags))
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    monkeypatch.setattr(module, "SYS", tmp_path / "sys")
    wanted = conditions()
    assert {name: value for name, value in answer.items() if name not in MOVING} == {
        name: value for name, value in wanted.items() if name not in MOVING
    }
    for name in ("cpu_busy_secs", "cpu_idle_secs"):
        assert answer[name] == pytest.approx(wanted[name], rel=0.05)
    if tree is MALI:
        assert (answer["gpu_clock_most_mhz"], "throttled" in answer) == (900.0, False)
    if tree is KILOHERTZ:
        assert answer["gpu_clock_mhz"] == 572.0
    if tree is TREE:
        assert answer["cpu_clock_mhz"] == wanted["cpu_clock_mhz"] == 2000.0
        assert answer["gpu_clock_most_mhz"] == 585.0
        assert answer["throttled"] == {"cooling_device1:thermal-devfreq-0": 3}
        assert (answer["battery_percent"], answer["battery_status"]) == (87, "Discharging")
