"""Modules: the bytes they save, the kernels they launch, the errors they give, many threads at once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tvm
from handwritten import FLOAT32, FLOAT64, HANDLE, INT32, INT64, UINT8, backend, load, load_bytes, missing, serialize

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

AXPY = """// Function: axpy
__kernel void axpy(__global float* y, __global const float* x, float a, int n) {
    int i = get_global_id(0);
    if (i < n) y[i] += a * x[i];
}
"""
AXPY_KERNEL = ("axpy", [HANDLE, HANDLE, FLOAT32, INT32], ["blockIdx.x", "threadIdx.x"])

COMPILE = Path(__file__).parent / "compile_two_kernels.py"


def compile_elsewhere(stem: Path, **environment: str) -> bytes:
    command = [sys.executable, str(COMPILE), str(stem)]
    subprocess.run(command, env={**os.environ, **environment}, check=True, timeout=900)
    data = stem.with_suffix(".bytes").read_bytes()
    assert data in stem.with_suffix(".so").read_bytes()  # the exported artifact holds just these bytes
    return data


def test_saved_bytes_are_those_of_a_compiler_without_runtime(tmp_path):
    with_runtime = compile_elsewhere(tmp_path / "with")
    without = compile_elsewhere(tmp_path / "without", TVM_COMPILE_FORCE_FALLBACK="1")
    assert with_runtime == without
    module = load_bytes(with_runtime)
    assert bytes(backend("module_bytes", module)) == with_runtime
    assert module.inspect_source().startswith("// Function: main_kernel")
    assert not module.implements_function("main")
    assert module.implements_function("main_kernel_1")


@pytest.mark.parametrize("cut", [0, 1, 7, 8, 9, 10, 25, 60, -9, -1])
def test_truncated_modules_are_refused(cut):
    data = serialize(AXPY, [AXPY_KERNEL])
    with pytest.raises(RuntimeError, match="malformed OpenCL module"):
        load_bytes(data[:cut])
    with pytest.raises(RuntimeError, match="bytes too many"):
        load_bytes(data + b"x")


def test_launch_with_odd_sizes():
    axpy = load(AXPY, AXPY_KERNEL)["axpy"]
    device = tvm.opencl(0)
    rng = np.random.default_rng(0)
    for n in (1, 19, 185, 1000, 4097):
        x, y = rng.random(n, dtype="float32"), rng.random(n, dtype="float32")
        on_device = tvm.runtime.tensor(y, device)
        axpy(on_device, tvm.runtime.tensor(x, device), 0.5, n, (n + 15) // 16, 16)
        np.testing.assert_allclose(on_device.numpy(), y + 0.5 * x, rtol=1e-6)


def test_scalar_arguments_of_every_width():
    code = """// Function: scalars
    __kernel void scalars(__global double* out, int a, long b, uchar c, float d, double e) {
        out[0] = a; out[1] = b; out[2] = c; out[3] = d; out[4] = e;
    }
    """
    scalars = load(code, ("scalars", [HANDLE, INT32, INT64, UINT8, FLOAT32, FLOAT64], ["blockIdx.x"]))["scalars"]
    out = tvm.runtime.empty((5,), "float64", tvm.opencl(0))
    scalars(out, -7, -(1 << 40), 250, 0.5, 1e-300, 1)
    np.testing.assert_array_equal(out.numpy(), [-7, -(1 << 40), 250, 0.5, 1e-300])


def test_empty_grid_is_no_launch():
    axpy = load(AXPY, AXPY_KERNEL)["axpy"]
    y = tvm.runtime.tensor(np.ones(4, "float32"), tvm.opencl(0))
    axpy(y, y, 1.0, 4, 0, 16)
    np.testing.assert_array_equal(y.numpy(), np.ones(4))


def test_only_what_runs_is_built():
    code = AXPY + "// Function: broken\n__kernel void broken(__global float* a) { a[0] = not_declared; }\n"
    module = load(code, AXPY_KERNEL, ("broken", [HANDLE], ["blockIdx.x"]))
    y = tvm.runtime.tensor(np.ones(16, "float32"), tvm.opencl(0))
    module["axpy"](y, y, 1.0, 16, 1, 16)
    np.testing.assert_array_equal(y.numpy(), np.full(16, 2))
    with pytest.raises(RuntimeError) as caught:
        module["broken"](y, 1)
    message = str(caught.value)
    assert "CL_BUILD_PROGRAM_FAILURE" in message
    assert "kernel broken" in message
    assert "not_declared" in message  # the build log


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.0, 4, 1, 16), "takes 4 arguments and 2 launch extents, not 5 values"),
        (("y", 1.0, 4, 1, 1 << 20), r"CL_INVALID_WORK_GROUP_SIZE .*kernel axpy .*local size \(1048576\)"),
        ((3, 1.0, 4, 1, 16), "argument 1 of kernel axpy should be device memory"),
        (("y", "y", 4, 1, 16), "argument 2 of kernel axpy should be a number"),
        (("y", 1.0, 0.5, 1, 16), "argument 3 of kernel axpy should be an integer"),
        (("y", 1.0, 4, -1, 16), "launch extent 0 of kernel axpy"),
        (("host", 1.0, 4, 1, 16), "argument 1 of kernel axpy is a tensor that is not on an OpenCL device"),
        (("view", 1.0, 4, 1, 16), "argument 1 of kernel axpy is a view with an offset"),
    ],
)
def test_wrong_launches_say_what_is_wrong(arguments, message):
    axpy = load(AXPY, AXPY_KERNEL)["axpy"]
    y = tvm.runtime.tensor(np.ones(16, "float32"), tvm.opencl(0))
    named = {"y": y, "host": tvm.runtime.tensor(np.ones(16, "float32")), "view": y._create_view((4,), "float32", 4)}
    with pytest.raises(RuntimeError, match=message):
        axpy(y, *(named.get(one, one) if isinstance(one, str) else one for one in arguments))


def test_unknown_launch_tags_and_formats_are_refused():
    with pytest.raises(RuntimeError, match=r"tirx\.use_dyn_shared_memory"):
        load(AXPY, ("axpy", [HANDLE], ["tirx.use_dyn_shared_memory"]))["axpy"]
    with pytest.raises(RuntimeError, match='format "spv"'):
        load_bytes(serialize("...", [AXPY_KERNEL], format="spv"))["axpy"]


def test_many_threads_launch_the_same_and_different_kernels():
    """Arguments of one cl_kernel are shared state: without a lock, sums of different threads would mix."""
    names = [f"add{i}" for i in range(4)]
    code = "".join(
        f"// Function: {name}\n__kernel void {name}(__global int* y, int a) {{ y[get_global_id(0)] += a + {i}; }}\n"
        for i, name in enumerate(names)
    )
    module = load(code, *((name, [HANDLE, INT32], ["blockIdx.x", "threadIdx.x"]) for name in names))
    device, failures = tvm.opencl(0), []

    def work(seed: int) -> None:
        try:
            rng = np.random.default_rng(seed)
            y, expected = tvm.runtime.tensor(np.zeros(256, "int32"), device), 0
            for step in range(150):
                kernel, amount = int(rng.integers(len(names))), int(rng.integers(1000))
                module[names[kernel]](y, amount, 16, 16)
                expected += amount + kernel
                if step % 50 == 0:
                    tvm.runtime.empty((1000,), "float32", device).copyfrom(np.zeros(1000, "float32"))
            np.testing.assert_array_equal(y.numpy(), np.full(256, expected))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(12)]
    for thread in threads:
        thread.start()
    for _ in range(20):  # profiling switches the queue while they work; order must hold across it
        backend("profile_start", 0)
        backend("profile_stop", 0)
    for thread in threads:
        thread.join()
    assert not failures
