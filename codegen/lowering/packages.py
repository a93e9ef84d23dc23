"""What was lowered as packages: whole networks, and single functions for devices that load nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import tvm

from codegen.artifact.manifest import Manifest
from codegen.lowering.network import NetworkModule
from codegen.lowering.target import make_target
from codegen.packaging.calls import CallList, read_calls
from codegen.packaging.entries import Checks
from codegen.packaging.host_calls import CompiledKernels, compile_kernels
from codegen.packaging.package import PackageWriter
from devices.profile import Profile


def compile_package(lowered: NetworkModule, profile: Profile) -> CompiledKernels:
    """The kernels of a network, as an artifact for the same device has them."""
    functions = {
        variable.name_hint: function
        for variable, function in lowered.module.functions.items()
        if isinstance(function, tvm.tirx.PrimFunc)
    }
    return compile_kernels(functions, make_target(profile))


def call_lists(lowered: NetworkModule) -> list[CallList]:
    """The calls of a network whose weights are beside it, for each of its entries."""
    names = [*lowered.parameters]
    return [
        read_calls(lowered.module[entry.name], names, lowered.spares.get(entry.name, ())) for entry in lowered.entries
    ]


def package_bytes(
    lowered: NetworkModule,
    kernels: CompiledKernels,
    manifest: Manifest | None,
    lists: Sequence[CallList],
    checks: Sequence[Checks] = (),
) -> bytes:
    """The package of a network.

    Args:
        lowered: with weights beside it. kernels: of its functions. lists: its calls, for each entry.
        manifest: what the package says of itself; None for one that is sent, run and forgotten.
        checks: for each entry, by the number of a call, what the device should compute.

    Raises:
        HostCodeError: a kernel takes another number of arguments than it is given.
    """
    writer = PackageWriter(kernels, lowered.parameters, lowered.textures)
    for entry, listed, wanted in zip(lowered.entries, lists, checks or [{}] * len(lists), strict=True):
        writer.add_entry(entry, listed, wanted)
    return writer.content(manifest)


def function_package(name: str, function: Any, target: tvm.target.Target) -> bytes:
    """A package of one scheduled TIR function, which is called with a buffer for each of its parameters.

    Args:
        target: an OpenCL target with a host.

    Raises:
        HostCodeError: the function does more on the host than to launch kernels.
    """
    writer = PackageWriter(compile_kernels({name: function}, target))
    writer.add_function(name, [_bytes_of(parameter.ty) for parameter in function.params])
    return writer.content()


def _bytes_of(buffer: Any) -> int:
    return prod(int(extent) for extent in buffer.shape) * np.dtype(str(buffer.dtype)).itemsize
