"""One definition traced, and its graph in float64 beside the module itself in float64."""

from __future__ import annotations

import copy
import logging
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from fleetpose.errors import UsageError, first_line
from models.frontend.results.eager import output_runner
from models.frontend.trace import trace
from models.graph.network import Graph
from models.graph.reference import run_graph
from tests.zoo.checking import largest_error

log = logging.getLogger("benchmarks.definitions")

#: differences from PyTorch in float64, over the largest magnitude, from which on a network counts as another
EQUAL = 1e-6


@dataclass(frozen=True)
class Definition:
    """A network that a package defines: `make` builds it with random weights, its input has `shape`, (C, H, W)."""

    name: str
    make: Callable[[], nn.Module]
    shape: tuple[int, int, int]


@dataclass
class DefinitionRow:
    """What came of a definition.

    Attributes:
        package, version: what defines it.
        network, size: its name in the package, the input's height x width.
        state: "equal", "traced" where it was not compared, "differs", "refused", "crashed" where tracing fails without
            a word, or "not made" where the package itself fails.
        layers: how many fused layers there are; empty where it is not traced.
        error: largest difference from PyTorch in float64, over the largest magnitude; empty where there is none.
        cuts: how many operators it is cut before.
        reason: why it is not equal.
    """

    package: str
    version: str
    network: str
    size: str
    state: str = ""
    layers: str = ""
    error: str = ""
    cuts: str = ""
    reason: str = ""


def examine(row: DefinitionRow, definition: Definition, compare: bool = True) -> None:
    """Fill in what comes of a definition."""
    torch.manual_seed(zlib.crc32(definition.name.encode()))
    x = np.random.default_rng(1).standard_normal((1, *definition.shape))
    try:
        network = definition.make()
        network.eval()
        _move_statistics(network)
        with torch.no_grad():
            network(torch.from_numpy(x).float())
    except Exception as error:  # whatever a package raises
        log.debug("%s", definition.name, exc_info=True)
        row.state, row.reason = "not made", f"{type(error).__name__}: {first_line(error, 300)}"
        return
    try:
        graph = trace(network, definition.shape, definition.name, dtype=np.float64 if compare else np.float32)
    except UsageError as error:
        row.state, row.reason = "refused", str(error)
        return
    except Exception as error:  # a fault of ours, whose row it is
        log.debug("%s", definition.name, exc_info=True)
        row.state, row.reason = "crashed", f"{type(error).__name__}: {first_line(error, 300)}"
        return
    row.state, row.layers, row.cuts = "traced", str(len(graph.layers)), str(len(graph.answer.cuts))
    if compare:
        _compare(row, network, graph, x)


def _move_statistics(network: nn.Module) -> None:
    """Batch norms that do something."""
    generator = torch.Generator().manual_seed(0)
    for part in network.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is not None:
            part.running_mean.normal_(0, 0.1, generator=generator)
            part.running_var.uniform_(0.5, 1.5, generator=generator)


def _compare(row: DefinitionRow, network: nn.Module, graph: Graph, x: np.ndarray) -> None:
    fixed = {output.name for output in graph.answer.fixed}
    names = [name for name in graph.answer.names if name not in fixed]
    try:
        exact = copy.deepcopy(network).double()
        with torch.no_grad():
            expected = output_runner(exact, names, bool(graph.answer.cuts))(torch.from_numpy(x))
    except Exception as error:  # a network that makes float32 tensors of its own
        row.reason = f"does not run in float64: {first_line(error, 200)}"
        return
    maps = graph.answer.restore(run_graph(graph, x))
    ours = [np.asarray(value) for name, value in maps.items() if name not in fixed]
    try:
        error = largest_error(ours, [tensor.double().numpy() for tensor in expected])
    except ValueError as unlike:  # in number or shape, or not finite
        row.state, row.reason = "differs", str(unlike)
        return
    row.error, row.state = f"{error:.0e}", "equal" if error <= EQUAL else "differs"
