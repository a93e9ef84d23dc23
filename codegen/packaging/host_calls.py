"""What TVM's host code does for a function: the kernels it launches, in which order, on which of its arguments.

An artifact has this as machine code. It never depends on data: which kernel, which buffers and how many work-items are
all known when the function is compiled, so that a list says it as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import tvm
from tvm.tirx.build import split_host_device_mods

from fleetpose.errors import FleetposeError

#: what TVM puts before the names of functions that take packed arguments
_PREFIX = "__tvm_ffi_"
_DATA_OF_STRUCT, _ARGUMENT_OF_CALL = 1, 15


class HostCodeError(FleetposeError):
    """TVM's host code does something else than to launch kernels on its arguments; the text says what to do."""

    exit_status = 1

    def __init__(self, fault: str) -> None:
        super().__init__(f"{fault}; build an artifact in its place (--format artifact)")


@dataclass(frozen=True)
class Scratch:
    """Memory that a function's kernels hand to each other. number: among the function's own; bytes: its size."""

    number: int
    bytes: int


@dataclass(frozen=True)
class KernelLaunch:
    """One launch of a kernel.

    Attributes:
        kernel: its name.
        operands: what it is given, in its own order: the number of an argument of the function, or scratch memory.
        groups: work-groups along x, y and z; local: work-items of a group along them.
    """

    kernel: str
    operands: tuple[int | Scratch, ...]
    groups: tuple[int, int, int]
    local: tuple[int, int, int]


@dataclass(frozen=True)
class CompiledKernels:
    """What TVM makes of functions.

    Attributes:
        source: the OpenCL C of all kernels, as in an artifact.
        launches: of each function, by its name.
    """

    source: str
    launches: Mapping[str, tuple[KernelLaunch, ...]]


def compile_kernels(functions: Mapping[str, Any], target: tvm.target.Target) -> CompiledKernels:
    """Compile scheduled functions as `tvm.compile` does, without the host's machine code.

    Args:
        functions: TIR functions by name.
        target: an OpenCL target with a host.

    Raises:
        HostCodeError: a function does more on the host than to launch kernels.
    """
    pipeline, _, finish_device = tvm.tirx.get_default_tir_pipeline(target)
    module = pipeline(tvm.tirx.transform.BindTarget(target)(tvm.IRModule(dict(functions))))
    host, devices = split_host_device_mods(module)
    (device,) = devices.values()
    source = tvm.get_global_func("target.build.opencl")(finish_device()(device), target).inspect_source()
    launches = {
        name: _HostFunction(name).read(function.body)
        for variable, function in host.functions.items()
        if (name := variable.name_hint.removeprefix(_PREFIX)) in functions
    }
    return CompiledKernels(source, launches)


class _HostFunction:
    """Reads the statements of one host function in order, and keeps where each of its buffers comes from."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.handles: dict[Any, int] = {}
        self.buffers: dict[Any, int | Scratch] = {}
        self.scratches = 0
        self.launches: list[KernelLaunch] = []

    def read(self, body: Any) -> tuple[KernelLaunch, ...]:
        self._statement(body)
        return tuple(self.launches)

    def _statement(self, statement: Any) -> None:
        kind = type(statement).__name__
        reader = getattr(self, f"_read_{kind}", None)
        if reader is None:
            raise HostCodeError(f"the host code of {self.name} has a {kind}, which a list of launches cannot say")
        reader(statement)

    def _read_SeqStmt(self, statement: Any) -> None:
        for part in statement:
            self._statement(part)

    def _read_AttrStmt(self, statement: Any) -> None:
        self._statement(statement.body)

    def _read_AssertStmt(self, _: Any) -> None:
        """Checks of arguments, which are right by construction."""

    _read_Return = _read_AssertStmt

    def _read_IfThenElse(self, statement: Any) -> None:
        """Only checks stand under conditions: of strides, where there are any."""
        for part in (statement.then_case, statement.else_case):
            if part is not None and type(part).__name__ not in ("AssertStmt", "SeqStmt"):
                raise HostCodeError(f"the host code of {self.name} launches kernels on a condition")

    def _read_Bind(self, statement: Any) -> None:
        numbers = [
            int(call.args[1])
            for call in _calls_in(statement.value)
            if call.op.name == "tirx.tvm_struct_get" and int(call.args[2]) == _ARGUMENT_OF_CALL
        ]
        if numbers:
            self.handles[statement.var] = numbers[0]

    def _read_DeclBuffer(self, statement: Any) -> None:
        for call in _calls_in(statement.data):
            if call.op.name == "tirx.buffer_data":
                self.buffers[statement.buffer] = self.buffers[call.args[0]]
                return
            if call.op.name == "tirx.tvm_struct_get" and int(call.args[2]) == _DATA_OF_STRUCT:
                self.buffers[statement.buffer] = self.handles[call.args[0]]
                return
        raise HostCodeError(f"the host code of {self.name} has a buffer of unknown origin, {statement.buffer.name}")

    def _read_AllocBuffer(self, statement: Any) -> None:
        buffer = statement.buffer
        size = prod(int(extent) for extent in buffer.shape) * np.dtype(str(buffer.dtype)).itemsize
        self.buffers[buffer] = Scratch(self.scratches, size)
        self.scratches += 1

    def _read_Evaluate(self, statement: Any) -> None:
        call = statement.value
        name = call.op.name
        if name == "tirx.tvm_call_packed" and str(call.args[0]).strip('"') == "__tvm_set_device":
            return
        if name != "tirx.call_ffi_kernel":
            raise HostCodeError(f"the host code of {self.name} calls {name}, which a list of launches cannot say")
        tags = [str(tag) for tag in call.attrs.launch_params]
        operands, extents = call.args[1 : len(call.args) - len(tags)], call.args[len(call.args) - len(tags) :]
        sizes = dict(zip(tags, map(int, extents), strict=True))
        groups, local = (tuple(sizes.pop(f"{kind}.{axis}", 1) for axis in "xyz") for kind in ("blockIdx", "threadIdx"))
        if sizes:
            raise HostCodeError(f"the host code of {self.name} launches by {', '.join(sizes)}")
        given = tuple(self.buffers[operand.args[0]] for operand in operands)
        self.launches.append(KernelLaunch(call.args[0].value, given, groups, local))  # type: ignore[arg-type]


def _calls_in(expression: Any) -> list[Any]:
    """The calls in an expression, outermost first."""
    if type(expression).__name__ != "Call":
        return []
    return [expression, *(call for operand in expression.args for call in _calls_in(operand))]
