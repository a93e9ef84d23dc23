"""Run as a script, with TVM_COMPILE_FORCE_FALLBACK=1 or without: compile two kernels for OpenCL, export STEM.so, and
write the bytes the OpenCL module saves to STEM.bytes. (TVMScript wants its source in a file.)
"""

import sys

if __name__ == "__main__":
    sys.modules["torch"] = None  # which importing TVM would load, for two seconds

import tvm
import tvm_ffi
from tvm.script import ir as I
from tvm.script import tirx as T


@I.ir_module(s_tir=True)
class Module:
    @T.prim_func(s_tir=True)
    def main(A: T.Buffer((64,), "float32"), B: T.Buffer((64,), "float32"), n: T.int32, s: T.float32):
        T.func_attr({"global_symbol": "main", "tirx.noalias": True})
        for i0 in T.thread_binding(4, thread="blockIdx.x"):
            for i1 in T.thread_binding(16, thread="threadIdx.x"):
                with T.sblock("b"):
                    v = T.axis.spatial(64, i0 * 16 + i1)
                    B[v] = A[v] * s + T.Cast("float32", n)
        for i0 in T.thread_binding(2, thread="blockIdx.y"):
            for i1 in T.thread_binding(32, thread="threadIdx.x"):
                with T.sblock("d"):
                    v = T.axis.spatial(64, i0 * 32 + i1)
                    B[v] = B[v] * T.float32(3)


if __name__ == "__main__":
    stem = sys.argv[1]
    built = tvm.tirx.build(Module, target=tvm.target.Target({"kind": "opencl"}, host="llvm"))
    device_part = built.imports[0]
    assert device_part.kind == "opencl"
    built.export_library(stem + ".so")
    with open(stem + ".bytes", "wb") as file:
        file.write(bytes(tvm_ffi.get_global_func("fleetpose.opencl.module_bytes")(device_part)))
