"""The tables of a package: kernels, constants, and for each input size buffers, steps, launches and arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from codegen.artifact.manifest import Entry, LayerCode
from codegen.linking.programs import kernel_sections
from codegen.packaging.arena import Lifetime, place_buffers
from codegen.packaging.calls import CallList, ConstantTensor, FunctionCall, first_uses, last_uses
from codegen.packaging.host_calls import KernelLaunch, Scratch
from runtime import package_format as records
from runtime.package_format import Strings


@dataclass(frozen=True)
class ElementCheck:
    """What an element of a buffer should be after a step. tensor: its number; index: of the element."""

    tensor: int
    dtype: str
    index: int
    value: float
    tolerance: float


#: by the number of a call its checks
Checks = Mapping[int, Sequence[ElementCheck]]


@dataclass
class Tables:
    """Rows of a package's records, which grow entry by entry.

    Attributes:
        strings: of all records.
        launches: of each function, by its name.
        kernel_numbers, constant_numbers: positions in their tables, by name.
    """

    strings: Strings
    launches: Mapping[str, Sequence[KernelLaunch]]
    kernel_numbers: Mapping[str, int]
    constant_numbers: Mapping[str, int]
    rows: dict[int, list[tuple[Any, ...]]] = field(default_factory=lambda: {kind: [] for kind in records.RECORDS})

    def add_entry(self, entry: Entry, listed: CallList, checks: Checks) -> None:
        """Append a network at one input size, its steps named by the layers of its manifest entry."""
        buffers = _Buffers(listed, self.launches)
        first = {kind: len(rows) for kind, rows in self.rows.items()}
        layers = iter(steps_of(entry.layers))
        for at in range(len(listed.calls)):
            self._add_step(next(layers), at, listed, buffers, checks.get(at, ()))
        for spec, tensor in zip(entry.outputs, listed.outputs, strict=True):
            self._add(records.OUTPUTS, self.strings.add(spec.name), buffers.numbers[tensor.number], *spec.shape[1:], 0)
        self.rows[records.BUFFERS] += buffers.rows
        counts = {kind: len(self.rows[kind]) - first[kind] for kind in first}
        ranges = [(first[kind], counts[kind]) for kind in (records.OUTPUTS, records.BUFFERS, records.STEPS)]
        channels, height, width = entry.input.shape[1:]
        flat = [number for pair in ranges for number in pair]
        self._add(records.ENTRIES, channels, height, width, buffers.numbers[0], *flat, buffers.arena_bytes)

    def add_function(self, name: str, parameter_bytes: Sequence[int]) -> None:
        """Append one of `launches` by itself, for buffers that a caller brings: so many bytes each at least."""
        launches = self.launches[name]
        used: dict[Scratch, tuple[int, int]] = {}
        for at, launch in enumerate(launches):
            for operand in launch.operands:
                if isinstance(operand, Scratch):
                    used[operand] = (used.get(operand, (at, at))[0], at)
        arena = place_buffers(
            [Lifetime(scratch.bytes, *uses) for scratch, uses in used.items()], records.BUFFER_ALIGNMENT
        )
        numbers = {scratch: len(parameter_bytes) + number for number, scratch in enumerate(used)}
        first = {kind: len(self.rows[kind]) for kind in (records.BUFFERS, records.LAUNCHES)}
        self.rows[records.BUFFERS] += [(0, size) for size in parameter_bytes]
        self.rows[records.BUFFERS] += [(at, scratch.bytes) for at, scratch in zip(arena.offsets, used, strict=True)]
        for launch in launches:
            given = [numbers[operand] if isinstance(operand, Scratch) else operand for operand in launch.operands]
            self._add_launch(launch, [(records.BUFFER_ARGUMENT, number) for number in given])
        counts = {kind: len(self.rows[kind]) - first[kind] for kind in first}
        self._add(
            records.FUNCTIONS, self.strings.add(name), len(parameter_bytes),
            first[records.BUFFERS], counts[records.BUFFERS], first[records.LAUNCHES], counts[records.LAUNCHES],
            arena.bytes,
        )  # fmt: skip

    def _add(self, kind: int, *row: Any) -> None:
        self.rows[kind].append(row)

    def _add_step(
        self,
        layers: Sequence[LayerCode],
        at: int,
        listed: CallList,
        buffers: _Buffers,
        checks: Sequence[ElementCheck],
    ) -> None:
        name, kind = " + ".join(layer.layer for layer in layers), layers[0].schedule
        first_check = len(self.rows[records.CHECKS])
        first_launch, first_spare = len(self.rows[records.LAUNCHES]), 0
        for number, call in enumerate(listed.alternatives(at)):
            if number == 1:
                first_spare = len(self.rows[records.LAUNCHES])
            for launch in self.launches[call.function]:
                self._add_launch(launch, self._arguments(launch, (at, number), call, buffers))
        end = len(self.rows[records.LAUNCHES])
        own = (first_spare or end) - first_launch
        for check in checks:
            place = buffers.numbers[check.tensor]
            self._add(records.CHECKS, place, records.DTYPES[check.dtype], check.index, check.value, check.tolerance)
        self._add(
            records.STEPS, self.strings.add(name), self.strings.add(kind), first_launch, own,
            first_spare, end - first_spare if first_spare else 0, first_check, len(checks),
        )  # fmt: skip

    def _arguments(
        self, launch: KernelLaunch, at: tuple[int, int], call: FunctionCall, buffers: _Buffers
    ) -> list[tuple[int, int]]:
        """Kind and number of what a launch of a call gives its kernel."""
        arguments = []
        for operand in launch.operands:
            given = operand if isinstance(operand, Scratch) else call.operands[operand]
            if isinstance(given, ConstantTensor):
                arguments.append((records.CONSTANT_ARGUMENT, self.constant_numbers[given.name]))
            else:
                number = buffers.scratch(at, given) if isinstance(given, Scratch) else buffers.numbers[given.number]
                arguments.append((records.BUFFER_ARGUMENT, number))
        return arguments

    def _add_launch(self, launch: KernelLaunch, arguments: Sequence[tuple[int, int]]) -> None:
        first = len(self.rows[records.ARGUMENTS])
        self.rows[records.ARGUMENTS] += arguments
        sizes = [groups * local for groups, local in zip(launch.groups, launch.local, strict=True)]
        dimensions = max((axis + 1 for axis in range(3) if sizes[axis] > 1), default=1)
        number = self.kernel_numbers[launch.kernel]
        self._add(records.LAUNCHES, number, first, dimensions, *sizes, *launch.local, 0)


class _Buffers:
    """The buffers of one entry: one for each tensor, and one for each scratch of each call.

    Attributes:
        numbers: of the tensors' buffers. rows: offset and bytes of each. arena_bytes: of the memory that holds them.
    """

    def __init__(self, listed: CallList, launches: Mapping[str, Sequence[KernelLaunch]]) -> None:
        first, last = first_uses(listed), last_uses(listed)
        used = [tensor for tensor in listed.tensors if tensor.number in last]
        self.numbers = {tensor.number: number for number, tensor in enumerate(used)}
        lifetimes = [Lifetime(tensor.bytes, first[tensor.number], last[tensor.number]) for tensor in used]
        self._scratches: dict[tuple[tuple[int, int], int], int] = {}
        for at in range(len(listed.calls)):
            for number, call in enumerate(listed.alternatives(at)):
                for scratch in {operand for launch in launches[call.function] for operand in launch.operands}:
                    if isinstance(scratch, Scratch):
                        self._scratches[(at, number), scratch.number] = len(lifetimes)
                        lifetimes.append(Lifetime(scratch.bytes, at, at))
        arena = place_buffers(lifetimes, records.BUFFER_ALIGNMENT)
        self.rows = [(offset, life.bytes) for offset, life in zip(arena.offsets, lifetimes, strict=True)]
        self.arena_bytes = arena.bytes

    def scratch(self, at: tuple[int, int], scratch: Scratch) -> int:
        """The buffer of scratch memory of a call: the call's number, and that among its alternatives."""
        return self._scratches[at, scratch.number]


