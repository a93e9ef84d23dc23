"""Which kernels the layers of a network get, and how it is to be lowered at all (`Options`)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from codegen.kernels.choice import ScheduleChoice
from codegen.kernels.widening import widened_part
from codegen.kernels.workload import Kernel, Weights, Workload
from codegen.layout.assign import Layout, join_copies
from codegen.lowering.sharing import SharedCode
from codegen.lowering.spares import SpareKernel, spare_choice
from codegen.lowering.writing import ScheduledLayer
from codegen.schedules import candidates, default_choice, schedule
from codegen.schedules.moving.gated_weights import make_gated_weights
from devices.profile import Profile
from fleetpose.errors import UsageError
from fleetpose.progress import Report
from models.graph.layer import Layer
from models.graph.network import Graph
from models.plans.sparsity import Sparsity

log = logging.getLogger("codegen.lowering.network")


@dataclass(frozen=True)
class Options:
    """How a network is to be lowered, apart from what it is.

    Attributes:
        dtype: element type of activations and weights on the device; inputs and outputs stay float32.
        sparsity: the pattern of the zeros of each pruned layer, by layer name; the weights must have them.
        choose: the schedule of a workload, such as `codegen.tuning.database.Tuned.choice`; None for the default one.
        weights_inside: False makes packed weights arguments, to be stored beside the artifact.
        images_beside: kernels may read weights that are arguments as images; TVM's runtime passes them as buffers.
        spares: layers get a second kernel each, for devices on which the first is wrong; for packages only.
        share_launches: layers alike that do not wait for each other run in one launch, where the device is a GPU.
    """

    dtype: str = "float32"
    sparsity: Mapping[str, Sparsity] = field(default_factory=dict)
    choose: Callable[[Workload, Profile], ScheduleChoice | None] = lambda *_: None
    weights_inside: bool = True
    images_beside: bool = False
    spares: bool = False
    share_launches: bool = True


class LayerScheduler:
    """Schedules the layers of one network, at one input size after the other."""

    def __init__(self, profile: Profile, options: Options, shared: SharedCode, report: Report) -> None:
        self.profile, self.options, self.shared, self.report = profile, options, shared, report
        self.chosen: dict[str, ScheduleChoice] = {}

    def schedule(self, graph: Graph, layout: Layout) -> list[ScheduledLayer]:
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
        widened = widened_part(graph, layer, self.options.dtype)
        workload = Workload.of(layer, layout.planes, self.options.dtype, sparsity, widened)
        kernel = self._kernel(workload, weights, layer.name, gated)
        constants = self._store(layer.name, kernel)
        scheduled = ScheduledLayer.of(layer, kernel, workload.label, constants, sparsity, widened=workload.widened)
        return scheduled if gated else replace(scheduled, spare=self._spare(workload, weights, kernel, layer.name))

    def _spare(self, workload: Workload, weights: Weights, kernel: Kernel, name: str) -> SpareKernel | None:
        """The second kernel of the layer `name`, where there are to be any, and another choice for it."""
        choice = spare_choice(workload, self.profile, kernel.choice) if self.options.spares and kernel.choice else None
        if choice is None:
            return None
        other = schedule(workload, weights, self.profile, choice)
        return SpareKernel(f"{workload.label}_spare", other.func, other.grids, self._store(name, other))

    def _store(self, name: str, kernel: Kernel) -> list[str]:
        """The names that the packed constants of a kernel of the layer `name` are kept under."""
        return [
            self.shared.store(f"{name}.{part}", array, part in kernel.textures)
            for part, array in kernel.constants.items()
        ]

    def _gated(self, product: Layer, graph: Graph, layout: Layout) -> tuple[ScheduledLayer, ScheduledLayer]:
        """A product that is done on weights, and the convolution that reads these in place of its own."""
        fold = layout.gates[product.name]
        reader = self._layer(graph.layer(fold.reader), graph, layout, gated=True)
        kernel = make_gated_weights(reader.kernel, layout.planes[fold.gate], self.profile, self.options.dtype)
        at = [*reader.kernel.constants].index("weight")
        constants = [reader.constants[at], self.shared.store(f"{product.name}.place", kernel.constants["place"])]
        layer = replace(product, inputs=(fold.gate,), in_shapes=(graph.shape(fold.gate),), epilogue=())
        elements = reader.kernel.constants["weight"].size
        item = ScheduledLayer.of(layer, kernel, f"gate_{reader.label}", constants, weights=elements)
        read = [*reader.constants[:at], product.name, *reader.constants[at + 1 :]]
        return item, replace(reader, constants=read)

    def constants(self, graph: Graph, layout: Layout) -> dict[str, str]:
        """Under which name each constant of a graph is kept, packed into its plane."""
        names = [layer.name for layer in graph.layers if layer.op == "constant"]
        arrays = {name: np.asarray(graph.weights[f"{name}.value"], self.options.dtype) for name in names}
        return {
            name: self.shared.store(f"{name}.value", layout.planes[name].pack(array)) for name, array in arrays.items()
        }

    def _kernel(self, workload: Workload, weights: Weights, name: str, gated: bool = False) -> Kernel:
        try:
            kernel = schedule(workload, weights, self.profile, self._choice(workload, name))
            if gated and kernel.channels is None:
                return schedule(workload, weights, self.profile)  # the default one reads a buffer, and not an image
            if not kernel.textures or self.options.weights_inside or self.options.images_beside:
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
            yield ScheduledLayer.of(layer, kernel, workload.label)
