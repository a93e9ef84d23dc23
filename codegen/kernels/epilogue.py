"""Fused epilogues: what happens to accumulators before they are stored, and loading what the steps read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from codegen.kernels.activations import apply_step, combine
from codegen.kernels.builder import put, when
from codegen.layout.plane import Plane
from models.graph.layer import Layer, Shape, Step


def steps_with_inputs(layer: Layer) -> Iterator[tuple[Step, int | None]]:
    """Each epilogue step with the number of what it reads among `Workload.addends` (None where it reads nothing)."""
    reads = 0
    for step in layer.epilogue:
        yield step, reads if step.reads else None
        reads += step.reads


def initial_addend(frame, workload, vector, channel, row, column):
    """The addend an accumulator may start from, if the epilogue begins with "add"; else None."""
    if not workload.layer.epilogue or workload.layer.epilogue[0].kind != "add":
        return None
    return _load_addend(frame, workload, vector, 0, channel, row, column)


def _load_addend(frame, workload, vector, number: int, channel, row, column):
    buffer = frame[f"in{workload.layer.operands + number}"]
    return load_broadcast(buffer, workload.addends[number], workload.output.shape, vector, channel, row, column)


def load_broadcast(buffer, plane: Plane, shape: Shape, vector, channel, row, column):
    """The vector at (channel, row, column) of a tensor in `plane` as broadcast to `shape`, which it divides; converted
    to the type of `vector` where the buffer has another."""
    places = zip((channel, row, column), plane.shape, shape, strict=True)
    channel, row, column = (place if extent == whole else 0 for place, extent, whole in places)
    index, stored = plane.index(channel, row, column), vector.of(str(buffer.dtype))
    value = stored.load(buffer, index) if plane.width == shape[2] else stored.splat(buffer[index])
    return vector.convert(value, stored.dtype)


def finish(frame, workload, vector, rows, owned: Sequence, sums, row, across, started: bool = True) -> None:
    """Run the epilogue on accumulators [filter][vector] and store them.

    Args:
        owned: (output channel, whether it exists) of each filter.
        vector: the type of the accumulators.
        started: the accumulators already hold a leading addend (`initial_addend`).
    """
    for f, (channel, exists) in enumerate(owned):
        with when(exists):
            for v in range(rows.width):
                at = f * rows.width + v
                for position, (step, number) in enumerate(steps_with_inputs(workload.layer)):
                    if number is None:
                        put(sums, at, apply_step(step, sums[at], vector))
                    elif not (started and position == 0 and step.kind == "add"):
                        column = rows.column(across, v)
                        other = _load_addend(frame, workload, vector, number, channel, row, column)
                        put(sums, at, combine(step, sums[at], other, vector))
            rows.store(sums, f * rows.width, frame["out"], channel, row, across)
