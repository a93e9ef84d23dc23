"""latency.collect --workers over two agents under one key of one tracker: both work, and one may go."""

import json
import os
import subprocess
import sys
import time

import pytest

from devices.rpc import tracker
from latency.records.read import read_records
from tests.agent_serving import ServingAgent
from tests.serving import WAIT_SECS
from tests.small_network import register_small


@pytest.fixture
def agents(tmp_path, monkeypatch):
    """Two, each of which keeps its compiled kernels in its own folder."""
    monkeypatch.delenv("FLEETPOSE_CACHE", raising=False)
    monkeypatch.delenv("FLEETPOSE_CACHE_DIR", raising=False)
    with ServingAgent(tmp_path / "one", "pair") as first:
        first.use_tracker(monkeypatch)
        with ServingAgent(tmp_path / "two", "pair", tracker=first.tracker) as second:
            limit = time.monotonic() + WAIT_SECS
            while len(tracker.servers(first.tracker)) < 2:
                assert time.monotonic() < limit
                time.sleep(0.05)
            yield first, second


class PooledCollection:
    """A run of two workers, as a process."""

    def __init__(self, folder):
        self.out, self.said = folder / "x.jsonl", folder / "said"
        words = ["--model", register_small(), "--layer", "stem", "one", "wide", "--sparsity", "columns:0.75:4x1",
                 "--rounds", "3", "--wait-secs", "0", "--device", "rpc:pair", "--workers", "2", "--json"]  # fmt: skip
        command = [sys.executable, "-m", "tests.collect_small", *words, "-o", str(self.out)]
        with self.said.open("wb") as stream:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stream, env=dict(os.environ))

    def wait_for_a_record(self):
        limit = time.monotonic() + WAIT_SECS
        while not self.out.exists() or not self.out.read_bytes().count(b"\n"):
            assert self.process.poll() is None, self.said.read_text()
            assert time.monotonic() < limit
            time.sleep(0.02)

    def assert_all_is_timed(self):
        printed, _ = self.process.communicate(timeout=WAIT_SECS)
        assert self.process.returncode == 0, self.said.read_text()
        summary, records = json.loads(printed), read_records(self.out)
        assert (summary["left"], summary["records"]) == (0, len(records))
        assert len({record.id for record in records}) == len(records) >= 3, "dense ones, and those that may be sparse"
        assert [record.failure for record in records if not record.ok] == []


@pytest.mark.slow
def test_two_agents_share_the_work(agents, tmp_path):
    PooledCollection(tmp_path).assert_all_is_timed()
    for agent in agents:
        assert agent.log.read_text().count("session begins") == 1
        assert list((agent.folder / "kernels").glob("kernel-*.bin")), "it has compiled kernels"
        assert agent.sessions() == []


@pytest.mark.long
def test_work_of_an_agent_that_is_killed_goes_to_the_other(agents, tmp_path):
    running = PooledCollection(tmp_path)
    running.wait_for_a_record()
    agents[1].process.kill()
    running.assert_all_is_timed()
    assert agents[0].process.poll() is None
