"""What a Relax function is written with: its buffers, the calls of its kernels, and what the manifest says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tvm import relax

from codegen.artifact.manifest import FixedTensor, LayerCode
from codegen.kernels.workload import Kernel
from codegen.layout.assign import Layout
from codegen.lowering.merged_function import merge_functions
from codegen.lowering.sharing import SharedCode
from models.graph.layer import Layer
from models.graph.network import Graph
from models.plans.sparsity import Sparsity, variant_text


@dataclass(frozen=True)
class ScheduledLayer:
    """A layer with its kernel, what the kernel's function is to be called, and the names of its packed constants.

    A product that is done on weights makes so many `weights`; its reader names them among its constants as the product.
    """

    layer: Layer
    kernel: Kernel
    label: str
    constants: list[str]
    sparsity: Sparsity | None = None
    weights: int = 0

    def codes(self, names: tuple[str, ...], with_previous: bool = False) -> list[LayerCode]:
        """What the manifest says of the layer, whose kernels are called `names`; of those that only take its tensors
        out of planes, and back, for themselves."""
        layer, kernel = self.layer, self.kernel
        first, last = kernel.borders[0], kernel.grids - kernel.borders[1]
        variant = variant_text(self.sparsity)
        code = LayerCode(
            layer.name, layer.op, kernel.schedule, kernel.note, names[first:last], layer.macs, layer.out_shape, variant,
            with_previous,
        )  # fmt: skip
        borders = {"unpack": names[:first], "pack": names[last:]}
        unpack, pack = (
            [replace(code, layer=f"{layer.name} ({op})", op=op, kernels=kernels, macs=0)] if kernels else []
            for op, kernels in borders.items()
        )
        return [*unpack, code, *pack]


@dataclass(frozen=True)
class Destination:
    """What a kernel writes: a tensor of a type, new, or `into` one that exists, of which the rest stays."""

    kind: relax.TensorType
    into: relax.Expr | None = None


@dataclass(frozen=True)
class KernelCall:
    """A call of a kernel's function.

    Attributes:
        label: what the function is to be called; func: the function; grids: how many kernels it launches.
        arguments: what it reads; destination: what it writes.
    """

    label: str
    func: Any
    grids: int
    arguments: Sequence[relax.Expr]
    destination: Destination


class FunctionWriter:
    """The buffers of one Relax function while it is written: who wrote last into each.

    Args:
        shared: the module's kernels.
        layout, dtype: of the network's tensors.
    """

    def __init__(self, shared: SharedCode, layout: Layout, dtype: str) -> None:
        self.shared, self.layout, self.dtype = shared, layout, dtype
        self.latest: dict[str, relax.Expr] = {}

    def read(self, tensor: str) -> relax.Expr:
        return self.latest[self.layout.buffers[tensor]]

    def write(self, tensor: str, label: str, kernel: Kernel, arguments: Sequence[relax.Expr]) -> tuple[str, ...]:
        """Call one kernel that writes `tensor`; the names of what it launches."""
        call = KernelCall(label, kernel.func, kernel.grids, arguments, self._destination(tensor))
        (self.latest[self.layout.buffers[tensor]],), names = self.call([call])
        return names

    def launch(self, items: Sequence[ScheduledLayer], constants: dict[str, relax.Expr]) -> list[LayerCode]:
        """Call the kernels of layers in one launch, or where they begin one new buffer in turn; what the manifest says.

        `constants` are packed constants by name; a product that is done on weights joins them.
        """
        fresh = [buffer for item in items if (buffer := self.layout.buffers[item.layer.name]) not in self.latest]
        if len(set(fresh)) < len(fresh):
            return [code for item in items for code in self.launch([item], constants)]
        results, names = self.call([self._call_of(item, constants) for item in items])
        for item, result in zip(items, results, strict=True):
            if item.weights:
                constants[item.layer.name] = result
            else:
                self.latest[self.layout.buffers[item.layer.name]] = result
        return [code for number, item in enumerate(items) for code in item.codes(names, with_previous=number > 0)]

    def _call_of(self, item: ScheduledLayer, constants: Mapping[str, relax.Expr]) -> KernelCall:
        arguments = [self.read(name) for name in item.layer.inputs] + [constants[name] for name in item.constants]
        weights = Destination(relax.TensorType((item.weights,), self.dtype))
        destination = weights if item.weights else self._destination(item.layer.name)
        return KernelCall(item.label, item.kernel.func, item.kernel.grids, arguments, destination)

    def _destination(self, tensor: str) -> Destination:
        """A tensor's planes: of a new buffer, or of one that others have begun."""
        kind = relax.TensorType((self.layout.planes[tensor].size,), self.dtype)
        return Destination(kind, self.latest.get(self.layout.buffers[tensor]))

    def call(self, calls: Sequence[KernelCall]) -> tuple[list[relax.Expr], tuple[str, ...]]:
        """Call functions of equally many grids side by side; what each wrote, and the names of what is launched."""
        destinations = [call.destination for call in calls]
        # parameters that exist stand before new ones
        order = sorted(range(len(calls)), key=lambda number: destinations[number].into is None)
        func = calls[0].func if len(calls) == 1 else merge_functions([call.func for call in calls], order)
        variable = self.shared.share(_merged_label([call.label for call in calls]), func)
        arguments = [argument for call in calls for argument in call.arguments]
        results = self._emit(variable, arguments, destinations)
        return results, kernel_names(variable, calls[0].grids)

    def _emit(
        self, variable: relax.GlobalVar, arguments: list[relax.Expr], destinations: Sequence[Destination]
    ) -> list[relax.Expr]:
        kinds = [destination.kind for destination in destinations]
        existing = [destination.into for destination in destinations if destination.into is not None]
        if existing:
            places = iter(range(len(arguments), len(arguments) + len(existing)))
            indices = [-1 if destination.into is None else next(places) for destination in destinations]
            call = relax.call_tir_inplace(variable, [*arguments, *existing], indices, kinds)
        else:
            call = relax.call_tir(variable, arguments, kinds)
        result = self.shared.builder.emit(call)
        if len(kinds) == 1:
            return [result]
        return [self.shared.builder.emit(relax.TupleGetItem(result, number)) for number in range(len(kinds))]


def _merged_label(labels: Sequence[str]) -> str:
    if len(labels) == 1:
        return labels[0]
    return f"{labels[0]}_x{len(labels)}" if len(set(labels)) == 1 else "_and_".join(labels)


def fixed_tensors(graph: Graph) -> tuple[FixedTensor, ...]:
    """The outputs of a network that do not depend on its input."""
    return tuple(
        FixedTensor(output.name, output.value.shape, str(output.value.dtype), tuple(output.value.ravel().tolist()))
        for output in graph.answer.fixed
    )


def kernel_names(variable: relax.GlobalVar, grids: int) -> tuple[str, ...]:
    """The OpenCL kernels TVM makes of a function of so many grids, in launch order."""
    first = f"{variable.name_hint}_kernel"
    return (first, *(f"{first}_{number}" for number in range(1, grids)))
