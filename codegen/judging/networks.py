"""Whole networks judged by float64: once, on a random input of each size, by the outputs that a device gives.

How far rounding may take an output from float64 is seen, not guessed: a second run of the network on the processor has
in every layer an error of the size that `codegen.judging.rounding` says is usual for the layer, its depth, its type and
its schedule. What that makes of the outputs, a device may do as well, `NETWORK_SAFETY` times over. So an error in one
layer is held to what rounding does in the same layer, however much or little of either reaches the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from codegen.judging.layers import OUTLIERS, amplification
from codegen.judging.rounding import UNITS, jumps, op_error
from codegen.kernels.choice import ScheduleChoice
from codegen.lowering.compile import CompiledNetwork
from devices.rpc.connection import run_within
from devices.session import Session
from fleetpose.progress import Report, no_report
from models.graph.network import Graph
from models.graph.reference import run_epilogue, run_op

#: outputs may be so many times as far from float64 as those of the run with errors. Of the tests' networks on Intel's
#: OpenCL, the furthest was 0.7 times as far
NETWORK_SAFETY = 8.0
#: numbers of the second run: what it errs by itself is rounding, too
NOISY = torch.float32


@dataclass(frozen=True, eq=False)
class RightOutput:
    """An output in float64, (1, C, H, W), and how far from it a device may be.

    outliers: how many elements may be further, where the network compares, cuts or samples what is rounded.
    """

    value: np.ndarray
    tolerance: float
    outliers: int = 0

    def fault(self, result: np.ndarray) -> str | None:
        """What is wrong with a device's output, in words; None where rounding explains all differences."""
        known = np.isfinite(self.value)
        if not np.isfinite(result[known]).all():
            return "is not finite"
        off = np.where(known, np.abs(result - self.value), 0.0)
        if np.count_nonzero(off > self.tolerance) <= self.outliers:
            return None
        largest = float(np.abs(self.value[known]).max(initial=0.0))
        return f"is off by {off.max():.2g} of at most {largest:.2g}, where rounding explains {self.tolerance:.2g}"


def judge_network(
    compiled: CompiledNetwork,
    graphs: Sequence[Graph],
    session: Session,
    timeout_secs: float,
    seed: int = 0,
    report: Report = no_report,
) -> str | None:
    """What is wrong with a compiled network on a device, in words; None where rounding explains all differences.

    Args:
        compiled: for the session's device; `graphs`: what it was compiled from, one for each input size.
        timeout_secs: an inference may take so long, the compiling of its kernels by the driver included.
        seed: of the inputs.
        report: told what is being done.

    Raises:
        DeviceUnreachable: the device is gone. TimeoutError: it took too long; the session was cut.
    """
    random, inputs = np.random.default_rng(seed), []
    for graph in graphs:
        inputs.append(random.uniform(-0.5, 0.5, (1, *graph.input_shape)).astype(np.float32))
    report("running it on the device, to judge it")
    try:
        work = lambda: compiled.answers(session, inputs)  # noqa: E731
        answers = run_within(work, timeout_secs * len(graphs), "running the network")
    except TimeoutError as error:
        session.abort(f"{error}; the session was cut to stop what ran")
        raise
    dtype, choices = compiled.lowered.dtype, compiled.lowered.choices
    for graph, tensor, outputs in zip(graphs, inputs, answers, strict=True):
        size = "x".join(map(str, graph.input_shape[1:]))
        report(f"float64 at {size}, to judge it")
        right = right_outputs(graph, tensor, dtype, choices, seed)
        for name, expected, result in zip(graph.outputs, right, outputs, strict=True):
            if (fault := expected.fault(result)) is not None:
                return f"output {name} at {size} {fault}"
    return None


