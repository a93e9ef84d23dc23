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

COLLECT = """
import sys
from fleetpose import cli
from latency import collect
from tests.small_network import register_small
register_small()
sys.exit(cli.run(collect.main, collect.make_parser(), sys.argv[1:]))
"""


class Thermals:
    """The folder in place of /sys: one zone of the GPU, one cooling device."""

    def __init__(self, folder):
        self.folder = folder
        for place, name in (("thermal_zone0", "gpuss-0"), ("cooling_device0", "thermal-devfreq-0")):
            (folder / "class" / "thermal" / place).mkdir(parents=True)
            (folder / "class" / "thermal" / place / "type").write_text(f"{name}\n")

    def write(self, millidegrees, state):
        for place, number in (("thermal_zone0/temp", millidegrees), ("cooling_device0/cur_state", state)):
            path = self.folder / "class" / "thermal" / place
            path.with_suffix(".new").write_text(f"{number}\n")
            path.with_suffix(".new").replace(path)  # never seen empty


@pytest.fixture(scope="module")
def thermals(tmp_path_factory):
    return Thermals(tmp_path_factory.mktemp("sys"))


@pytest.fixture(scope="module")
def agent(tmp_path_factory, thermals):
    folder = tmp_path_factory.mktemp("agent")
    program = build_agent(own_host(), folder, [f'AGENT_SYS="{thermals.folder}"'])
    with ServingAgent(folder / "work", program=program) as serving:
        yield serving


def wait_for(said, process, words):
    limit = time.monotonic() + WAIT_SECS
    while words not in said.read_text():
        assert process.poll() is None, said.read_text()
        assert time.monotonic() < limit
        time.sleep(0.05)


@pytest.mark.slow
def test_collect_waits_until_the_phone_is_cool(agent, thermals, tmp_path, monkeypatch):
    agent.use_tracker(monkeypatch)
    thermals.write(52300, 3)
    out, said = tmp_path / "x.jsonl", tmp_path / "said"
    flags = ["--model", register_small(), "--layer", "wide", "--sparsity", "dense", "--rounds", "3", "--device",
             "rpc:bench", "--max-celsius", "45", "--wait-cool", "600", "--wait-secs", "0", "-o", str(out)]  # fmt: skip
    with said.open("wb") as stream:
        process = subprocess.Popen([sys.executable, "-c", COLLECT, *flags], stderr=stream, env=dict(os.environ))
    heat = "at 52.3 °C and slowed down (thermal-devfreq-0 at 3)"
    wanted = "nothing is slowed down and it is at 45 °C, 600 s at most"
    wait_for(said, process, f"device 'rpc:bench' is {heat}; waiting until {wanted}")
    assert not out.read_bytes()
    thermals.write(41200, 0)
    assert process.wait(WAIT_SECS) == 0, said.read_text()
    (record,) = read_records(out)
    assert record.ok, record.failure
    assert record.conditions["temperatures_celsius"] == {"thermal_zone0:gpuss-0": 41.2}
    assert record.marks == ()
    assert said.read_text().count("waiting") == 1
