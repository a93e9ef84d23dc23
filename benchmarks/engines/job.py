"""What an engine is given and what it answers, and how its outputs are compared with PyTorch's."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from devices.session import Session
from devices.timers import TimedCall
from fleetpose.errors import FleetposeError
from models.frontend.trace import trace
from models.graph.network import Graph
from models.graph.reference import run_graph
from models.plans.plan import Plan
from models.prune.oneshot import prune_graph

#: largest difference from PyTorch in fp32; outputs of the networks are of magnitude 1 to 10
MAX_ABS_ERROR = 1e-3


@dataclass(frozen=True)
class EngineJob:
    """One network at one input size, to be run by an engine.

    Attributes:
        model: a registered name.
        network: its torch module, in eval mode.
        tensor: the input, (1, C, H, W) float32.
        threads: how many the engine may use.
        session: an open session with this machine's OpenCL, for engines that run there.
        plan: what is to be sparse, for engines that can make use of it; weights are pruned at one go.
    """

    model: str
    network: torch.nn.Module
    tensor: np.ndarray
    threads: int
    session: Session
    plan: Plan | None = None

    @cached_property
    def graph(self) -> Graph:
        """The network as fused layers, with the plan's zeros."""
        graph = trace(self.network, self.tensor.shape[1:], self.model)
        return prune_graph(graph, self.plan) if self.plan else graph

    @cached_property
    def expected(self) -> list[np.ndarray]:
        """PyTorch's outputs."""
        if self.plan:
            return run_graph(self.graph, self.tensor, np.float32)
        with torch.inference_mode():
            outputs = self.network(torch.from_numpy(self.tensor))
        return [one.numpy() for one in ([outputs] if isinstance(outputs, torch.Tensor) else outputs)]

    @cached_property
    def onnx(self) -> bytes:
        """The network as an ONNX file. Raises ImportError where onnx or onnxscript is missing."""
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch's, of its own interface
            logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of operators that no network here has
            path = Path(folder) / "network.onnx"
            example = (torch.from_numpy(self.tensor),)
            torch.onnx.export(self.network, example, str(path), dynamo=True, verbose=False, external_data=False)
            return path.read_bytes()

    def check(self, prepared: PreparedEngine) -> None:
        """Run once and keep the largest absolute error. Raises FleetposeError where it exceeds MAX_ABS_ERROR."""
        prepared.max_abs_error = max_abs_error(prepared.outputs(), self.expected)
        if not prepared.max_abs_error <= MAX_ABS_ERROR:
            raise FleetposeError(f"its outputs are not PyTorch's: largest error {prepared.max_abs_error:.2g}")


@dataclass
class PreparedEngine:
    """Something ready to be timed.

    Attributes:
        call: what is timed.
        outputs: runs it once and fetches the outputs, in the network's order.
        max_abs_error: against PyTorch, once checked; NaN before.
    """

    call: TimedCall
    outputs: Callable[[], Sequence[np.ndarray]]
    max_abs_error: float = float("nan")

    @classmethod
    def of_callable(cls, run: Callable[[], Sequence[np.ndarray]]) -> PreparedEngine:
        """A callable of this process that runs once and answers the outputs."""
        return cls(TimedCall(run), run)


def max_abs_error(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """Over all outputs. Raises FleetposeError where their number or shapes differ."""
    shapes = [[tuple(one.shape) for one in outputs] for outputs in (found, expected)]
    if shapes[0] != shapes[1]:
        raise FleetposeError(f"its outputs have shapes {shapes[0]}, PyTorch's {shapes[1]}")
    return max(float(np.abs(one - other).max()) for one, other in zip(found, expected, strict=True))
