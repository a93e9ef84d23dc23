"""Kernels shaped for phones under Oclgrind, an OpenCL simulator that reports accesses outside of buffers, and races.

Skipped where it is not installed (apt-get install oclgrind). It has no fp16.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYERS = {
    "pointwise": ["--conv", "5", "6", "7", "9", "--kernel", "1", "--epilogue", "relu"],
    "stem": ["--conv", "3", "8", "13", "17", "--kernel", "7", "--stride", "2"],
    "dilated": ["--conv", "4", "9", "9", "11", "--kernel", "3", "--dilation", "2", "--epilogue", "relu", "add"],
    "depthwise": ["--conv", "6", "6", "11", "13", "--kernel", "5", "--groups", "6"],
    "strided depthwise": ["--conv", "8", "8", "10", "15", "--kernel", "3", "--stride", "2", "--groups", "8"],
}
WRITES_BEHIND_THE_END = """
import numpy as np, tvm
from tests.host import handwritten
code = "// Function: f\\n__kernel void f(__global float* x) { x[get_global_id(0) + 4] = 1; }\\n"
module = handwritten.load(code, ("f", [handwritten.HANDLE], ["blockIdx.x", "threadIdx.x"]))
module["f"](tvm.runtime.tensor(np.zeros(8, "float32"), tvm.opencl(0)), 1, 8)
tvm.opencl(0).sync()
"""


def implementation() -> Path | None:
    """Oclgrind's library for the OpenCL loader, beside its command."""
    command = shutil.which("oclgrind")
    places = Path(command).resolve().parents[1].glob("lib*/**/liboclgrind-rt-icd.so") if command else ()
    return next(iter(places), None)


pytestmark = [
    pytest.mark.long,
    pytest.mark.system_opencl,
    pytest.mark.skipif(implementation() is None, reason="needs Oclgrind: apt-get install oclgrind"),
]


@pytest.fixture
def simulate(tmp_path):
    """A function that runs Python with Oclgrind as the only OpenCL device and returns its output and reports."""
    vendors, log = tmp_path / "vendors", tmp_path / "oclgrind.log"
    vendors.mkdir()
    (vendors / "oclgrind.icd").write_text(f"{implementation()}\n")
    settings = {"OCL_ICD_VENDORS": vendors, "OCLGRIND_LOG": log, "OCLGRIND_DATA_RACES": 1, "FLEETPOSE_CACHE": 0}
    environment = {**os.environ, **{name: str(value) for name, value in settings.items()}}
    environment.pop("FLEETPOSE_OPENCL_DEVICE", None)

    def run(*arguments: str) -> tuple[str, str]:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout, log.read_text() if log.exists() else ""

    return run


def test_a_write_behind_the_end_is_reported(simulate):
    """That silence means something."""
    assert "Invalid write of size 4 at global memory" in simulate("-c", WRITES_BEHIND_THE_END)[1]


@pytest.mark.parametrize("profile", ["mali-g76", "adreno-640"])
@pytest.mark.parametrize("layer", LAYERS)
def test_kernels_stay_inside_their_buffers(simulate, layer, profile):
    flags = ["--device", "host", "--profile", profile, "--repeats", "1", "--json"]
    printed, reports = simulate("-m", "codegen.layer", *LAYERS[layer], *flags)
    assert reports == ""
    result = json.loads(printed)
    assert "Oclgrind" in json.dumps(result["timing"]["device"])
    assert result["max_relative_error"] < 1e-4
