"""A torch module traced, lowered, compiled and run on this machine's OpenCL, compared with float64 PyTorch."""

import copy
from pathlib import Path

import numpy as np
import torch
import tvm
from torch import nn
from tvm.runtime.vm import VirtualMachine

from codegen.linking.link import export_shared
from codegen.lowering.network import Options, lower_network
from codegen.lowering.target import make_target
from devices.profile import Profile
from models.frontend.trace import trace
from models.graph.answer import apply_view
from models.graph.network import Graph

TOLERANCE = 1e-4


def run_network(
    session, graph: Graph, x: np.ndarray, folder: Path, options: Options | None = None, profile: Profile | None = None
) -> list[np.ndarray]:
    """The outputs of a graph on the session's device, from the second of two runs, whose buffers are used again; with
    kernels for another `profile` where that is given."""
    lowered = lower_network([graph], profile or session.profile, options or Options())
    path = folder / "checked.so"
    export_shared(tvm.compile(lowered.module, make_target(profile or session.profile)), path)
    machine, name = VirtualMachine(session.load(path), session.device), lowered.entries[0].name
    machine.set_input(name, tvm.runtime.tensor(x.astype(np.float32), session.device))
    for _ in range(2):
        machine.invoke_stateful(name)
    outputs = machine.get_outputs(name)
    return [output.numpy() for output in (outputs if len(lowered.entries[0].outputs) > 1 else [outputs])]


def check_network(session, module: nn.Module, shape: tuple[int, int, int], folder: Path, seed: int = 1) -> Graph:
    """Assert that a module's outputs on the device are PyTorch's in float64, to 1e-4 of the largest; its graph."""
    x = np.random.default_rng(seed).standard_normal((1, *shape)).astype(np.float32)
    graph = trace(module, shape, "checked")
    results = run_network(session, graph, x, folder)
    with torch.no_grad():
        expected = copy.deepcopy(module).double().eval()(torch.from_numpy(x).double())
    leaves = torch.utils._pytree.tree_leaves(expected)
    assert len(results) == len(leaves)
    for number, (array, leaf) in enumerate(zip(results, leaves, strict=True)):
        truth, result = leaf.numpy(), apply_view(array, graph.answer.views[number])
        assert result.shape == truth.shape, f"output {number}: {result.shape}, not {truth.shape}"
        error = np.abs(result - truth).max() / max(np.abs(truth).max(), 1e-30)
        assert error <= TOLERANCE, f"output {number}: {error:.3g} of {np.abs(truth).max():.3g}"
    return graph
