"""The frame of every kernel: arguments, the grid of work-items, registers. Built with TVM's IRBuilder.

A schedule is plain Python that emits TIR as it runs, so a loop in Python is an unrolled loop in the kernel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from devices.profile import Profile

AXIS_LETTERS = "zyx"
#: name -> (elements of a flat buffer, or a shape; dtype), in order
Arguments = Mapping[str, tuple[int | Sequence[int], str]]


class KernelFrame:
    """What a schedule works with while it writes one kernel.

    Attributes:
        buffers: the argument buffers, by name; also `frame[name]`.
        axes: this work-item's index along each axis of the grid.
        func: the finished PrimFunc; there after the `with` block.
    """

    def __init__(self) -> None:
        self.buffers: dict[str, object] = {}
        self.axes: tuple = ()
        self.func: object = None

    def __getitem__(self, name: str):
        return self.buffers[name]


@contextmanager
def kernel(arguments: Arguments, grid: Sequence[int], profile: Profile) -> Iterator[KernelFrame]:
    """Write one kernel over `grid`.

    Args:
        arguments: the kernel's global buffers.
        grid: work-items along each of at most three axes; the last runs fastest, and `profile.work_group`
            neighbours along it form a work-group.
        profile: the device the kernel is for.
    """
    frame = KernelFrame()
    with IRBuilder() as ir_builder:
        with ExitStack() as scopes:
            scopes.enter_context(T.prim_func(s_tir=True))
            T.func_name("main")
            T.func_attr({"tirx.is_scheduled": True})
            for name, (extent, dtype) in arguments.items():
                shape = (extent,) if isinstance(extent, int) else tuple(extent)
                frame.buffers[name] = T.arg(name, T.buffer(shape, dtype))
            frame.axes = _open_grid(scopes, grid, profile.work_group)
            yield frame
        frame.func = ir_builder.get()


def _open_grid(scopes: ExitStack, grid: Sequence[int], work_group: int) -> tuple:
    """Enter the thread loops and the block of the kernel's body; the index along each axis."""
    letters = AXIS_LETTERS[-len(grid) :]
    group = min(work_group, grid[-1])
    blocks = [*grid[:-1], -(-grid[-1] // group)]
    axes = [
        scopes.enter_context(T.thread_binding(0, extent, thread=f"blockIdx.{letter}"))
        for letter, extent in zip(letters, blocks, strict=True)
    ]
    if group > 1:
        thread = scopes.enter_context(T.thread_binding(0, group, thread="threadIdx.x"))
        axes[-1] = axes[-1] * group + thread
    scopes.enter_context(T.sblock("kernel"))
    T.reads([])  # given, because inferring them from a long unrolled body takes seconds
    T.writes([])
    if grid[-1] % group:
        scopes.enter_context(T.If(axes[-1] < grid[-1]))
        scopes.enter_context(T.Then())
    return tuple(axes)


def registers(count: int, dtype: str, name: str):
    """`count` private elements of a (vector) type; the OpenCL compiler keeps them in registers where they fit."""
    buffer = T.sblock_alloc_buffer((count,), dtype, scope="local")
    IRBuilder.name(name, buffer)
    return buffer


@contextmanager
def when(condition) -> Iterator[None]:
    """Statements under `if (condition)`; a condition known to be True in Python costs nothing."""
    if condition is True:
        yield
        return
    with T.If(condition), T.Then():
        yield


def put(buffer, index, value) -> None:
    """Statement: buffer[index] = value; a tuple indexes a buffer of several dimensions."""
    T.buffer_store(buffer, value, list(index) if isinstance(index, tuple) else [index])


def emit(call) -> None:
    """Statement: a call for its effect, such as a vector store."""
    T.evaluate(call)
