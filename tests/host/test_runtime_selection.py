"""Which library and which device: read from the environment on first use, so each case is a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from handwritten import backend, missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

ASK = """
import json, tvm, tvm_ffi
call = lambda name: tvm_ffi.get_global_func("fleetpose.opencl." + name)()
try:
    answer = {"exist": bool(tvm.opencl(0).exist), "devices": json.loads(call("devices")), "library": call("library")}
    print(json.dumps(answer))
except Exception as error:
    print(json.dumps({"error": str(error)}))
"""


def ask(script: str = ASK, **environment: str) -> dict:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FLEETPOSE_")}
    clean["TVM_USE_RUNTIME_LIB"] = "1"  # without the compiler, which takes a second to load, nor torch, which takes two
    script = "import sys; sys.modules['torch'] = None\n" + script
    ran = subprocess.run(
        [sys.executable, "-c", script], env={**clean, **environment}, capture_output=True, text=True, timeout=900
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.fixture(scope="module")
def devices() -> list[dict]:
    return ask()["devices"]


def test_selection_describes_devices(devices):
    for index, device in enumerate(devices):
        assert device["index"] == index
        assert device["type"] in ("gpu", "cpu", "accelerator", "custom")
        assert device["compute_units"] > 0
        assert device["max_work_group"] > 0
        assert isinstance(device["extensions"], list)
        assert device["fp16"] == ("cl_khr_fp16" in device["extensions"])
    assert Path(backend("library")).is_absolute()
    kinds = [device["type"] != "gpu" for device in devices]
    assert kinds == sorted(kinds)  # GPUs first


def test_every_device_can_be_made_the_first(devices):
    for device in devices:
        for selection in (
            f"{device['platform']}:{device['name']}",
            f"{device['platform'].upper()}:{device['name'][:8]}",
        ):
            chosen = ask(FLEETPOSE_OPENCL_DEVICE=selection)["devices"]
            assert chosen[0]["name"] == device["name"]
            assert len(chosen) == len(devices)


def test_selection_by_index(devices):
    assert len(ask(FLEETPOSE_OPENCL_DEVICE="0:0")["devices"]) == len(devices)


@pytest.mark.parametrize("selection", ["no such platform", "99", "0:99", ":no such device"])
def test_a_selection_that_matches_nothing_lists_what_there_is(selection, devices):
    error = ask(FLEETPOSE_OPENCL_DEVICE=selection)["error"]
    assert f"FLEETPOSE_OPENCL_DEVICE={selection}" in error
    for device in devices:
        assert device["name"] in error


def test_selection_names_a_missing_library():
    answer = ask(FLEETPOSE_LIBOPENCL="/no/such/libOpenCL.so")
    assert "/no/such/libOpenCL.so" in answer["error"]
    assert "apt-get install" in answer["error"]


def test_selection_names_a_library_that_is_not_opencl():
    answer = ask(FLEETPOSE_LIBOPENCL="libm.so.6")
    assert "has no entry point clGetPlatformIDs" in answer["error"]


def test_pips_library_is_taken_only_when_asked_for(tmp_path):
    """The system's own loader, put where Intel's library would be in an environment."""
    system = ask()["library"]
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libintelocl.so").symlink_to(Path(system).resolve())
    script = f"import sys; sys.prefix = {str(tmp_path)!r}\n" + ASK
    assert ask(script)["library"] == system
    assert ask(script, FLEETPOSE_LIBOPENCL="pip")["library"] == str(tmp_path / "lib" / "libintelocl.so")


def test_intels_runtime_where_pip_has_installed_it():
    if not (Path(sys.prefix) / "lib" / "libintelocl.so").is_file():
        pytest.skip("pip's intel-opencl-rt is not installed")
    answer = ask(FLEETPOSE_LIBOPENCL="pip")
    assert answer["library"].endswith("/libintelocl.so")
    assert [(device["platform"], device["type"]) for device in answer["devices"]] == [("Intel(R) OpenCL", "cpu")]
    assert answer["devices"][0]["fp16"]
    assert answer["devices"][0]["image2d"]
    done = subprocess.run(
        [sys.executable, "-m", "devices.doctor", "--json"],
        env={**os.environ, "FLEETPOSE_LIBOPENCL": "pip"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    parts = {part["name"]: part for part in json.loads(done.stdout)["parts"]}
    assert parts["small kernel"]["state"] == "ok"  # compiled, run and right
    assert parts["libOpenCL"]["detail"] == answer["library"]


def test_without_a_library_there_is_no_device_and_compiling_works(tmp_path):
    nowhere = {"FLEETPOSE_LIBOPENCL": "/no/such/libOpenCL.so"}
    script = "import json, tvm; print(json.dumps({'exist': bool(tvm.opencl(0).exist)}))"
    assert ask(script, **nowhere) == {"exist": False}
    compile_script = Path(__file__).parent / "compile_two_kernels.py"
    environment = {**os.environ, **nowhere}
    subprocess.run([sys.executable, str(compile_script), str(tmp_path / "k")], env=environment, check=True, timeout=900)
    assert (tmp_path / "k.bytes").stat().st_size > 100


def test_importing_tvm_opens_no_device():
    """A wrong setting must not break `import tvm`, and a server that forks must not have started driver threads."""
    script = """
import json, tvm
maps = open("/proc/self/maps").read()
print(json.dumps({"backend": "libfleetpose_opencl" in maps, "opencl": "libOpenCL" in maps}))
"""
    answer = ask(script, FLEETPOSE_OPENCL_DEVICE="nonsense")
    assert answer == {"backend": True, "opencl": False}


@pytest.mark.parametrize("runtime_only", ["0", "1"])
def test_loaded_with_and_without_the_compiler(runtime_only):
    assert ask(TVM_USE_RUNTIME_LIB=runtime_only)["exist"] is True


def test_use_after_fork_is_an_error_not_a_hang():
    script = """
import json, os, numpy as np, tvm
tensor = tvm.runtime.tensor(np.ones(4, "float32"), tvm.opencl(0))
read, write = os.pipe()
if os.fork() == 0:
    try:
        tensor.numpy()
        tvm.runtime.empty((4,), "float32", tvm.opencl(0))
        text = "no error"
    except Exception as error:
        text = str(error)
    del tensor  # must not wait either
    os.write(write, text.encode())
    os._exit(0)
os.close(write)
print(json.dumps({"error": os.read(read, 10000).decode()}))
"""
    assert "forked" in ask(script)["error"]
