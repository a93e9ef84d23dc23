"""The frame of every kernel: arguments, grids of work-items, scratch, registers. Built with TVM's IRBuilder.

A schedule is plain Python that emits TIR as it runs, so a loop in Python is an unrolled loop in the kernel. One
function may hold several grids: each becomes an OpenCL kernel of its own, launched one after the other.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import tvm
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from devices.profile import Profile

AXIS_LETTERS = "zyx"
#: lanes that may idle so that more of a warp's work-items read neighbouring addresses
IDLE = 0.1
#: name -> (elements of a flat buffer, or a shape; dtype; the memory scope where it is not a buffer), in order
Arguments = Mapping[str, tuple[int | Sequence[int], str] | tuple[int | Sequence[int], str, str]]


class FunctionFrame:
    """What a schedule works with while it writes one function.

    Attributes:
        buffers: the argument and scratch buffers, by name; also `frame[name]`.
        axes: this work-item's index along each axis of the innermost open grid.
        grids: how many grids there are so far; each is one OpenCL kernel.
        func: the finished PrimFunc; there after the `with` block.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.buffers: dict[str, object] = {}
        self.axes: tuple = ()
        self.grids = 0
        self.func: object = None
        self._names = 0

    def __getitem__(self, name: str):
        return self.buffers[name]

    def new_name(self, stem: str) -> str:
        """A name for a variable of OpenCL C that no other of the function has."""
        self._names += 1
        return f"{stem}{self._names}"

    def scratch(self, name: str, elements: int, dtype: str) -> None:
        """A device buffer of the function's own, that one grid writes and a later one reads; before the first grid."""
        buffer = T.sblock_alloc_buffer((elements,), dtype, scope="global")
        IRBuilder.name(name, buffer)
        self.buffers[name] = buffer

    @contextmanager
    def grid(self, extents: Sequence[int], group: Sequence[int] | int | None = None) -> Iterator[tuple]:
        """One kernel over a grid of work-items; the index along each axis.

        Args:
            extents: work-items along each of at most three axes; the last runs fastest.
            group: shape of a work-group, aligned to the last axes; one number is along the last axis alone. Without,
                that of `work_group_shape`. Work-items beyond `extents` do nothing.

        Raises:
            ValueError: a work-group larger than the profile allows.
        """
        shape = self._group(extents, group)
        with ExitStack() as scopes:
            self.axes = _open_grid(scopes, extents, shape)
            self.grids += 1
            yield self.axes

    def _group(self, extents: Sequence[int], group: Sequence[int] | int | None) -> Sequence[int]:
        if group is None:
            return work_group_shape(tuple(extents), self.profile.work_group, self.profile.widest_wave)
        wanted = [*group] if isinstance(group, Sequence) else [group]
        wanted = [1] * (len(extents) - len(wanted)) + wanted
        shape = [min(size, extent) for size, extent in zip(wanted, extents, strict=True)]
        if math.prod(shape) > self.profile.max_threads_per_block:
            limit = self.profile.max_threads_per_block
            raise ValueError(f"a work-group of {shape} work-items, but {self.profile.name} allows {limit}")
        return shape


@functools.cache
def work_group_shape(extents: tuple[int, ...], most: int, warp: int) -> tuple[int, ...]:
    """The shape of work-groups of at most `most` work-items that cover a grid with few idle lanes.

    A warp has all its lanes, whether work-items fill them or not: a row of three tiles is no group for a GPU, but
    several such rows are. Of shapes that take at most IDLE more lanes than need be the one is taken that is longest
    along the last axis, whose work-items read neighbouring addresses, then the one of fewest lanes and most work-items.
    """
    lanes = {}
    for shape in itertools.product(*(_group_sizes(extent, most) for extent in extents)):
        if (items := math.prod(shape)) <= most:
            groups = math.prod(-(-extent // size) for extent, size in zip(extents, shape, strict=True))
            lanes[shape] = groups * -(-items // warp) * warp
    enough = (1 + IDLE) * min(lanes.values())
    few = [shape for shape, count in lanes.items() if count <= enough]
    return min(few, key=lambda shape: (-shape[-1], lanes[shape], -math.prod(shape)))


def _group_sizes(extent: int, most: int) -> list[int]:
    """Along one axis: powers of two, the whole axis, and its equal parts."""
    sizes = range(1, min(extent, most) + 1)
    return sorted({size for size in sizes if size & (size - 1) == 0 or size == -(-extent // -(-extent // size))})


def grid_statements(func) -> list:
    """The statements of a scheduled function that are its grids: each is one OpenCL kernel."""
    body = func.body
    while not isinstance(body, tvm.tirx.SeqStmt):
        if isinstance(body, tvm.s_tir.SBlockRealize):
            body = body.block.body
        elif isinstance(body, tvm.s_tir.SBlock | tvm.tirx.AttrStmt):
            body = body.body
        else:
            return [body]
    return [*body]


@contextmanager
def function(arguments: Arguments, profile: Profile) -> Iterator[FunctionFrame]:
    """Write one function on global buffers `arguments`, for the device of `profile`; open its grids inside."""
    frame = FunctionFrame(profile)
    with IRBuilder() as ir_builder:
        with T.prim_func(s_tir=True):
            T.func_name("main")
            T.func_attr({"tirx.is_scheduled": True})
            for name, (extent, dtype, *scope) in arguments.items():
                shape = (extent,) if isinstance(extent, int) else tuple(extent)
                frame.buffers[name] = T.arg(name, T.buffer(shape, dtype, scope=scope[0] if scope else "global"))
            yield frame
        frame.func = ir_builder.get()


@contextmanager
def kernel(
    arguments: Arguments, grid: Sequence[int], profile: Profile, group: Sequence[int] | int | None = None
) -> Iterator[FunctionFrame]:
    """Write a function of one grid; see `function` and `FunctionFrame.grid`."""
    with function(arguments, profile) as frame, frame.grid(grid, group):
        yield frame


def _open_grid(scopes: ExitStack, extents: Sequence[int], group: Sequence[int]) -> tuple:
    """Enter the thread loops and the block of the kernel's body; the index along each axis."""
    letters = AXIS_LETTERS[-len(extents) :]
    axes = [
        scopes.enter_context(T.thread_binding(0, -(-extent // size), thread=f"blockIdx.{letter}"))
        for letter, extent, size in zip(letters, extents, group, strict=True)
    ]
    for number, (letter, size) in enumerate(zip(letters, group, strict=True)):
        if size > 1:
            thread = scopes.enter_context(T.thread_binding(0, size, thread=f"threadIdx.{letter}"))
            axes[number] = axes[number] * size + thread
    scopes.enter_context(T.sblock("kernel"))
    T.reads([])  # given, because inferring them from a long unrolled body takes seconds
    T.writes([])
    for axis, extent, size in zip(axes, extents, group, strict=True):
        if extent % size:
            scopes.enter_context(T.If(axis < extent))
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
