"""What each step of a network should compute from the checking input, so that a phone can tell if its driver does.

The values are float64's, and each may be missed by what rounding explains (`codegen.judging.networks`). Of every layer
a few elements are enough: a kernel that a driver has compiled wrongly is wrong in whole vectors, rows or channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from codegen.artifact.manifest import Entry, LayerCode
from codegen.judging.networks import RightOutput, right_tensors
from codegen.layout.assign import Layout, assign_layout
from codegen.layout.plane import Plane
from codegen.lowering.network import NetworkModule
from codegen.packaging.calls import CallList, FunctionCall
from codegen.packaging.entries import Checks, ElementCheck, steps_of
from codegen.packaging.host_calls import CompiledKernels
from devices.profile import Profile
from fleetpose.progress import Report, no_report
from models.graph.network import Graph

#: elements of a layer that are compared
SAMPLES = 64


def checking_input(shape: Sequence[int]) -> np.ndarray:
    """The input that the C runtime makes, too: float32 of (1, C, H, W), from -0.5 to 0.5, by a hash of positions."""
    hashed = np.arange(np.prod(shape), dtype=np.uint32) * np.uint32(2654435761)
    hashed ^= hashed >> np.uint32(16)
    hashed *= np.uint32(2246822519)
    hashed ^= hashed >> np.uint32(13)
    return ((hashed & np.uint32(0xFFFF)).astype(np.float32) / np.float32(65536) - np.float32(0.5)).reshape(shape)


@dataclass(frozen=True)
class EntryReference:
    """What a network computes from the checking input at one input size: some elements after each call, by the call's
    number, and its outputs in order."""

    checks: Checks
    outputs: tuple[RightOutput, ...]


def make_checks(
    graphs: Sequence[Graph],
    lowered: NetworkModule,
    kernels: CompiledKernels,
    lists: Sequence[CallList],
    profile: Profile,
    report: Report = no_report,
) -> list[EntryReference]:
    """What a network should compute from the checking input, for each input size.

    Args:
        graphs: what was lowered for `profile`. kernels, lists: of it.
        report: told what is being done.
    """
    references = []
    for graph, entry, listed in zip(graphs, lowered.entries, lists, strict=True):
        report(f"float64 at {entry.input.shape[2]}x{entry.input.shape[3]}, for the self-check")
        item_bytes = np.dtype(lowered.dtype).itemsize
        layout = assign_layout(graph, profile.lanes_of(lowered.dtype), item_bytes)
        sampler = _Sampler(layout, lowered.dtype)
        placed = {name: (at, tensor) for at, name, tensor in _written(entry, listed, kernels, layout, item_bytes)}
        by_call: dict[int, list[ElementCheck]] = {}
        outputs: dict[str, RightOutput] = {}
        for name, right in right_tensors(graph, checking_input(entry.input.shape), lowered.dtype, lowered.choices):
            if name in placed:
                at, tensor = placed[name]
                by_call.setdefault(at, []).extend(sampler.checks(tensor, name, right))
            if name in graph.outputs:
                outputs[name] = right
        references.append(EntryReference(by_call, tuple(outputs[name] for name in graph.outputs)))
    return references


def _written(
    entry: Entry, listed: CallList, kernels: CompiledKernels, layout: Layout, item_bytes: int
) -> Iterator[tuple[int, str, int]]:
    """The number of a call, the layer whose tensor it writes, and the number of that tensor."""
    for at, (call, codes) in enumerate(zip(listed.calls, steps_of(entry.layers), strict=True)):
        written = _operands_of_kernels(call, kernels)
        results = iter(call.results)
        for code in _with_planes(codes, layout):
            size = layout.planes[code.layer].size * item_bytes
            tensor = next((result for result in results if result.bytes == size), None)
            if tensor is not None and tensor.number in written:
                yield at, code.layer, tensor.number


def _with_planes(codes: Sequence[LayerCode], layout: Layout) -> list[LayerCode]:
    """The layers of a call that make a tensor of the graph: the copies at its ends, and of joins' members, do not."""
    return [code for code in codes if code.op not in ("import", "export", "concat") and code.layer in layout.planes]


def _operands_of_kernels(call: FunctionCall, kernels: CompiledKernels) -> set[int]:
    """The tensors that a call's kernels touch at all; others are there for the list's sake."""
    touched = {operand for launch in kernels.launches[call.function] for operand in launch.operands}
    numbered = [call.operands[operand] for operand in touched if isinstance(operand, int)]
    return {operand.number for operand in numbered if hasattr(operand, "number")}


class _Sampler:
    """Draws elements of tensors, spread over their channels."""

    def __init__(self, layout: Layout, dtype: str) -> None:
        self.layout, self.dtype = layout, dtype
        self.random = np.random.default_rng(0)

    def checks(self, tensor: int, name: str, right: RightOutput) -> list[ElementCheck]:
        plane = self.layout.planes[name]
        value = right.value[0]
        if right.outliers or not (np.abs(value) <= np.finfo(self.dtype).max).all():
            return []  # single elements may be anything: infinite, where half precision does not reach
        # GPUs may take for zero what is below the smallest normal number
        tolerance = right.tolerance + float(np.finfo(self.dtype).tiny)
        return [
            ElementCheck(tensor, self.dtype, int(plane.index(*place)), float(value[place]), tolerance)
            for place in self._places(plane)
        ]

    def _places(self, plane: Plane) -> list[tuple[int, int, int]]:
        channels = np.linspace(0, plane.channels - 1, SAMPLES).round().astype(int)
        rows, columns = (self.random.integers(0, extent, SAMPLES) for extent in (plane.height, plane.width))
        return sorted({(int(c), int(r), int(k)) for c, r, k in zip(channels, rows, columns, strict=True)})
