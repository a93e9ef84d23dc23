"""A whole network as one Relax module: every layer a call of its own kernel, at one or several input sizes.

A graph at H x W becomes the function `run_HxW`. Layers whose workloads are equal share one kernel, within a size and
across sizes; packed weights that are equal are stored once.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import tvm
from tvm import relax
from tvm.relax import VDevice
from tvm.relax._ffi_api import MakeTensorConst
from tvm_ffi import StructuralKey

from codegen.artifact.manifest import Entry, LayerCode, TensorSpec
from codegen.kernels.choice import ScheduleChoice
from codegen.kernels.workload import TEXTURE_SCOPE, Kernel, Weights, Workload
from codegen.layout.assign import Layout, assign_layout, join_copies
from codegen.lowering.target import make_target
from codegen.lowering.writing import FunctionWriter, ScheduledLayer, fixed_tensors, kernel_names
from codegen.schedules import candidates, default_choice, schedule
from codegen.schedules.move import export_kernel, import_kernel
from codegen.schedules.moving.gated_weights import make_gated_weights
from devices.profile import Profile
from fleetpose.errors import UsageError, unknown_name
from fleetpose.progress import Report, no_report
from models.graph.layer import Layer, Shape
from models.graph.network import Graph
from models.plans.sparsity import Sparsity


@dataclass
class NetworkModule:
    """What is handed to TVM's compiler, and what the manifest says of it.

    Attributes:
        module: Relax functions `run_HxW` and their kernels.
        entries: what each function contains.
        parameters: packed constants that are arguments of every function, in order; empty where weights are inside.
        textures: the constants inside that are images on the device; they want a VirtualMachine of naive memory, since
            the pooled one of TVM's runtime has buffers only.
    """

    module: tvm.IRModule
    entries: list[Entry]
    parameters: dict[str, np.ndarray] = field(default_factory=dict)
    textures: tuple[str, ...] = ()


log = logging.getLogger("codegen.lowering.network")


def function_name(shape: Shape) -> str:
    return f"run_{shape[1]}x{shape[2]}"


@dataclass(frozen=True)
class Options:
    """How a network is to be lowered, apart from what it is.

    Attributes:
        dtype: element type of activations and weights on the device; inputs and outputs stay float32.
        sparsity: the pattern of the zeros of each pruned layer, by layer name; the weights must have them.
        choose: the schedule of a workload, such as `codegen.tuning.database.Tuned.choice`; None for the default one.
        weights_inside: False makes packed weights arguments, to be stored beside the artifact.
    """

    dtype: str = "float32"
    sparsity: Mapping[str, Sparsity] = field(default_factory=dict)
    choose: Callable[[Workload, Profile], ScheduleChoice | None] = lambda *_: None
    weights_inside: bool = True


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
        self.profile, self.options, self.report = profile, options, report
        self.output_names = output_names
        self.builder = relax.BlockBuilder()
        self.functions: dict[StructuralKey, relax.GlobalVar] = {}
        self.packed: dict[str, np.ndarray] = {}
        self.stored_as: dict[tuple[str, bytes], str] = {}
        self.inside: dict[str, relax.Constant] = {}
        self.textures: set[str] = set()
        self.chosen: dict[str, ScheduleChoice] = {}
        self.target = make_target(profile)
        self.texture_memory = VDevice(self.target, 0, TEXTURE_SCOPE)

    def lower(self, graphs: Sequence[Graph]) -> NetworkModule:
        item_bytes = np.dtype(self.options.dtype).itemsize
        layouts = [assign_layout(graph, self.profile.lanes_of(self.options.dtype), item_bytes) for graph in graphs]
        # all kernels before any function: weights beside the artifact are arguments of every function
        scheduled = [self._schedule(*inputs) for inputs in zip(graphs, layouts, strict=True)]
        values = [self._values(*inputs) for inputs in zip(graphs, layouts, strict=True)]
        if self.options.weights_inside:
            self.inside = {name: self._constant(name, array) for name, array in self.packed.items()}
        functions = [self._function(*inputs) for inputs in zip(graphs, layouts, scheduled, values, strict=True)]
        module = self.builder.get()
        if self.textures:
            # the first is where everything lies that names no memory
            module.update_global_info("vdevice", [VDevice(self.target, 0, "global"), self.texture_memory])
        parameters = {} if self.options.weights_inside else self.packed
        return NetworkModule(module, functions, parameters, tuple(sorted(self.textures)))

    def _schedule(self, graph: Graph, layout: Layout) -> list[ScheduledLayer]:
        scheduled: list[ScheduledLayer] = []
        readers: dict[str, ScheduledLayer] = {}
        for layer in graph.layers:
            if layer.op == "constant":
                continue  # a parameter of the kernels that read it
            if layer.name in layout.slices:
                continue
            self.report(f"scheduling {layer.name}")
            if layer.name in layout.gates:
                product, reader = self._gated(layer, graph, layout)
                readers[reader.layer.name] = reader
                scheduled.append(product)
                continue
            if layer.name in layout.copied:
                scheduled += self._copies(layer, layout)
                if not layer.epilogue:
                    continue
            scheduled.append(readers.get(layer.name) or self._layer(layer, graph, layout))
        return scheduled

    def _layer(self, layer: Layer, graph: Graph, layout: Layout, gated: bool = False) -> ScheduledLayer:
        """A layer with its own kernel; `gated`: one whose weights can be multiplied by a gate."""
        weights = Weights(graph.weights.get(f"{layer.name}.weight"), graph.weights.get(f"{layer.name}.bias"))
        sparsity = self.options.sparsity.get(layer.name)
        workload = Workload.of(layer, layout.planes, self.options.dtype, sparsity)
        kernel = self._kernel(workload, weights, layer.name, gated)
        constants = [self._store(f"{layer.name}.{name}", array) for name, array in kernel.constants.items()]
        names = zip(constants, kernel.constants, strict=True)
        self.textures |= {stored for stored, name in names if name in kernel.textures}
        variable = self._share(workload.label, kernel.func)
        return ScheduledLayer(layer, kernel, variable, constants, sparsity)

    def _gated(self, product: Layer, graph: Graph, layout: Layout) -> tuple[ScheduledLayer, ScheduledLayer]:
        """A product that is done on weights, and the convolution that reads these in place of its own."""
        fold = layout.gates[product.name]
        reader = self._layer(graph.layer(fold.reader), graph, layout, gated=True)
        kernel = make_gated_weights(reader.kernel, layout.planes[fold.gate], self.profile, self.options.dtype)
        at = [*reader.kernel.constants].index("weight")
        constants = [reader.constants[at], self._store(f"{product.name}.place", kernel.constants["place"])]
        variable = self._share(f"gate_{reader.variable.name_hint}", kernel.func)
        layer = replace(product, inputs=(fold.gate,), in_shapes=(graph.shape(fold.gate),), epilogue=())
        item = ScheduledLayer(layer, kernel, variable, constants, weights=reader.kernel.constants["weight"].size)
        read = [*reader.constants[:at], product.name, *reader.constants[at + 1 :]]
        return item, replace(reader, constants=read)

    def _values(self, graph: Graph, layout: Layout) -> dict[str, str]:
        """Under which name each constant of a graph is kept, packed into its plane."""
        names = [layer.name for layer in graph.layers if layer.op == "constant"]
        arrays = {name: np.asarray(graph.weights[f"{name}.value"], self.options.dtype) for name in names}
        return {name: self._store(f"{name}.value", layout.planes[name].pack(array)) for name, array in arrays.items()}

    def _kernel(self, workload: Workload, weights: Weights, name: str, gated: bool = False) -> Kernel:
        try:
            kernel = schedule(workload, weights, self.profile, self._choice(workload, name))
            if gated and kernel.channels is None:
                return schedule(workload, weights, self.profile)  # the default one reads a buffer, and not an image
            if not kernel.textures or self.options.weights_inside:
                return kernel
            # arguments of a network reach it as buffers: TVM's runtime copies them into its pool
            other = schedule(workload, weights, self.profile)
            taken = f"{other.schedule} in place of {kernel.schedule}"
            log.warning("layer %s: %s, which reads weights from inside the artifact only", name, taken)
            return other
        except LookupError as error:
            raise UsageError(f"layer {name}: {error}") from error

    def _choice(self, workload: Workload, name: str) -> ScheduleChoice:
        """The schedule of a layer; at further input sizes one that packs its weights as at the first, if there is."""
        choice = self.options.choose(workload, self.profile) or default_choice(workload, self.profile)
        first = self.chosen.setdefault(name, choice)
        if choice.packing == first.packing:
            return choice
        alike = (other for other in candidates(workload, self.profile) if other.packing == first.packing)
        return next(alike, choice)

    def _copies(self, concat: Layer, layout: Layout) -> Iterator[ScheduledLayer]:
        """The members of a join that lie elsewhere, each copied into its planes of the joined buffer."""
        for layer, planes in join_copies(concat, layout):
            workload = Workload.of(layer, planes, self.options.dtype)
            kernel = self._kernel(workload, Weights(), concat.name)
            yield ScheduledLayer(layer, kernel, self._share(workload.label, kernel.func), [])

    def _share(self, label: str, func: tvm.ir.BaseFunc) -> relax.GlobalVar:
        """The module's function for a kernel: one for all that are structurally equal."""
        key = StructuralKey(func)
        if key not in self.functions:
            # only a second kernel of one label is numbered: names, and so cached programs, outlive other changes
            alike = sum(variable.name_hint.partition("__")[0] == label for variable in self.functions.values())
            name = f"{label}__{alike}" if alike else label
            self.functions[key] = self.builder.add_func(func.with_attr("global_symbol", name), name)
        return self.functions[key]

    def _store(self, name: str, array: np.ndarray) -> str:
        """Keep a packed constant, once for all input sizes that pack it alike; the name it is kept under."""
        key = (name, hashlib.sha256(array.tobytes()).digest())
        if key not in self.stored_as:
            others = sum(known == name for known, _ in self.stored_as)
            self.stored_as[key] = f"{name}.{others}" if others else name
            self.packed[self.stored_as[key]] = array
        return self.stored_as[key]

    def _constant(self, name: str, array: np.ndarray) -> relax.Expr:
        """A packed constant, to be placed in an image by the runtime where a kernel reads it as one."""
        memory = self.texture_memory if name in self.textures else None
        kind = relax.TensorType(array.shape, str(array.dtype), memory)
        return MakeTensorConst(tvm.runtime.tensor(array), kind, None)

    def _function(
        self, graph: Graph, layout: Layout, scheduled: list[ScheduledLayer], values: Mapping[str, str]
    ) -> Entry:
        name, builder = function_name(graph.input_shape), self.builder
        source = relax.Var("input", relax.TensorType((1, *graph.input_shape), "float32"))
        outside = {} if self.options.weights_inside else self.packed
        constants: dict[str, relax.Expr] = dict(self.inside) or {
            stored: relax.Var(f"p{number}", relax.TensorType(array.shape, str(array.dtype)))
            for number, (stored, array) in enumerate(outside.items())
        }
        parameters = [constants[stored] for stored in outside]
        writer = FunctionWriter(builder, layout, self.options.dtype)
        codes: list[LayerCode] = []
        with builder.function(name, [source, *parameters], attrs={"num_input": 1}):
            copy_in = import_kernel(layout.planes[graph.input], self.profile, self.options.dtype)
            variable = self._share(f"import_{_by(graph.input_shape)}{self._suffix}", copy_in.func)
            writer.write(graph.input, variable, [source])
            codes.append(LayerCode("input", "import", "import", "", kernel_names(variable, 1), 0, graph.input_shape))
            writer.latest |= {layout.buffers[name]: constants[stored] for name, stored in values.items()}
            for item in scheduled:
                arguments = [writer.read(name) for name in item.layer.inputs] + [constants[c] for c in item.constants]
                if item.weights:
                    constants[item.layer.name] = writer.make(item.variable, arguments, item.weights)
                else:
                    writer.write(item.layer.name, item.variable, arguments)
                codes += item.codes()
            outputs = [self._output(number, tensor, writer, codes) for number, tensor in enumerate(graph.outputs)]
            builder.emit_func_output(outputs[0] if len(outputs) == 1 else relax.Tuple(outputs))
        names = self.output_names or graph.outputs
        views = graph.answer.views or ((),) * len(graph.outputs)
        results = tuple(
            TensorSpec(called, (1, *graph.shape(tensor)), view=view)
            for called, tensor, view in zip(names, graph.outputs, views, strict=True)
        )
        source_spec = TensorSpec(graph.input, (1, *graph.input_shape))
        return Entry(name, source_spec, results, tuple(codes), fixed_tensors(graph))

    @property
    def _suffix(self) -> str:
        return "_half" if self.options.dtype == "float16" else ""

    def _output(self, number: int, tensor: str, writer: FunctionWriter, codes: list[LayerCode]) -> relax.Var:
        """An output of the network brought out of its plane."""
        plane = writer.layout.planes[tensor]
        variable = self._share(
            f"export_{_by(plane.shape)}{self._suffix}", export_kernel(plane, self.profile, self.options.dtype).func
        )
        names = kernel_names(variable, 1)
        codes.append(LayerCode(f"output {number}", "export", "export", "", names, 0, plane.shape))
        result = relax.TensorType((1, *plane.shape), "float32")
        return self.builder.emit(relax.call_tir(variable, [writer.read(tensor)], result))


def _by(shape: Shape) -> str:
    return "x".join(map(str, shape))
