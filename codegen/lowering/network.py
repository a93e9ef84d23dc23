"""A whole network as one Relax module: every layer a call of its own kernel, at one or several input sizes.

A graph at H x W becomes the function `run_HxW`. Layers whose workloads are equal share one kernel, within a size and
across sizes; packed weights that are equal are stored once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import tvm
from tvm import relax
from tvm.relax import VDevice

from codegen.artifact.manifest import Entry, LayerCode, TensorSpec, entry_name
from codegen.kernels.choice import ScheduleChoice
from codegen.layout.assign import Layout, assign_layout
from codegen.lowering.launches.chained_layers import chain_layers
from codegen.lowering.launches.shared_launches import MOST_TOGETHER, share_launches
from codegen.lowering.scheduling import LayerScheduler, Options
from codegen.lowering.sharing import SharedCode
from codegen.lowering.target import make_target
from codegen.lowering.writing import Destination, FunctionWriter, KernelCall, ScheduledLayer, fixed_tensors
from codegen.schedules.move import export_kernel, import_kernel
from devices.profile import Profile
from fleetpose.errors import UsageError, unknown_name
from fleetpose.progress import Report, no_report
from models.graph.layer import Shape
from models.graph.network import Graph

__all__ = ["NetworkModule", "Options", "function_name", "lower_network"]


@dataclass
class NetworkModule:
    """What is handed to TVM's compiler, and what the manifest says of it.

    Attributes:
        module: Relax functions `run_HxW` and their kernels.
        entries: what each function contains.
        parameters: packed constants that are arguments of every function, in order; empty where weights are inside.
        textures: the constants inside that are images on the device; they want a VirtualMachine of naive memory, since
            the pooled one of TVM's runtime has buffers only.
        spares: by entry the numbers of the calls that do again what the call before them did, by second kernels.
    """

    module: tvm.IRModule
    entries: list[Entry]
    parameters: dict[str, np.ndarray] = field(default_factory=dict)
    textures: tuple[str, ...] = ()
    dtype: str = "float32"
    choices: Mapping[str, ScheduleChoice] = field(default_factory=dict)
    spares: Mapping[str, frozenset[int]] = field(default_factory=dict)


def function_name(shape: Shape) -> str:
    """The Relax function of a network with inputs (C, H, W)."""
    return entry_name(shape[1], shape[2])


def lower_network(
    graphs: Sequence[Graph],
    profile: Profile,
    options: Options = Options(),
    output_names: Sequence[str] = (),
    report: Report = no_report,
) -> NetworkModule:
    """Schedule every layer of one network traced at several input sizes.

    Args:
        graphs: the same network, one graph per input size.
        profile: the device to shape kernels for.
        options: see `Options`.
        output_names: what to call the graphs' outputs; by default their tensors' own names.
        report: told each layer before it is scheduled.

    Raises:
        UsageError: where a layer has no schedule, two graphs have the same input size, `options.sparsity` names a
            layer that is not there, or the device does not compute in `options.dtype`.
    """
    if len({graph.input_shape for graph in graphs}) != len(graphs):
        raise UsageError("the same input size is given twice")
    for name in options.sparsity:
        for graph in graphs:
            if name not in (names := [layer.name for layer in graph.layers]):
                raise unknown_name("layer", name, names)
    return _Lowering(profile, options, output_names, report).lower(graphs)


class _Lowering:
    """Collects kernels and constants over all input sizes, then writes one Relax function per size."""

    def __init__(self, profile: Profile, options: Options, output_names: Sequence[str], report: Report) -> None:
        self.profile, self.options = profile, options
        self.output_names = output_names
        self.builder, self.target = relax.BlockBuilder(), make_target(profile)
        self.shared = SharedCode(self.builder, self.target)
        self.scheduler = LayerScheduler(profile, options, self.shared, report)
        self.inside: dict[str, relax.Expr] = {}
        self.spares: dict[str, frozenset[int]] = {}

    def lower(self, graphs: Sequence[Graph]) -> NetworkModule:
        item_bytes = np.dtype(self.options.dtype).itemsize
        layouts = [assign_layout(graph, self.profile.lanes_of(self.options.dtype), item_bytes) for graph in graphs]
        # all kernels before any function: weights beside the artifact are arguments of every function
        scheduled = [self.scheduler.schedule(*inputs) for inputs in zip(graphs, layouts, strict=True)]
        values = [self.scheduler.constants(*inputs) for inputs in zip(graphs, layouts, strict=True)]
        if self.options.weights_inside:
            self.inside = {name: self.shared.constant(name, array) for name, array in self.shared.packed.items()}
        functions = [self._function(*inputs) for inputs in zip(graphs, layouts, scheduled, values, strict=True)]
        module = self.builder.get()
        if self.shared.textures:
            # the first is where everything lies that names no memory
            module.update_global_info("vdevice", [VDevice(self.target, 0, "global"), self.shared.texture_memory])
        parameters = {} if self.options.weights_inside else self.shared.packed
        choices = {item.layer.name: item.kernel.choice for size in scheduled for item in size if item.kernel.choice}
        textures = tuple(sorted(self.shared.textures))
        return NetworkModule(module, functions, parameters, textures, self.options.dtype, choices, self.spares)

    def _function(
        self, graph: Graph, layout: Layout, scheduled: list[ScheduledLayer], values: Mapping[str, str]
    ) -> Entry:
        name, builder = function_name(graph.input_shape), self.builder
        source = relax.Var("input", relax.TensorType((1, *graph.input_shape), "float32"))
        outside = {} if self.options.weights_inside else self.shared.packed
        constants: dict[str, relax.Expr] = dict(self.inside) or {
            stored: relax.Var(f"p{number}", relax.TensorType(array.shape, str(array.dtype)))
            for number, (stored, array) in enumerate(outside.items())
        }
        parameters = [constants[stored] for stored in outside]
        writer = FunctionWriter(self.shared, layout, self.options.dtype)
        with builder.function(name, [source, *parameters], attrs={"num_input": 1}):
            copy_in = import_kernel(layout.planes[graph.input], self.profile, self.options.dtype)
            kernels = writer.write(graph.input, f"import_{_by(graph.input_shape)}{self._suffix}", copy_in, [source])
            codes = [LayerCode("input", "import", "import", "", kernels, 0, graph.input_shape)]
            writer.latest |= {layout.buffers[name]: constants[stored] for name, stored in values.items()}
            for items in self._launches(scheduled, graph, layout):
                codes += writer.launch(items, constants)
            outputs, copies = self._outputs(graph.outputs, writer)
            self.spares[name] = frozenset(writer.spares)
            builder.emit_func_output(outputs[0] if len(outputs) == 1 else relax.Tuple(outputs))
        names = self.output_names or graph.outputs
        views = graph.answer.views or ((),) * len(graph.outputs)
        results = tuple(
            TensorSpec(called, (1, *graph.shape(tensor)), view=view)
            for called, tensor, view in zip(names, graph.outputs, views, strict=True)
        )
        source_spec = TensorSpec(graph.input, (1, *graph.input_shape))
        return Entry(name, source_spec, results, (*codes, *copies), fixed_tensors(graph))

    @property
    def _shares_launches(self) -> bool:
        """A CPU starts a kernel in a few microseconds, and one layer keeps its cores busy."""
        return self.options.share_launches and self.profile.gpu != "cpu"

    @property
    def _suffix(self) -> str:
        return "_half" if self.options.dtype == "float16" else ""

    def _launches(
        self, scheduled: list[ScheduledLayer], graph: Graph, layout: Layout
    ) -> Sequence[tuple[ScheduledLayer, ...]]:
        """The layers of each launch, in order."""
        if not self._shares_launches:
            return [(item,) for item in scheduled]
        return share_launches(chain_layers(scheduled, self.profile), graph, layout)

    def _outputs(self, tensors: Sequence[str], writer: FunctionWriter) -> tuple[list[relax.Expr], list[LayerCode]]:
        """The outputs of the network brought out of their planes, and the copies that do."""
        together = MOST_TOGETHER if self._shares_launches else 1
        outputs: list[relax.Expr] = []
        codes: list[LayerCode] = []
        for first in range(0, len(tensors), together):
            part = tensors[first : first + together]
            results, kernels = writer.call([self._copy_out(tensor, writer) for tensor in part])
            outputs += results
            shapes = [writer.layout.planes[tensor].shape for tensor in part]
            codes += [
                LayerCode(f"output {first + at}", "export", "export", "", kernels, 0, shape, with_previous=at > 0)
                for at, shape in enumerate(shapes)
            ]
        return outputs, codes

    def _copy_out(self, tensor: str, writer: FunctionWriter) -> KernelCall:
        plane = writer.layout.planes[tensor]
        kernel = export_kernel(plane, self.profile, self.options.dtype)
        result = Destination(relax.TensorType((1, *plane.shape), "float32"))
        return KernelCall(f"export_{_by(plane.shape)}{self._suffix}", kernel.func, 1, [writer.read(tensor)], [result])


def _by(shape: Shape) -> str:
    return "x".join(map(str, shape))
