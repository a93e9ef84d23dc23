"""What a Relax function is written with: its buffers, its layers' kernels, and what the manifest says of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tvm import relax

from codegen.artifact.manifest import FixedTensor, LayerCode
from codegen.kernels.workload import Kernel
from codegen.layout.assign import Layout
from models.graph.layer import Layer
from models.graph.network import Graph
from models.plans.sparsity import Sparsity, variant_text


class FunctionWriter:
    """The buffers of one Relax function while it is written: who wrote last into each."""

    def __init__(self, builder: relax.BlockBuilder, layout: Layout, dtype: str) -> None:
        self.builder, self.layout, self.dtype = builder, layout, dtype
        self.latest: dict[str, relax.Expr] = {}

    def read(self, tensor: str) -> relax.Expr:
        return self.latest[self.layout.buffers[tensor]]

    def make(self, variable: relax.GlobalVar, arguments: list, elements: int) -> relax.Expr:
        """Call a kernel that writes a buffer of its own, of so many elements, which is no tensor of the network."""
        return self.builder.emit(relax.call_tir(variable, arguments, relax.TensorType((elements,), self.dtype)))

    def write(self, tensor: str, variable: relax.GlobalVar, arguments: list) -> None:
        """Call a kernel that writes `tensor`: into a new buffer, or into its planes of one that exists."""
        buffer = self.layout.buffers[tensor]
        result = relax.TensorType((self.layout.planes[tensor].size,), self.dtype)
        if buffer in self.latest:
            last = len(arguments)
            call = relax.call_tir_inplace(variable, [*arguments, self.latest[buffer]], [last], result)
        else:
            call = relax.call_tir(variable, arguments, result)
        self.latest[buffer] = self.builder.emit(call)


@dataclass(frozen=True)
class ScheduledLayer:
    """A layer with its kernel, the module's function for it, and the names of its packed constants.

    A product that is done on weights makes so many `weights`; its reader names them among its constants as the product.
    """

    layer: Layer
    kernel: Kernel
    variable: relax.GlobalVar
    constants: list[str]
    sparsity: Sparsity | None = None
    weights: int = 0

    def codes(self) -> list[LayerCode]:
        """The layer's kernels; those that only take its tensors out of planes, and back, for themselves."""
        layer, kernel = self.layer, self.kernel
        names = kernel_names(self.variable, kernel.grids)
        first, last = kernel.borders[0], kernel.grids - kernel.borders[1]
        variant = variant_text(self.sparsity)
        code = LayerCode(
            layer.name, layer.op, kernel.schedule, kernel.note, names[first:last], layer.macs, layer.out_shape, variant
        )
        borders = {"unpack": names[:first], "pack": names[last:]}
        unpack, pack = (
            [replace(code, layer=f"{layer.name} ({op})", op=op, kernels=kernels, macs=0)] if kernels else []
            for op, kernels in borders.items()
        )
        return [*unpack, code, *pack]


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
