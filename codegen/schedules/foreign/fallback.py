"""Fallbacks: operators of torch without a schedule of ours, by TVM's translation and default schedules.

The first grids take the operands out of their planes, the last one brings the result into its own; what lies between
works on dense tensors. So a network has one layout but for the inside of these layers, and each border is an OpenCL
kernel with a name and a time of its own.
"""

from __future__ import annotations

from functools import lru_cache

import tvm
from tvm import relax

from codegen.kernels.builder import grid_statements
from codegen.kernels.workload import Kernel, Weights, Workload
from codegen.schedules.foreign.borders import DENSE, pack_function, unpack_function
from codegen.schedules.foreign.translate import WHOLE, ForeignKernels, foreign_kernels, merge
from codegen.schedules.rule import Rule, Unconfigured
from devices.profile import Profile

#: work-items of a work-group of TVM's kernels, at most: on a CPU a group runs on one core, so that few make it wait
GROUP = 64


def space(workload: Workload, _profile: Profile) -> list[Unconfigured]:
    return [Unconfigured()] if workload.layer.foreign is not None else []


@lru_cache(maxsize=256)
def _kernel(workload: Workload, profile: Profile) -> Kernel:
    foreign = workload.layer.foreign
    assert foreign is not None
    kernels = foreign_kernels(foreign, device_target(profile))
    func = merge(_between_borders(workload, kernels, profile)).with_attr("tirx.is_scheduled", True)
    return Kernel(func, kernels.constants, len(grid_statements(func)), borders=(len(workload.inputs), 1))


def make(workload: Workload, _weights: Weights, profile: Profile, _config: Unconfigured) -> Kernel:
    """Raises LookupError where TVM cannot translate or schedule the operator."""
    return _kernel(workload, profile)


def device_target(profile: Profile) -> tvm.target.Target:
    """What TVM's default schedules are told of a device."""
    threads = min(GROUP, profile.max_threads_per_block)
    attributes = {"max_num_threads": threads, "max_threads_per_block": threads}
    return tvm.target.Target({"kind": "opencl", **attributes, "thread_warp_size": profile.thread_warp_size})


def _between_borders(workload: Workload, kernels: ForeignKernels, profile: Profile) -> tvm.IRModule:
    """A Relax module whose `main` takes planes, calls the kernels on dense tensors, and makes planes."""
    foreign, output, dtype = workload.layer.foreign, workload.output, workload.dtype
    assert foreign is not None
    builder = relax.BlockBuilder()
    shapes = [parameter.shape for parameter in kernels.func.params]
    named = {
        f"unpack{number}": unpack_function(plane, shapes[number], profile, dtype)
        for number, plane in enumerate(workload.inputs)
    }
    unpacks = [builder.add_func(func.with_attr("global_symbol", name), name) for name, func in named.items()]
    operator = builder.add_func(kernels.func.with_attr("global_symbol", "operator"), "operator")
    pack = pack_function(output, shapes[-1], profile, dtype)
    pack = builder.add_func(pack.with_attr("global_symbol", "pack"), "pack")
    inputs = [relax.Var(f"in{n}", relax.TensorType((plane.size,), dtype)) for n, plane in enumerate(workload.inputs)]
    tables = [
        relax.Var(name, relax.TensorType(array.shape, str(array.dtype))) for name, array in kernels.constants.items()
    ]
    with builder.function(WHOLE, [*inputs, *tables]):
        with builder.dataflow():
            dense = [
                builder.emit(relax.call_tir(unpack, [plane], relax.TensorType(operand.sizes, DENSE)))
                for unpack, plane, operand in zip(unpacks, inputs, foreign.operands, strict=True)
            ]
            result = relax.call_tir(operator, [*dense, *tables], relax.TensorType(foreign.sizes, DENSE))
            result = builder.emit(result)
            planes = relax.call_tir(pack, [result], relax.TensorType((output.size,), dtype))
            planes = builder.emit_output(planes)
        builder.emit_func_output(planes)
    return builder.get()


FALLBACK = Rule("fallback", Unconfigured, space, make)
