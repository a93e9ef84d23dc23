"""What of the backend is seen through TVM's RPC: memory, timers, and errors with their reasons."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import tvm
from handwritten import missing
from tvm import rpc

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

# A server on a port of its own choice that ends with its standard input, so that it cannot outlive this test.
SERVER = """
import sys
sys.modules["torch"] = None  # TVM would load it, which takes two seconds
from tvm import rpc
server = rpc.Server("127.0.0.1", port=9600, port_end=9700, silent=True)
print(server.port, flush=True)
sys.stdin.read()
server.terminate()
"""


@pytest.fixture(scope="module")
def remote():
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield rpc.connect("127.0.0.1", int(server.stdout.readline()), session_timeout=900)
    finally:
        server.stdin.close()
        server.wait(timeout=900)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Two kernels, linked by TVM; and the same file with a name in the OpenCL source overwritten."""
    from compile_two_kernels import Module

    file = tmp_path_factory.mktemp("rpc") / "good.so"
    built = tvm.tirx.build(Module, target=tvm.target.Target({"kind": "opencl"}, host="llvm"))
    built.export_library(str(file))
    data = file.read_bytes()
    broken = data.replace(b"  B_ptr[", b"  Z_ptr[")
    assert broken != data
    file.with_name("broken.so").write_bytes(broken)
    return file


def load(remote, file):
    remote.upload(str(file))
    return remote.load_module(file.name)


def test_rpc_runs_and_times(remote, exported):
    device = remote.device("opencl")
    module = load(remote, exported)
    a = tvm.runtime.tensor(np.arange(64, dtype="float32"), device)
    b = tvm.runtime.empty((64,), "float32", device)
    module["main"](a, b, 2, 0.5)
    np.testing.assert_array_equal(b.numpy(), (np.arange(64, dtype="float32") * 0.5 + 2) * 3)
    samples = remote.get_function("fleetpose.opencl.timer_samples")
    samples()
    assert module.time_evaluator("main", device, number=3, repeat=2)(a, b, 2, 0.5).mean > 0
    assert samples().count('"kernels":6') == 2


def test_rpc_copies_images_whole(remote):
    host = np.random.default_rng(0).random((5, 7, 4), dtype="float32")
    image = tvm.runtime.empty(host.shape, "float32", remote.device("opencl"), mem_scope="global.texture")
    image.copyfrom(host)
    np.testing.assert_array_equal(image.numpy(), host)


def test_rpc_errors_keep_their_reasons(remote, exported):
    device = remote.device("opencl")
    with pytest.raises(RuntimeError, match=r"CL_INVALID_BUFFER_SIZE|CL_MEM_OBJECT_ALLOCATION_FAILURE"):
        tvm.runtime.empty((1 << 42,), "float32", device)
    module = load(remote, exported.with_name("broken.so"))
    a = tvm.runtime.empty((64,), "float32", device)
    with pytest.raises(RuntimeError) as caught:
        module["main"](a, a, 2, 0.5)
    for part in ("CL_BUILD_PROGRAM_FAILURE", "kernel main_kernel", "Z_ptr"):
        assert part in str(caught.value)
    with pytest.raises(RuntimeError, match="CL_BUILD_PROGRAM_FAILURE"):
        module.time_evaluator("main", device, number=3, repeat=2)(a, a, 2, 0.5)
    assert remote.device("opencl").exist  # the session lives on
