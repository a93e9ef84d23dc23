"""What Mesa's compiler for Mali's Valhall generation says of a kernel (BIFROST_MESA_DEBUG=shaders,shaderdb), read.

Each execution engine of a core has a unit for multiply-adds (`fma`), one for simple integers, moves and conversions
(`cvt`) and one of a quarter of their width for shifts, integer products and functions (`sfu`), which work side by side
on different warps; all engines share a load/store unit, which takes a message of a warp a cycle.
"""

from __future__ import annotations

import re

from codegen.inspection.chips import Chip
from codegen.inspection.machine_code.bifrost import statistics_figures
from codegen.inspection.machine_code.figures import CodeCount, KernelFigures, Span, hot_code, innermost_loops

_STATISTICS = re.compile(
    r"(?P<instructions>\d+) inst\w*, .*? cycles, .*?(?P<threads>\d+) threads, (?P<loops>\d+) loops, "
    r"(?P<spills>\d+):(?P<fills>\d+) spills:fills.*?(?P<registers>\d+) registers used"
)
#: three blanks, then the operation; Mesa's disassembler leaves arithmetic shifts to the right out, so that their lines
#: have the blanks alone
_INSTRUCTION = re.compile(r"   (?:([A-Z][A-Z0-9_]*)\b|\s*$)(.*)")
_JUMP = re.compile(r"\boffset:(-?\d+)")
_SHIFT = "ARSHIFT_OR"
_MEMORY = ("LOAD", "STORE", "LD_", "ST_", "TEX", "ATOM", "AXCHG", "ACMPXCHG", "LEA")
_FMA = ("FMA", "FADD", "FMUL")
_SFU = ("LSHIFT", "RSHIFT", "ARSHIFT", "IMUL", "FRCP", "FRSQ", "FEXP", "FLOG", "FSIN", "FCOS", "MUX", "POPCOUNT", "CLZ")
#: lanes of the units for functions are a quarter of the others'
_SFU_CYCLES = 4


def read_figures(said: str, chip: Chip, largest_group: int, local_bytes: int) -> KernelFigures | None:
    """The figures of one kernel; None where there is no machine code.

    Args:
        said: all that the compiler said of it.
        chip: whose engines the cycles are of.
        largest_group, local_bytes: what the driver says of the kernel.
    """
    statistics = _STATISTICS.search(said)
    start = said.rfind("\n}", 0, statistics.start() if statistics else 0)
    if statistics is None or start < 0:
        return None
    code = read_code(said[start : statistics.start()])
    jumps = [
        (number, number + 1 + int(match[1]))
        for number, (operation, rest) in enumerate(code)
        if operation.startswith(("BRANCH", "JUMP")) and (match := _JUMP.search(rest))
    ]
    whole = count_code(code, Span(0, len(code) - 1), chip)
    hot = hot_code(innermost_loops(jumps), lambda span: count_code(code, span, chip), whole)
    return statistics_figures(statistics, chip, (largest_group, local_bytes), hot, whole)


def read_code(text: str) -> list[tuple[str, str]]:
    """(operation, what follows it) of every instruction of a disassembly."""
    matches = (_INSTRUCTION.fullmatch(line) for line in text.splitlines())
    return [(match[1] or _SHIFT, match[2]) for match in matches if match]


def unit_cycles(code: list[tuple[str, str]], span: Span) -> dict[str, int]:
    """Instructions of each unit, those that take two cycles twice; `sfu` not yet by its width."""
    cycles = {"fma": 0, "cvt": 0, "sfu": 0, "memory": 0}
    for operation, rest in code[span.first : span.last + 1]:
        if operation.startswith(_MEMORY):
            cycles["memory"] += 1
        elif operation.startswith(_FMA):
            cycles["fma"] += 1
        elif operation.startswith(_SFU):
            cycles["sfu"] += 1
        else:
            cycles["cvt"] += 2 if rest.startswith((".s64", ".u64")) else 1
    return cycles


def count_code(code: list[tuple[str, str]], span: Span, chip: Chip) -> CodeCount:
    """The instructions of a part of a disassembly, counted."""
    part = code[span.first : span.last + 1]
    halves = sum(operation == "FMA" and rest.startswith(".v2f16") for operation, rest in part)
    singles = sum(operation == "FMA" and rest.startswith(".f32") for operation, rest in part)
    instructions = sum(operation != "NOP" for operation, _ in part)
    cycles = unit_cycles(code, span)
    busy = {unit: count / chip.engines for unit, count in cycles.items() if unit != "memory"}
    busy["sfu"] *= _SFU_CYCLES
    busy["memory"] = float(cycles["memory"])
    bound = max(busy, key=lambda unit: busy[unit])
    ideal = (halves + singles) / chip.engines
    return CodeCount(2 * halves + singles, instructions, cycles["memory"], busy[bound], ideal, bound)
