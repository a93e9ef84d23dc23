"""`codegen.run --video` as a user runs it: processes of its own, Lightweight OpenPose at 64x64 with random weights."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from codegen.artifact.video import VideoReader, VideoWriter
from codegen.building.build import build
from codegen.building.target import BuildTarget
from codegen.building.traced import trace_network

FRAMES = 400


@pytest.fixture(scope="module")
def artifact(host, tmp_path_factory):
    path = tmp_path_factory.mktemp("artifact") / "pose.so"
    build(trace_network("lwop", sizes=[(64, 64)]), BuildTarget.of(host)).write(path)
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "noise.avi"
    writer, random = VideoWriter(path, (48, 64), 25.0, follow_clock=False), np.random.default_rng(0)
    for _ in range(FRAMES):
        writer.write(random.integers(0, 256, (48, 64, 3), np.uint8), 0.0)
    writer.finish()
    return path


def command(artifact, video, *flags):
    return [sys.executable, "-m", "codegen.run", "--artifact", artifact, "--video", video, *map(str, flags)]


def test_run_turns_a_video_into_a_video_and_one_json_object(artifact, video, tmp_path):
    out = tmp_path / "out.mp4"
    argv = command(artifact, video, "-o", out, "--max-frames", 5, "--json")
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["input_size"] == [64, 64]
    assert [frame["image_id"] for frame in report["frames"]] == [0, 1, 2, 3, 4]
    assert len(report["people"]) == sum(frame["people"] for frame in report["frames"])
    with VideoReader(str(out)) as reader:
        assert len(list(reader)) == 5


def test_run_finalises_the_video_at_ctrl_c(artifact, video, tmp_path):
    out = tmp_path / "out.mp4"
    argv = command(artifact, video, "-o", out, "-v")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if "frame 3 of 400" in line:
                break
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate()
    assert process.returncode == 130
    assert "interrupted after" in errors
    assert f"video: {out}" in printed
    with VideoReader(str(out)) as reader:
        assert 3 <= len(list(reader)) < FRAMES
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


FRESH = """
import sys
from codegen import run
from fleetpose import cli
assert cli.run(run.main, run.make_parser(), sys.argv[1:]) == 0
maps = open("/proc/self/maps").read()
assert "libtvm_compiler" not in maps and "libtorch" not in maps, "the compiler or torch is loaded"
assert sys.modules.get("torch") is None
"""


def test_run_of_a_video_loads_neither_torch_nor_the_compiler(artifact, video):
    argv = command(artifact, video, "--max-frames", 2)
    done = subprocess.run([sys.executable, "-c", FRESH, *argv[3:]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "2 frames of" in done.stdout
