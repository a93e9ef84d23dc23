"""Builds the C++ unit tests (with address and undefined-behaviour sanitizers where there are any) and runs each."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "devices" / "runtime"


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    cmake = shutil.which("cmake")
    if cmake is None or not any(map(shutil.which, ("c++", "g++", "clang++"))):
        pytest.skip("needs cmake and a C++ compiler")
    folder = tmp_path_factory.mktemp("cpp")
    sanitize = "-fsanitize=address,undefined -fno-sanitize-recover=all"
    common = ["-DFLEETPOSE_BACKEND=OFF", "-DFLEETPOSE_CPP_TESTS=ON", f"-DPython_EXECUTABLE={sys.executable}"]
    command = [cmake, "-S", str(SOURCE), "-B", str(folder), *common, "-DCMAKE_BUILD_TYPE=Debug"]
    if _sanitizers_work(folder, sanitize):
        command.append(f"-DCMAKE_CXX_FLAGS={sanitize}")
    for step in (command, [cmake, "--build", str(folder), "--parallel", "2"]):
        ran = subprocess.run(step, capture_output=True, text=True, timeout=900)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert "warning:" not in ran.stdout + ran.stderr
    return folder / "tests"


@pytest.mark.parametrize("part", ["cache", "rpc_chunks", "rpc_frames", "rpc_relay", "select", "serialize", "sha256"])
def test_cpp(built, part):
    ran = subprocess.run([str(built / f"test_{part}")], capture_output=True, text=True, timeout=900)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def _sanitizers_work(folder: Path, flags: str) -> bool:
    """Whether a program built with `flags` runs here: the compiler may come without the sanitizers' libraries."""
    source, program = folder / "probe.cc", folder / "probe"
    source.write_text("int main() { return 0; }\n")
    compiler = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))))
    built = subprocess.run([compiler, *flags.split(), str(source), "-o", str(program)], capture_output=True)
    return built.returncode == 0 and subprocess.run([str(program)], capture_output=True).returncode == 0
