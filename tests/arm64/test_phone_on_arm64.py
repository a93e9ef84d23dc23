"""Android's agent, as phones get it, behind a fake adb server: from `setup` to timings and a fast network.

It runs on an emulated arm64 processor with PoCL; all else is as with a phone at a cable.
"""

import json
import os
from pathlib import Path

import pytest

from latency.records.read import read_records
from tests.fake_adb.rehearsal import Rehearsal

HERE = Path(__file__).parent
NETWORK = """
from torch import nn

def net():
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU())
"""
FLAGS = ("--model", "tiny.py:net", "--size", "16x16", "--profile", str(HERE / "cpu-arm64.toml"),
         "--sparsity", "columns:0.5:4x1", "--rounds", "3", "--wait-secs", "0")  # fmt: skip

pytestmark = pytest.mark.long


@pytest.fixture
def rehearsal(tmp_path, emulated):
    rehearsal = Rehearsal(tmp_path, agent=Path())  # setup builds it
    phone = rehearsal.plug()
    kernels = Path(os.environ.get("POCL_CACHE_DIR", emulated.folder / "kernels")).absolute()
    libraries = phone.folder / "vendor/lib64"
    phone.emulated = lambda program: emulated.command(program, libraries=libraries, cache=kernels)
    (tmp_path / "tiny.py").write_text(NETWORK)
    yield rehearsal
    rehearsal.close()


def test_network_is_made_fast_on_an_emulated_phone(rehearsal, tmp_path):
    done = rehearsal.run("devices.android", "setup", "--json", "--wait-secs", 300)
    assert done.returncode == 0, done.stdout + done.stderr
    phone = json.loads(done.stdout)["phones"][0]
    print({part["name"]: part["detail"] for part in phone["parts"]})
    device = f"rpc:{phone['key']}"
    done = rehearsal.run("latency.collect", *FLAGS, "--device", device, "-o", "timings.jsonl")
    assert done.returncode == 0, done.stdout + done.stderr
    records = read_records(tmp_path / "timings.jsonl")
    assert records
    assert not [record for record in records if record.failure]
    done = rehearsal.run("latency.optimize", *FLAGS, "--no-tune", "--around", "6", "--device", device, "-o", "out")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "out" / "report.html").exists()
    assert rehearsal.phone_command("stop", "--remove").returncode == 0
    assert rehearsal.left() == []
