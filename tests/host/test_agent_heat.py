"""latency.collect on the agent, whose files of temperatures the test writes: it waits while these are hot."""

import os
import subprocess
import sys
import time

import pytest

from latency.records.read import read_records
from runtime.agent import build_agent, own_host
from tests.agent_serving import ServingAgent
from tests.serving import WAIT_SECS
from tests.small_network import register_small

pytestmark = pytest.mark.system_opencl


class PhoneFiles:
    """The folder in place of /sys: a GPU at 300 of 850 MHz with a zone of its own, and a cooling device."""

    def __init__(self, folder):
        self.folder = folder
        for path, text in {
            "class/thermal/thermal_zone0/type": "gpuss-0", "class/thermal/cooling_device0/type": "thermal-devfreq-0",
            "class/kgsl/kgsl-3d0/gpuclk": "300000000", "class/kgsl/kgsl-3d0/max_gpuclk": "850000000",
        }.items():  # fmt: skip
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(f"{text}\n")

    def heat(self, millidegrees, state):
        for place, number in (("thermal_zone0/temp", millidegrees), ("cooling_device0/cur_state", state)):
            path = self.folder / "class" / "thermal" / place
            path.with_suffix(".new").write_text(f"{number}\n")
            path.with_suffix(".new").replace(path)  # never seen empty


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return PhoneFiles(tmp_path_factory.mktemp("sys"))


@pytest.fixture(scope="module")
def agent(tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("agent")
    program = build_agent(own_host(), folder, [f'AGENT_SYS="{files.folder}"'])
    with ServingAgent(folder / "work", program=program) as serving:
        yield serving


class Collection:
    """`python -m latency.collect` of one layer on the agent, as a process; it writes `out` and says `said`."""

    def __init__(self, folder, *flags):
        self.out, self.said = folder / "x.jsonl", folder / "said"
        usual = ["--model", register_small(), "--layer", "wide", "--sparsity", "dense", "--rounds", "3", "--device",
                 "rpc:bench", "--wait-secs", "0", "-o", str(self.out)]  # fmt: skip
        command = [sys.executable, "-m", "tests.collect_small", *usual, *flags]
        with self.said.open("wb") as stream:
            self.process = subprocess.Popen(command, stderr=stream, env=dict(os.environ))

    def wait_for(self, words):
        limit = time.monotonic() + WAIT_SECS
        while words not in self.said.read_text():
            assert self.process.poll() is None, self.said.read_text()
            assert time.monotonic() < limit
            time.sleep(0.05)

    def record(self):
        """The one record, once the command has ended."""
        assert self.process.wait(WAIT_SECS) == 0, self.said.read_text()
        (record,) = read_records(self.out)
        assert record.ok, record.failure
        return record


@pytest.mark.slow
def test_collect_waits_until_the_phone_is_cool(agent, files, tmp_path, monkeypatch):
    agent.use_tracker(monkeypatch)
    files.heat(52300, 3)
    running = Collection(tmp_path, "--max-celsius", "45", "--wait-cool", "600")
    hot = "at 52.3 °C and slowed down (thermal-devfreq-0 at 3)"
    wanted = "nothing is slowed down and it is at 45 °C, 600 s at most"
    running.wait_for(f"device 'rpc:bench' is {hot}; waiting until {wanted}")
    assert not running.out.read_bytes()
    files.heat(41200, 0)
    record = running.record()
    assert record.conditions["temperatures_celsius"] == {"thermal_zone0:gpuss-0": 41.2}
    assert record.marks == ()
    assert running.said.read_text().count("waiting") == 1


@pytest.mark.slow
def test_a_gpu_that_stays_at_a_low_clock_is_marked(agent, files, tmp_path, monkeypatch):
    """By the profile of a phone's GPU, whose kernels this machine's OpenCL runs; its clock is what the files say."""
    agent.use_tracker(monkeypatch)
    files.heat(41200, 0)
    running = Collection(tmp_path, "--profile", "mali-g76", "--target-host", "agent")
    record = running.record()
    assert "slow clock" in record.marks
    assert (record.conditions["gpu_clock_busy_mhz"], record.conditions["gpu_clock_most_mhz"]) == (300.0, 850.0)
    assert running.said.read_text().count("runs its GPU at 300 MHz of 850 while it is timed") == 1
