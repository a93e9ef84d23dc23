"""One layer, compiled and loaded by itself: what tuning, tests and the latency model's collection measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tvm

from codegen.kernels.choice import ScheduleChoice
from codegen.kernels.workload import TEXTURE_SCOPE, Kernel, Weights, Workload
from codegen.layout.assign import border_read
from codegen.layout.plane import Plane
from codegen.linking.hosts import AGENT
from codegen.linking.link import export_shared, opencl_source
from codegen.lowering.hosts import artifact_suffix
from codegen.lowering.packages import function_package
from codegen.lowering.target import make_target
from codegen.schedules import schedule
from devices.profile import Profile
from devices.session import Session
from fleetpose.disk.temporaries import WorkFolder
from fleetpose.errors import UsageError
from models.graph.layer import Layer
from models.graph.network import Widened
from models.plans.sparsity import Sparsity
from runtime.package_format import SOURCES, read_sections

ENTRY = "layer"


@dataclass(frozen=True)
class CompiledLayer:
    """A layer's kernels as a module with one function, `layer(inputs..., constants..., output)`.

    Attributes:
        module: what TVM compiled, or, for the agent, a package's bytes.
        host: what loads it, one of codegen.linking.hosts.LOADERS.
    """

    workload: Workload
    kernel: Kernel
    module: Any
    host: str = "native"

    @property
    def source(self) -> str:
        """The OpenCL C of its kernels."""
        return read_sections(self.module)[SOURCES].decode() if self.host == AGENT else opencl_source(self.module)

    def export(self, path: Path, linker: str = "lld") -> None:
        """Write it, as a shared object or a package."""
        if self.host == AGENT:
            path.write_bytes(self.module)
        else:
            export_shared(self.module, path, self.host, linker)


def standalone_planes(
    layer: Layer,
    lanes: int,
    border: tuple[int, int] = (0, 0),
    dtype: str = "float32",
    sparsity: Sparsity | None = None,
    widened: Widened = "",
) -> Workload:
    """The workload of a layer outside any network: inputs with the borders it reads, an output with `border`."""
    item_bytes = np.dtype(dtype).itemsize
    planes = {
        name: Plane(*shape, border=border_read(layer) if number == 0 else (0, 0), lanes=lanes, item_bytes=item_bytes)
        for number, (name, shape) in enumerate(zip(layer.inputs, layer.in_shapes, strict=True))
    }
    if layer.op == "concat":
        planes = {name: replace(plane, border=border) for name, plane in planes.items()}
    planes[layer.name] = Plane(*layer.out_shape, border=border, lanes=lanes, item_bytes=item_bytes)
    return Workload.of(layer, planes, dtype, sparsity, widened)


def random_operands(layer: Layer, seed: int) -> tuple[list[np.ndarray], Weights]:
    """Standard normal float32 inputs (C, H, W), and weights that keep a convolution's results of that size."""
    random = np.random.default_rng(seed)

    def normal(shape: tuple[int, ...], scale: float = 1.0) -> np.ndarray:
        return (random.standard_normal(shape) / scale).astype(np.float32)

    inputs = [normal(shape) for shape in layer.in_shapes]
    if layer.foreign is not None:
        whole = [operand.dtype != "float32" for operand in layer.foreign.operands]
        # every tensor has a position 0, and nothing may read beyond one
        return [np.zeros_like(x) if indices else x for x, indices in zip(inputs, whole, strict=True)], Weights()
    if layer.reduction is not None and layer.reduction.affine:
        shape = layer.reduction.affine_shape(layer.out_shape)
        return inputs, Weights(normal(shape), normal(shape))
    if layer.op != "conv":
        return inputs, Weights()
    weight = normal(layer.weight_shape, float(np.sqrt(np.prod(layer.weight_shape[1:]))))
    return inputs, Weights(weight, normal(layer.out_shape[:1]) if layer.bias else None)


def compile_layer(
    workload: Workload, weights: Weights, profile: Profile, host: str = "native", choice: ScheduleChoice | None = None
) -> CompiledLayer:
    """Schedule (by `choice`, or the default) and compile one workload.

    Raises:
        UsageError: no schedule answers. ValueError: the choice is not legal for the workload.
    """
    try:
        kernel = schedule(workload, weights, profile, choice)
    except LookupError as error:
        raise UsageError(str(error)) from error
    function = kernel.func.with_attr("global_symbol", ENTRY)  # type: ignore[attr-defined]
    return CompiledLayer(workload, kernel, compile_function(function, make_target(profile, host), host), host)


def compile_function(function: Any, target: tvm.target.Target, host: str) -> Any:
    """A scheduled TIR function, whose global symbol is ENTRY, as `CompiledLayer.module` has it."""
    if host == AGENT:
        return function_package(ENTRY, function, target)
    return tvm.tirx.build(tvm.IRModule({ENTRY: function}), target=target)


class LoadedLayer:
    """A compiled layer on a device, with its constants uploaded.

    Args:
        compiled: the layer; its host must be the session's.
        session: an open device session.
    """

    def __init__(self, compiled: CompiledLayer, session: Session) -> None:
        self.compiled, self.session = compiled, session
        with WorkFolder() as folder:
            path = folder / f"layer{artifact_suffix(compiled.host)}"
            compiled.export(path)
            self.module = session.load(path)
        kernel = compiled.kernel
        self._constants = [self._upload(array, name in kernel.textures) for name, array in kernel.constants.items()]

    def _upload(self, array: np.ndarray, texture: bool = False) -> Any:
        scope = TEXTURE_SCOPE if texture else None
        with self.session.guard("sending a layer's tensors"):
            return tvm.runtime.tensor(np.ascontiguousarray(array), self.session.device, mem_scope=scope)

    def arguments(self, inputs: Sequence[np.ndarray]) -> list:
        """Device tensors for a call: `inputs` (C, H, W) packed into planes, constants, and an output full of NaN.

        Whatever the kernel fails to write, borders included, is seen as NaN.
        """
        workload = self.compiled.workload
        planes = [
            plane.pack(array.astype(workload.dtype)) for plane, array in zip(workload.inputs, inputs, strict=True)
        ]
        garbage = np.full(workload.output.size, np.nan, workload.dtype)
        return [*map(self._upload, planes), *self._constants, self._upload(garbage)]

    def run(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """The output's flat buffer; `workload.output.unpack` makes it (C, H, W)."""
        arguments = self.arguments(inputs)
        with self.session.guard("running the layer"):
            self.module[ENTRY](*arguments)
            return arguments[-1].numpy()

    def call_arguments(self, inputs: Sequence[np.ndarray]) -> dict[str, Any]:
        """What `devices.timing.measure.measure` is to be given to time the layer on `inputs`."""
        return {"function": self.module, "args": self.arguments(inputs), "entry": ENTRY}
