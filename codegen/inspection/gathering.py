"""Every kernel launch of a network, or of one layer, with its source: what there is to inspect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import tvm

from codegen.inspection.counting import alternatives, multiply_adds, parts_of
from codegen.inspection.launches import Launch, LayerLaunches, kept_macs, kind_of
from codegen.inspection.sources import KernelSource, split_kernels
from codegen.kernels.builder import grid_statements
from codegen.kernels.choice import ScheduleChoice
from codegen.kernels.workload import Workload
from codegen.linking.link import opencl_source
from codegen.lowering.layer import ENTRY, compile_layer, random_operands
from codegen.lowering.network import Options, lower_network
from codegen.lowering.target import make_target
from devices.profile import Profile
from fleetpose.progress import Report, no_report
from models.graph.network import Graph
from models.plans.sparsity import variant_text


def launches_of_network(
    graph: Graph, profile: Profile, options: Options, report: Report = no_report
) -> list[LayerLaunches]:
    """The launches of an inference at one input size, in order.

    Raises UsageError as `codegen.lowering.network.lower_network` does.
    """
    lowered = lower_network([graph], profile, options, report=report)
    functions = {
        variable.name_hint: function
        for variable, function in lowered.module.functions.items()
        if isinstance(function, tvm.tirx.PrimFunc)
    }
    report("generating OpenCL")
    module = tvm.tirx.build(tvm.IRModule(functions), target=make_target(profile))
    known = _known_launches(functions, split_kernels(opencl_source(module)))
    layers = {layer.name: layer for layer in graph.layers}
    return [
        LayerLaunches(
            code.layer,
            kind_of(layers.get(code.layer), code.schedule),
            code.schedule,
            code.tile,
            code.variant,
            kept_macs(layers.get(code.layer), code.macs, code.variant),
            tuple(known[name] for name in code.kernels),
            code.with_previous,
            code.widened,
        )
        for code in lowered.entries[0].layers
    ]


def launches_of_layer(
    workload: Workload, profile: Profile, choice: ScheduleChoice | None = None, name: str = "layer"
) -> LayerLaunches:
    """The launches of one workload outside any network, by a choice or by the default one.

    Raises:
        UsageError: no schedule answers. ValueError: the choice is not legal for the workload.
    """
    _, weights = random_operands(workload.layer, 0)
    compiled = compile_layer(workload, weights.pruned(workload.sparsity), profile, choice=choice)
    kernel, layer = compiled.kernel, workload.layer
    known = _known_launches({ENTRY: kernel.func}, split_kernels(opencl_source(compiled.module)))
    variant = variant_text(workload.sparsity)
    macs = kept_macs(layer, layer.macs, variant)
    kind = kind_of(layer, kernel.schedule)
    launches = tuple(known.values())
    return LayerLaunches(name, kind, kernel.schedule, kernel.note, variant, macs, launches, widened=workload.widened)


def _known_launches(functions: Mapping[str, Any], sources: Mapping[str, KernelSource]) -> dict[str, Launch]:
    """The launch of each kernel, by name: a function's grids become kernels NAME_kernel, NAME_kernel_1, ..."""
    launches = {}
    for name, function in functions.items():
        images = _images(function)
        for number, statement in enumerate(grid_statements(function)):
            kernel = f"{name}_kernel" + (f"_{number}" if number else "")
            counts = multiply_adds(statement), alternatives(statement)
            launches[kernel] = Launch(kernel, sources[kernel], *grid_size(statement), images, *counts)
    return launches


def _images(function: Any) -> tuple[tuple[int, int], ...]:
    """(width, height) of the arguments of a function that are images: (rows, columns, texel) arrays."""
    textures = [buffer for buffer in function.params if "texture" in buffer.scope()]
    return tuple((int(buffer.shape[1]), int(buffer.shape[0])) for buffer in textures)


def grid_size(statement: Any) -> tuple[int, int]:
    """(work-items of a group, groups) of a grid of a scheduled function."""
    extents = dict(_bound_loops(statement))
    items, groups = (
        prod(extent for tag, extent in extents.items() if tag.startswith(axis)) for axis in ("threadIdx", "blockIdx")
    )
    return items, groups


def _bound_loops(statement: Any) -> Iterator[tuple[str, int]]:
    """The axis and the extent of each loop below a statement that is spread over work-items or groups."""
    if isinstance(statement, tvm.tirx.For) and statement.thread_binding is not None:
        yield statement.thread_binding.thread_tag, int(statement.extent)
    for part in parts_of(statement):
        yield from _bound_loops(part)
