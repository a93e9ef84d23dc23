"""Runs a torch module to what its Graph gives: what artifacts are compared with, and what decoders read."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import fx, nn
from torch.export import ExportedProgram

from fleetpose.errors import UsageError, first_line
from models.frontend.exported import ProgramReader
from models.frontend.results.nesting import name_leaves
from models.frontend.trace import export_plain

log = logging.getLogger("fleetpose.models")

Runner = Callable[[torch.Tensor], list[torch.Tensor]]


def output_runner(network: nn.Module, returned: Collection[str] = (), cut: bool = False) -> Runner:
    """What runs a network in eval mode to the outputs of its Graph, each as the module shapes it.

    Args:
        returned: names of the outputs in what the module returns, as in Answer.names; none: all its tensors.
        cut: the Graph ends before the module does. Its end is then found anew for each input's size and dtype, and the
            operators up to there are run one by one.
    """
    exported = _CutNetwork(network)
    if cut:
        return exported

    def run(tensor: torch.Tensor) -> list[torch.Tensor]:
        try:
            leaves = name_leaves(network(tensor))
        except Exception as error:  # whatever a forward raises of an input's type
            # it may cast to a type of its own inside, or take bytes only; its operators take the same numbers
            if not exported.exports(tensor):
                raise
            log.debug("run as it is exported, since by itself it fails: %s", first_line(error, 200))
            return exported(tensor)
        names = returned or [name for name, leaf in leaves.items() if isinstance(leaf, torch.Tensor)]
        return [leaves[name] for name in names]

    return run


class _CutNetwork:
    """A network that is run as far as its Graph goes, all of it in the input's type."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.programs: dict[tuple[object, ...], tuple[ExportedProgram, list[fx.Node]]] = {}

    def __call__(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        return _run_nodes(*self._program(tensor), tensor)

    def exports(self, tensor: torch.Tensor) -> bool:
        """Whether the network can be exported for a tensor's size."""
        try:
            return bool(self._program(tensor))
        except UsageError:
            return False

    def _program(self, tensor: torch.Tensor) -> tuple[ExportedProgram, list[fx.Node]]:
        """The program, and the nodes that its Graph gives."""
        dtype = next((parameter.dtype for parameter in self.network.parameters()), tensor.dtype)
        key = (*tensor.shape, dtype)
        if key not in self.programs:
            _, channels, height, width = tensor.shape
            try:
                program = export_plain(self.network, (channels, height, width))
            except UsageError:
                if dtype != torch.float64:
                    raise
                program = export_plain(copy.deepcopy(self.network).float(), (channels, height, width))
            reader = ProgramReader(program, gather=True)
            reader.network()
            self.programs[key] = program, reader.results
        return self.programs[key]


def _run_nodes(program: ExportedProgram, wanted: list[fx.Node], tensor: torch.Tensor) -> list[torch.Tensor]:
    """The tensors that nodes of a program make of an input, whose type all floating-point numbers have."""
    held = {**program.constants, **program.state_dict}
    values = {
        spec.arg.name: _cast(held[spec.target], tensor) if spec.target is not None else tensor
        for spec in program.graph_signature.input_specs
    }
    missing = {node.name for node in wanted}
    for node in program.graph.nodes:
        if node.op == "call_function" and node.users:
            arguments, named = fx.map_arg((node.args, node.kwargs), lambda argument: values[argument.name])
            if getattr(named.get("dtype"), "is_floating_point", False):
                named = {**named, "dtype": tensor.dtype}
            values[node.name] = node.target(*arguments, **named)
        missing.discard(node.name)
        if not missing:
            break
    return [values[node.name] for node in wanted]


def _cast(value: Any, like: torch.Tensor) -> Any:
    """A weight or constant in the type of a tensor, if it is of floating point."""
    return value.to(like.dtype) if isinstance(value, torch.Tensor) and value.is_floating_point() else value
