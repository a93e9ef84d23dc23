"""What is known of a built kernel, whichever compiler said it, and the estimate that follows from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class CodeCount:
    """A stretch of machine code, counted: the hot loop of a kernel (one turn of it), or a whole kernel without one.

    Attributes:
        macs: multiply-adds of a work-item; two for an instruction on a pair of halves.
        instructions: those that do something, repetitions counted.
        accesses: memory instructions: on Mali messages to the load/store unit and the texture unit, on Adreno loads.
        busy_cycles: cycles for which a core's busiest unit works on the code for one warp or wave.
        ideal_cycles: cycles that the multiply-adds alone would take, at full rate.
        bound: the busiest unit: "arithmetic", "memory", or one of Valhall's "fma", "cvt", "sfu".
        is_loop: False of a whole kernel, whose multiply-adds may be some of its other arithmetic.
    """

    macs: int
    instructions: int
    accesses: int
    busy_cycles: float
    ideal_cycles: float
    bound: str
    is_loop: bool = False

    @property
    def utilisation(self) -> float | None:
        """Multiply-adds over the time that the code takes to issue: 1 is a core's peak. None where there are none."""
        return self.ideal_cycles / self.busy_cycles if self.macs and self.busy_cycles else None

    @property
    def instructions_per_mac(self) -> float | None:
        return self.instructions / self.macs if self.macs else None

    @property
    def accesses_per_mac(self) -> float | None:
        return self.accesses / self.macs if self.macs else None


@dataclass(frozen=True)
class KernelFigures:
    """What a compiler made of a kernel.

    Attributes:
        instructions: of the whole kernel.
        registers: of a work-item: Mali 32-bit ones, Adreno ones of four times 32 bits.
        occupancy: Mali: parts (of 2) of all its threads that a core holds; Adreno: waves that a core holds.
        wave: work-items that run in lockstep: Mali's warp, Adreno's wave, which is 64 or, where registers allow, 128.
        spills: values written to memory for want of registers; fills: read back. Adreno has one count, of both.
        loops: of the whole kernel.
        largest_group: work-items of a work-group at most, as the driver says of this kernel; local_bytes likewise.
        hot: the loop with most multiply-adds, or, where none has any, the whole kernel.
        whole: all of the kernel, each of its loops once.
    """

    instructions: int
    registers: int
    occupancy: int
    wave: int
    spills: int
    fills: int
    loops: int
    largest_group: int
    local_bytes: int
    hot: CodeCount
    whole: CodeCount

    @property
    def does_spill(self) -> bool:
        return self.spills + self.fills > 0

    def item_cycles(self, macs: float, alternatives: int = 1) -> float:
        """Cycles for which a core's busiest unit works for one warp or wave, at least: other loops than the hot one
        count for one turn.

        Args:
            macs: multiply-adds of a work-item, by which the hot loop's turns are known.
            alternatives: parts of the kernel of which each work-item runs one, taken to be equally long.
        """
        cycles = self.whole.busy_cycles / alternatives
        if self.hot.is_loop and macs > self.hot.macs:
            cycles += (macs / self.hot.macs - 1) * self.hot.busy_cycles
        return cycles

    def waves(self, group: int) -> int:
        """The waves of a work-group of so many work-items."""
        return -(-group // self.wave)

    def filled(self, group: int) -> float:
        """The part of the lanes of its waves that a work-group of so many work-items uses."""
        return group / (self.waves(group) * self.wave)


@dataclass(frozen=True)
class Span:
    """Lines of code, `last` itself among them."""

    first: int
    last: int

    def __contains__(self, other: Span) -> bool:
        return self.first <= other.first and other.last <= self.last


def innermost_loops(jumps: Iterable[tuple[int, int]]) -> list[Span]:
    """The loops without loops inside, by (line of a jump, line that it goes to): one that goes back makes a loop."""
    ends: dict[int, int] = {}
    for line, target in jumps:
        if target <= line:
            ends[target] = max(line, ends.get(target, line))
    spans = [Span(first, last) for first, last in ends.items()]
    return [span for span in spans if not any(other != span and other in span for other in spans)]


def hot_code(loops: Iterable[Span], count: Callable[[Span], CodeCount], whole: CodeCount) -> CodeCount:
    """The innermost loop with most multiply-adds; the whole kernel where no loop has any."""
    counts = [replace(count(span), is_loop=True) for span in loops]
    return max((code for code in counts if code.macs), key=lambda code: code.macs, default=whole)