def right_outputs(
    graph: Graph, x: np.ndarray, dtype: str, choices: Mapping[str, ScheduleChoice] | None = None, seed: int = 0
) -> list[RightOutput]:
    """The outputs of a network, in order.

    Args:
        x: (1, *graph.input_shape) float32.
        dtype: of the device's arithmetic; the input and the weights are rounded to it.
        choices: the schedules of its layers.
        seed: of the errors of the second run.
    """
    tensors = {name: right for name, right in right_tensors(graph, x, dtype, choices, seed) if name in graph.outputs}
    return [tensors[name] for name in graph.outputs]


def right_tensors(
    graph: Graph, x: np.ndarray, dtype: str, choices: Mapping[str, ScheduleChoice] | None = None, seed: int = 0
) -> Iterator[tuple[str, RightOutput]]:
    """Every tensor of a network with its name, layer by layer; arguments as of `right_outputs`."""
    x = np.asarray(x).astype(dtype)
    weights = {name: np.asarray(value).astype(dtype) for name, value in graph.weights.items()}
    exact = _run(graph, x, weights)
    noisy = _run(graph, x, weights, _Noise(UNITS[dtype], choices or {}, seed))
    outliers = OUTLIERS if any(map(jumps, graph.layers)) else 0.0
    for (name, value), (_, erring) in zip(exact, noisy, strict=True):
        tolerance = _tolerance(value, erring, UNITS[dtype], outliers)
        yield name, RightOutput(value.numpy(), tolerance, int(outliers * value.numel()))


def _tolerance(value: torch.Tensor, erring: torch.Tensor, unit: float, outliers: float) -> float:
    """From the largest difference of the two runs, leaving out what jumps did to so many elements.

    Where nothing jumps none is left out: of a map that is one number but for a few elements, since all before it is cut
    off at zero, these few are all that errs.
    """
    off = (erring.double() - value).abs().flatten()
    off = off[off.isfinite()]
    if not len(off):
        return 0.0
    usual = off.max() if len(off) * outliers < 1 else off.kthvalue(max(int(len(off) * (1 - outliers)), 1)).values
    largest = float(value[value.isfinite()].abs().max())
    return NETWORK_SAFETY * (float(usual) + unit * largest)


class _Noise:
    """Errors of the usual size, of random signs."""

    def __init__(self, unit: float, choices: Mapping[str, ScheduleChoice], seed: int) -> None:
        self.unit, self.choices = unit, choices
        self.random = torch.Generator().manual_seed(seed)

    def signs(self, like: torch.Tensor) -> torch.Tensor:
        return 2 * torch.rand(like.shape, generator=self.random, dtype=like.dtype) - 1


def _run(
    graph: Graph, x: np.ndarray, weights: Mapping[str, np.ndarray], noise: _Noise | None = None
) -> Iterator[tuple[str, torch.Tensor]]:
    """The input and every layer's tensor by name, in order."""
    dtype = torch.float64 if noise is None else NOISY
    held = {graph.input: torch.from_numpy(x).to(dtype)}
    readers = {name: number for number, layer in enumerate(graph.layers) for name in layer.inputs}
    yield graph.input, held[graph.input]
    for number, layer in enumerate(graph.layers):
        with torch.no_grad():
            names = [f"{layer.name}.{part}" for part in ("weight", "bias", "value")]
            own = {name: torch.from_numpy(weights[name]).to(dtype) for name in names if name in weights}
            inputs = [held[name] for name in layer.inputs]
            operands, addends = inputs[: layer.operands], inputs[layer.operands :]
            result = run_op(layer, operands, own)
            if noise is not None and layer.op != "constant":
                error = op_error(layer, result, operands, own.get(names[0]), own.get(names[1]), noise.unit)
                result = result + amplification(noise.choices.get(layer.name)) * error * noise.signs(result)
            result = run_epilogue(layer, result, addends)
            if noise is not None:
                result = result * (1 + noise.unit * noise.signs(result))
        held[layer.name] = result
        yield layer.name, result
        for name in {name for name in layer.inputs if readers[name] == number}:
            del held[name]
