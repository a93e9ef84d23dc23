"""TVM as it comes: Relax import, its default pipeline for OpenCL with dlight's default GPU schedules, over RPC.

What our own schedules must beat to be worth having: same compiler, same target, same runtime and session.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import tvm
from tvm import relax
from tvm.relax.frontend.torch import from_exported_program
from tvm.runtime.vm import VirtualMachine

from benchmarks.engines.job import EngineJob, PreparedEngine
from codegen.kernels.workload import Weights
from codegen.linking.link import export_shared
from codegen.lowering.target import make_target
from devices.session import Session
from devices.timers import TimedCall
from models.graph.layer import Layer


def prepare(job: EngineJob) -> PreparedEngine:
    """The whole network, imported from torch.export."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's, of its own interface
        exported = torch.export.export(job.network, (torch.from_numpy(job.tensor),))
        module = from_exported_program(exported)
    return _load(module, job.session, job.tensor)


def stock_conv(layer: Layer, session: Session, inputs: Sequence[np.ndarray], weights: Weights) -> PreparedEngine:
    """A "conv" layer's convolution and bias, without its epilogue, as TVM schedules it by default.

    Args:
        inputs: as Layer.inputs, each (C, H, W) float32; only the first is read.
        weights: of `layer.weight_shape`.
    """
    builder = relax.BlockBuilder()
    source = relax.Var("x", relax.TensorType((1, *layer.in_shapes[0]), "float32"))
    how = {"strides": layer.stride, "padding": layer.padding, "dilation": layer.dilation, "groups": layer.groups}
    with builder.function("main", [source]):
        with builder.dataflow():
            result = builder.emit(relax.op.nn.conv2d(source, relax.const(weights.weight), **how))
            if weights.bias is not None:
                result = builder.emit(relax.op.add(result, relax.const(weights.bias.reshape(1, -1, 1, 1))))
            result = builder.emit_output(result)
        builder.emit_func_output(result)
    return _load(builder.get(), session, inputs[0][None])


def _load(module: tvm.IRModule, session: Session, tensor: np.ndarray) -> PreparedEngine:
    """Compile `main` by the default pipeline and load it with its input on the device."""
    executable = tvm.compile(module, make_target(session.profile))
    with tempfile.TemporaryDirectory(prefix="fleetpose-stock-") as folder:
        path = Path(folder) / "stock.so"
        export_shared(executable, path)
        loaded = session.load(path)
    with session.guard("loading stock TVM's code"):
        machine = VirtualMachine(loaded, session.device)
        source = tvm.runtime.tensor(np.ascontiguousarray(tensor), session.device)
        machine.set_input("main", source)
        machine.save_function("main", "timed", source, include_return=False)

    def outputs() -> list[np.ndarray]:
        with session.guard("running stock TVM's code"):
            machine.invoke_stateful("main")
            found = machine.get_outputs("main")
            return [one.numpy() for one in ([found] if hasattr(found, "numpy") else found)]

    return PreparedEngine(TimedCall(machine, entry="timed"), outputs)
