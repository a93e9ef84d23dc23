"""What a Relax function is written with: its buffers, the calls of its kernels, and what the manifest says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tvm import relax

from codegen.artifact.manifest import FixedTensor, LayerCode
from codegen.kernels.workload import Kernel
from codegen.layout.assign import Layout
from codegen.lowering.launches.merged_function import merge_functions
from codegen.lowering.sharing import SharedCode
from codegen.lowering.spares import SpareKernel
from models.graph.layer import Layer
from models.graph.network import Graph, Widened
from models.plans.sparsity import Sparsity, variant_text


@dataclass(frozen=True)
class Tiles:
    """The transformed tiles of a tensor, which one layer's kernel hands to others.

    Attributes:
        name: among the network's tensors; elements: how many; cut: what else tells them from others of the tensor.
    """

    name: str
    elements: int
    cut: tuple


@dataclass(frozen=True)
class ScheduledLayer:
    """A layer with its kernel.

    Attributes:
        label: what the function is to be called.
        constants: names of its packed constants; a product that is done on weights is named by its reader.
        weights: how many a product that is done on weights makes.
        func, grids: the function that is called, and the kernels it launches: the kernel's own, unless others do a part
            of its work, or it one of theirs.
        gives: what it writes behind its tensor. takes: what it reads in place of its first input.
        spare: what computes its tensor where the function does not.
        widened: as in the manifest.
    """

    layer: Layer
    kernel: Kernel
    label: str
    constants: list[str]
    sparsity: Sparsity | None
    weights: int
    func: Any
    grids: int
    gives: Tiles | None = None
    takes: Tiles | None = None
    spare: SpareKernel | None = None
    widened: Widened = ""

    @classmethod
    def of(
        cls,
        layer: Layer,
        kernel: Kernel,
        label: str,
        constants: Sequence[str] = (),
        sparsity: Sparsity | None = None,
        weights: int = 0,
        widened: Widened = "",
    ) -> ScheduledLayer:
        """A layer whose kernel does its work and no other."""
        return cls(layer, kernel, label, [*constants], sparsity, weights, kernel.func, kernel.grids, widened=widened)

    def codes(self, names: tuple[str, ...], with_previous: bool = False) -> list[LayerCode]:
        """What the manifest says of the layer, whose kernels are called `names`; of those that only take its tensors
        out of planes, and back, for themselves."""
        layer, kernel = self.layer, self.kernel
        first, last = kernel.borders[0], len(names) - kernel.borders[1]
        variant = variant_text(self.sparsity)
        code = LayerCode(
            layer.name, layer.op, kernel.schedule, kernel.note, names[first:last], layer.macs, layer.out_shape, variant,
            with_previous, self.widened,
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
        arguments: what it reads; destinations: what it writes.
    """

    label: str
    func: Any
    grids: int
    arguments: Sequence[relax.Expr]
    destinations: Sequence[Destination]


class FunctionWriter:
    """The buffers of one Relax function while it is written: who wrote last into each.

    Args:
        shared: the module's kernels.
        layout, dtype: of the network's tensors.

    Attributes:
        latest: what was written last into each buffer. tiles: what layers hand to others, by name.
        emitted: how many calls there are. spares: the numbers of those that do again what the call before them did.
    """

    def __init__(self, shared: SharedCode, layout: Layout, dtype: str) -> None:
        self.shared, self.layout, self.dtype = shared, layout, dtype
        self.latest: dict[str, relax.Expr] = {}
        self.tiles: dict[str, relax.Expr] = {}
        self.emitted = 0
        self.spares: set[int] = set()

    def read(self, tensor: str) -> relax.Expr:
        return self.latest[self.layout.buffers[tensor]]

    def write(self, tensor: str, label: str, kernel: Kernel, arguments: Sequence[relax.Expr]) -> tuple[str, ...]:
        """Call one kernel that writes `tensor`; the names of what it launches."""
        call = KernelCall(label, kernel.func, kernel.grids, arguments, [self._destination(tensor)])
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
        remaining = iter(results)
        for item in items:
            if item.weights:
                constants[item.layer.name] = next(remaining)
            else:
                self.latest[self.layout.buffers[item.layer.name]] = next(remaining)
            if item.gives is not None:
                self.tiles[item.gives.name] = next(remaining)
        self._write_spares(items, constants)
        return [code for number, item in enumerate(items) for code in item.codes(names, with_previous=number > 0)]

    def _write_spares(self, items: Sequence[ScheduledLayer], constants: Mapping[str, relax.Expr]) -> None:
        """Call the second kernels of the layers of a launch, into the same tensors, where each has one.

        A layer that hands tiles on has none, since they are not its tensor; one that takes tiles reads its input then.
        """
        spares = [(item, item.spare) for item in items if item.spare and not (item.gives or item.weights)]
        if len(spares) < len(items):
            return
        for item, spare in spares:
            arguments = [*map(self.read, item.layer.inputs), *(constants[name] for name in spare.constants)]
            self.spares.add(self.emitted)
            self.call(
                [KernelCall(spare.label, spare.func, spare.grids, arguments, [self._destination(item.layer.name)])]
            )

    def _call_of(self, item: ScheduledLayer, constants: Mapping[str, relax.Expr]) -> KernelCall:
        inputs = [self.read(name) for name in item.layer.inputs]
        if item.takes is not None:
            inputs[0] = self.tiles[item.takes.name]
        destinations = [self._new(item.weights) if item.weights else self._destination(item.layer.name)]
        if item.gives is not None:
            destinations.append(self._new(item.gives.elements))
        arguments = [*inputs, *(constants[name] for name in item.constants)]
        return KernelCall(item.label, item.func, item.grids, arguments, destinations)

    def _new(self, elements: int) -> Destination:
        return Destination(relax.TensorType((elements,), self.dtype))

    def _destination(self, tensor: str) -> Destination:
        """A tensor's planes: of a new buffer, or of one that others have begun."""
        kind = relax.TensorType((self.layout.planes[tensor].size,), self.dtype)
        return Destination(kind, self.latest.get(self.layout.buffers[tensor]))

    def call(self, calls: Sequence[KernelCall]) -> tuple[list[relax.Expr], tuple[str, ...]]:
        """Call functions of equally many grids side by side; what each wrote, and the names of what is launched."""
        destinations = [destination for call in calls for destination in call.destinations]
        # parameters that exist stand before new ones
        order = sorted(range(len(destinations)), key=lambda number: destinations[number].into is None)
        written = len(calls[0].destinations)
        func = calls[0].func if len(calls) == 1 else merge_functions([call.func for call in calls], written, order)
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
        self.emitted += 1
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
