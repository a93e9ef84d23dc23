"""A whole network as one Relax module: every layer a call of its own kernel, at one or several input sizes.

A graph at H x W becomes the function `run_HxW`. Layers whose workloads are equal share one kernel, within a size and
across sizes; packed weights that are equal are stored once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import tvm
from tvm import relax
from tvm_ffi import StructuralKey

from codegen.layout import assign_planes
from codegen.manifest import Entry, LayerCode, TensorSpec
from codegen.plane import Plane
from codegen.schedules import schedule
from codegen.schedules.move import export_kernel, import_kernel
from codegen.workload import Kernel, Weights, Workload
from devices.profile import Profile
from fleetpose.errors import UsageError
from models.graph import Graph
from models.layer import Layer, Shape


@dataclass
class NetworkModule:
    """What is handed to TVM's compiler, and what the manifest says of it.

    Attributes:
        module: Relax functions `run_HxW` and their kernels.
        entries: what each function contains.
        parameters: packed constants that are arguments of every function, in order; empty where weights are inside.
    """

    module: tvm.IRModule
    entries: list[Entry]
    parameters: dict[str, np.ndarray] = field(default_factory=dict)


def function_name(shape: Shape) -> str:
    return f"run_{shape[1]}x{shape[2]}"


def lower_network(
    graphs: Sequence[Graph],
    profile: Profile,
    weights_inside: bool = True,
    output_names: Sequence[str] = (),
    progress: Callable[[str], None] = lambda message: None,
) -> NetworkModule:
    """Schedule every layer of one network traced at several input sizes.

    Args:
        graphs: the same network, one graph per input size.
        profile: the device to shape kernels for.
        weights_inside: False makes packed weights arguments, to be stored beside the artifact.
        output_names: what to call the graphs' outputs; their tensors' own names without.
        progress: told each layer's name before it is scheduled.

    Raises:
        UsageError: where a layer has no schedule, or two graphs have the same input size.
    """
    if len({graph.input_shape for graph in graphs}) != len(graphs):
        raise UsageError("the same input size is given twice")
    return _Lowering(profile, weights_inside, output_names, progress).lower(graphs)


class _Lowering:
    """Collects kernels and constants over all input sizes, then writes one Relax function per size."""

    def __init__(
        self, profile: Profile, weights_inside: bool, output_names: Sequence[str], progress: Callable[[str], None]
    ) -> None:
        self.profile, self.weights_inside, self.progress = profile, weights_inside, progress
        self.output_names = output_names
        self.builder = relax.BlockBuilder()
        self.functions: dict[StructuralKey, relax.GlobalVar] = {}
        self.packed: dict[str, np.ndarray] = {}
        self.stored_as: dict[tuple[str, bytes], str] = {}
        self.inside: dict[str, relax.Constant] = {}

    def lower(self, graphs: Sequence[Graph]) -> NetworkModule:
        planes = [assign_planes(graph, self.profile.lanes) for graph in graphs]
        # all kernels before any function: weights beside the artifact are arguments of every function
        scheduled = [self._schedule(*each) for each in zip(graphs, planes, strict=True)]
        if self.weights_inside:
            self.inside = {name: relax.const(array) for name, array in self.packed.items()}
        functions = [self._function(*each) for each in zip(graphs, planes, scheduled, strict=True)]
        return NetworkModule(self.builder.get(), functions, {} if self.weights_inside else self.packed)

    def _schedule(self, graph: Graph, planes: dict[str, Plane]) -> list[_Scheduled]:
        scheduled = []
        for layer in graph.layers:
            self.progress(layer.name)
            weights = Weights(graph.weights.get(f"{layer.name}.weight"), graph.weights.get(f"{layer.name}.bias"))
            workload = Workload.of(layer, planes)
            try:
                kernel = schedule(workload, weights, self.profile)
            except LookupError as error:
                raise UsageError(f"layer {layer.name}: {error}") from error
            constants = [self._store(f"{layer.name}.{name}", array) for name, array in kernel.constants.items()]
            scheduled.append(_Scheduled(layer, kernel, self._share(workload.label, kernel.func), constants))
        return scheduled

    def _share(self, label: str, func) -> relax.GlobalVar:
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

    def _function(self, graph: Graph, planes: dict[str, Plane], scheduled: list[_Scheduled]) -> Entry:
        name, builder = function_name(graph.input_shape), self.builder
        source = relax.Var("input", relax.TensorType((1, *graph.input_shape), "float32"))
        outside = {} if self.weights_inside else self.packed
        constants: dict[str, relax.Expr] = dict(self.inside) or {
            stored: relax.Var(f"p{number}", relax.TensorType(array.shape, str(array.dtype)))
            for number, (stored, array) in enumerate(outside.items())
        }
        parameters = [constants[stored] for stored in outside]
        codes: list[LayerCode] = []
        with builder.function(name, [source, *parameters], attrs={"num_input": 1}):
            tensors = {graph.input: self._copy("input", import_kernel, planes[graph.input], source, codes)}
            for item in scheduled:
                arguments = [tensors[name] for name in item.layer.inputs] + [constants[c] for c in item.constants]
                tensors[item.layer.name] = self._call(item.variable, arguments, (planes[item.layer.name].size,))
                codes.append(item.code())
            outputs = [
                self._copy(f"output {number}", export_kernel, planes[tensor], tensors[tensor], codes)
                for number, tensor in enumerate(graph.outputs)
            ]
            builder.emit_func_output(outputs[0] if len(outputs) == 1 else relax.Tuple(outputs))
        names = self.output_names or graph.outputs
        results = tuple(
            TensorSpec(called, (1, *graph.shape(tensor))) for called, tensor in zip(names, graph.outputs, strict=True)
        )
        return Entry(name, TensorSpec(graph.input, (1, *graph.input_shape)), results, tuple(codes))

    def _call(self, variable: relax.GlobalVar, arguments: list, shape: Sequence[int]) -> relax.Var:
        return self.builder.emit(relax.call_tir(variable, arguments, relax.TensorType(shape, "float32")))

    def _copy(self, name: str, make, plane: Plane, source: relax.Expr, codes: list[LayerCode]) -> relax.Var:
        """A call of the kernel that brings a tensor into planes (`import_kernel`) or out of them (`export_kernel`)."""
        kernel = make(plane, self.profile)
        variable = self._share(f"{kernel.schedule}_{'x'.join(map(str, plane.shape))}", kernel.func)
        codes.append(LayerCode(name, kernel.schedule, kernel.schedule, "", kernel_name(variable), 0, plane.shape))
        inward = kernel.schedule == "import"
        return self._call(variable, [source], (plane.size,) if inward else (1, *plane.shape))


@dataclass(frozen=True)
class _Scheduled:
    layer: Layer
    kernel: Kernel
    variable: relax.GlobalVar
    constants: list[str]

    def code(self) -> LayerCode:
        layer, kernel = self.layer, self.kernel
        return LayerCode(
            layer.name, layer.op, kernel.schedule, kernel.note, kernel_name(self.variable), layer.macs, layer.out_shape
        )


def kernel_name(variable: relax.GlobalVar) -> str:
    """The OpenCL kernel TVM makes of a function that holds one kernel."""
    return f"{variable.name_hint}_kernel"
