"""The commands that compile for a device and time it, over the agent, with the flags that any device takes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from runtime import package_format
from tests.agent_serving import ServingAgent
from tests.serving import WAIT_SECS

ROOT = Path(__file__).parents[2]
MODEL = ["--model", "tests.tiny_pose:TinyPose", "--size", "64x64"]

pytestmark = [pytest.mark.long, pytest.mark.system_opencl]


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    with ServingAgent(tmp_path_factory.mktemp("agent") / "work") as one:
        yield one


@pytest.fixture
def run(agent, tmp_path):
    """Runs a command in a folder of its own on the agent's device, and answers what it printed."""
    environment = {**os.environ, "TVM_TRACKER_HOST": agent.tracker.host, "TVM_TRACKER_PORT": str(agent.tracker.port),
                   "PYTHONPATH": str(ROOT)}  # fmt: skip

    def command(module, *arguments):
        words = [sys.executable, "-m", module, *map(str, arguments), "--device", "rpc:bench"]
        done = subprocess.run(
            words, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=10 * WAIT_SECS
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return command


def test_artifact_is_built_checked_verified_and_run(run, tmp_path):
    run("codegen.build", *MODEL, "-o", "tiny.fpk")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.fpk"]
    sections = package_format.read_sections((tmp_path / "tiny.fpk").read_bytes())
    assert json.loads(sections[package_format.MANIFEST].rstrip(b"\0"))["host"] == "agent"
    verified = json.loads(run("codegen.verify", "--artifact", "tiny.fpk", "--json", "--trust"))
    assert max(value for name, value in verified.items() if name.startswith("max_relative_error")) < 1e-4
    photograph = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), photograph)
    printed = run("codegen.run", "--artifact", "tiny.fpk", "--image", "photo.png", "--no-people", "--layers",
                  "--sustained", "0.02")  # fmt: skip
    assert "in layers' kernels" in printed
    assert "after 0.02 minutes without a pause network takes" in printed


def test_layers_are_tuned_and_collected(run, tmp_path):
    run("codegen.tune", *MODEL, "--out", tmp_path / "tuned.jsonl", "--rounds", 3, "--budget-secs", 20)
    rows = [json.loads(line) for line in (tmp_path / "tuned.jsonl").read_text().splitlines()]
    assert rows
    run("latency.collect", *MODEL, "-o", "timings.jsonl", "--rounds", 3, "--budget-secs", 20, "--networks")
    records = [json.loads(line) for line in (tmp_path / "timings.jsonl").read_text().splitlines()]
    assert {"layer", "network"} == {record["kind"] for record in records}
    assert all(record["failure"] is None for record in records)


def test_metaschedule_and_the_doctor_work(run, tmp_path):
    run("codegen.tune", *MODEL, "--out", tmp_path / "meta.jsonl", "--rounds", 3, "--tuner", "metaschedule",
        "--trials", 8, "--layer", "neck")  # fmt: skip
    assert "GFLOP/s" in run("codegen.layer", "--conv", 8, 8, 10, 10, "--dump", tmp_path / "code")
    assert "__kernel" in "".join(path.read_text() for path in (tmp_path / "code").iterdir())
    printed = run("devices.doctor")
    assert "compiled, linked, sent, run; max abs error 0" in printed