def steps_of(layers: Sequence[LayerCode]) -> list[list[LayerCode]]:
    """The layers of each call, in order. Taking a layer's tensors out of planes, and back, belongs to its own call."""
    steps: list[list[LayerCode]] = []
    opened = False
    for layer in layers:
        opens, closes = layer.op == "unpack", layer.op == "pack"
        if layer.with_previous or closes or opened:
            steps[-1] += [] if opens or closes else [layer]
        else:
            steps.append([] if opens else [layer])
        opened = opens
    return steps


def kernel_rows(source: str, strings: Strings) -> tuple[bytes, list[tuple[int, ...]], dict[str, int]]:
    """The programs of an OpenCL source as TVM writes it: one for each kernel, without the others' declarations.

    Returns:
        The section of sources; rows of kernels but for their count of arguments, which is 0; their numbers by name.
    """
    content = bytearray()
    places: dict[bytes, int] = {}
    rows: list[tuple[int, ...]] = []
    numbers: dict[str, int] = {}
    for name, text in kernel_sections(source).items():
        preamble, _, body = text.partition("__kernel")
        body = "__kernel" + body
        lines = [line for line in body.split("\n") if not (line.startswith("__kernel") and line.endswith(");"))]
        parts = []
        for part in (preamble, "\n".join(lines)):
            raw = part.encode()
            if raw not in places:
                places[raw] = len(content)
                content += raw
            parts += [places[raw], len(raw)]
        numbers[name] = len(rows)
        rows.append((strings.add(name), *parts, 0))
    return bytes(content), rows, numbers


def constant_rows(
    parameters: Mapping[str, np.ndarray], textures: Sequence[str], strings: Strings
) -> tuple[bytes, list[tuple[int, ...]], dict[str, int]]:
    """The section of weights, rows of constants, and their numbers by name. Equal constants are stored once."""
    content = bytearray()
    places: dict[bytes, int] = {}
    rows: list[tuple[int, ...]] = []
    numbers: dict[str, int] = {}
    for name, array in parameters.items():
        raw = np.ascontiguousarray(array).tobytes()
        if raw not in places:
            content += bytes(-len(content) % records.ALIGNMENT)
            places[raw] = len(content)
            content += raw
        width, height = (array.shape[1], array.shape[0]) if name in textures else (0, 0)
        numbers[name] = len(rows)
        rows.append((places[raw], len(raw), records.DTYPES[str(array.dtype)], width, height, strings.add(name)))
    return bytes(content), rows, numbers
