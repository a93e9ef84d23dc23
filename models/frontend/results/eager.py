"""Runs a torch module to what its Graph gives: what artifacts are compared with, and what decoders read."""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch
from torch import fx, nn
from torch.export import ExportedProgram

from models.frontend.exported import ProgramReader
from models.frontend.results.nesting import name_leaves
from models.frontend.trace import export_plain

Runner = Callable[[torch.Tensor], list[torch.Tensor]]


def output_runner(network: nn.Module, returned: Collection[str] = (), cut: bool = False) -> Runner:
    """What runs a network in eval mode to the outputs of its Graph, each as the module shapes it.

    Args:
        returned: names of the outputs in what the module returns, as in Answer.names; none: all its tensors.
        cut: the Graph ends before the module does. Its end is then found anew for each input's size and dtype, and the
            operators up to there are run one by one.
    """
    if cut:
        return _CutNetwork(network)

    def run(tensor: torch.Tensor) -> list[torch.Tensor]:
        leaves = name_leaves(network(tensor))
        names = returned or [name for name, leaf in leaves.items() if isinstance(leaf, torch.Tensor)]
        return [leaves[name] for name in names]

    return run


class _CutNetwork:
    """A network that is run as far as its Graph goes."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.programs: dict[tuple[object, ...], tuple[ExportedProgram, list[fx.Node]]] = {}

    def __call__(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        dtype = next((parameter.dtype for parameter in self.network.parameters()), tensor.dtype)
        key = (*tensor.shape, dtype)
        if key not in self.programs:
            _, channels, height, width = tensor.shape
            program = export_plain(self.network, (channels, height, width))
            reader = ProgramReader(program, gather=True)
            reader.network()
            self.programs[key] = program, reader.results
        return _run_nodes(*self.programs[key], tensor)


def _run_nodes(program: ExportedProgram, wanted: list[fx.Node], tensor: torch.Tensor) -> list[torch.Tensor]:
    """The tensors that nodes of a program make of an input."""
    held = {**program.constants, **program.state_dict}
    values = {
        spec.arg.name: held[spec.target] if spec.target is not None else tensor
        for spec in program.graph_signature.input_specs
    }
    missing = {node.name for node in wanted}
    for node in program.graph.nodes:
        if node.op == "call_function":
            arguments, named = fx.map_arg((node.args, node.kwargs), lambda argument: values[argument.name])
            values[node.name] = node.target(*arguments, **named)
        missing.discard(node.name)
        if not missing:
            break
    return [values[node.name] for node in wanted]
