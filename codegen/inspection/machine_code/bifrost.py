"""What Mesa's compiler for Mali's Bifrost generation says of a kernel (BIFROST_MESA_DEBUG=shaders,shaderdb), read.

Instructions come in tuples of one for the multiplier (`*`) and one for the adder (`+`), tuples in clauses. Each
execution engine of a core takes a tuple a cycle; all share a load/store unit, which takes a message of a warp a cycle.
"""

from __future__ import annotations

import re

from codegen.inspection.chips import Chip
from codegen.inspection.machine_code.figures import CodeCount, KernelFigures, Span, hot_code, innermost_loops

_STATISTICS = re.compile(
    r"(?P<instructions>\d+) inst\w*, .*?(?P<threads>\d+) threads.*?(?P<loops>\d+) loops.*?"
    r"(?P<spills>\d+):(?P<fills>\d+) spills:fills.*?(?P<registers>\d+) registers used"
)
_LABEL = re.compile(r"(clause_\d+):")
_JUMP = re.compile(r"\+(?:BRANCH|JUMP).*(clause_\d+)")
_INSTRUCTION = re.compile(r"\s+([*+])(\S+)")
_MEMORY = ("LOAD.", "STORE.", "LD_", "ST_", "TEX", "ATOM", "AXCHG", "ACMPXCHG", "LEA")


def read_figures(said: str, chip: Chip, largest_group: int, local_bytes: int) -> KernelFigures | None:
    """The figures of one kernel; None where there is no machine code.

    Args:
        said: all that the compiler said of it.
        chip: whose engines the cycles are of.
        largest_group, local_bytes: what the driver says of the kernel.
    """
    statistics = _STATISTICS.search(said)
    start = said.rfind("clause_0:", 0, statistics.start() if statistics else 0)
    if statistics is None or start < 0:
        return None
    code = said[start : statistics.start()].splitlines()
    labels = {match[1]: number for number, line in enumerate(code) if (match := _LABEL.match(line))}
    jumps = [
        (_end_of_clause(code, number), labels[match[1]])
        for number, line in enumerate(code)
        if (match := _JUMP.search(line)) and match[1] in labels and labels[match[1]] <= number
    ]
    whole = count_code(code, Span(0, len(code) - 1), chip)
    hot = hot_code(innermost_loops(jumps), lambda span: count_code(code, span, chip), whole)
    return statistics_figures(statistics, chip, (largest_group, local_bytes), hot, whole)


def statistics_figures(
    statistics: re.Match[str], chip: Chip, limits: tuple[int, int], hot: CodeCount, whole: CodeCount
) -> KernelFigures:
    """A kernel's figures, by the line of statistics that both of Mali's generations have; `limits` are the largest
    work-group and the bytes of local memory."""
    numbers = {name: int(value) for name, value in statistics.groupdict().items()}
    return KernelFigures(
        instructions=numbers["instructions"],
        registers=numbers["registers"],
        occupancy=numbers["threads"],
        wave=chip.lanes,
        spills=numbers["spills"],
        fills=numbers["fills"],
        loops=numbers["loops"],
        largest_group=limits[0],
        local_bytes=limits[1],
        hot=hot,
        whole=whole,
    )


def count_code(code: list[str], span: Span, chip: Chip) -> CodeCount:
    """The instructions of some lines of assembly."""
    tuples = instructions = macs = messages = textures = 0
    is_half = False
    for line in code[span.first : span.last + 1]:
        if not (match := _INSTRUCTION.match(line)):
            continue
        tuples += match[1] == "*"
        operation = match[2]
        if operation.startswith("NOP"):
            continue
        instructions += 1
        if operation.startswith("FMA.v2f16"):
            macs, is_half = macs + 2, True
        elif operation.startswith("FMA.f32"):
            macs += 1
        elif operation.startswith("TEX"):
            textures += 1
        elif operation.startswith(_MEMORY):
            messages += 1
    arithmetic = tuples / chip.engines
    ideal = macs / (2 if is_half else 1) / chip.engines
    bound = "memory" if messages > arithmetic else "arithmetic"
    return CodeCount(macs, instructions, messages + textures, max(arithmetic, messages), ideal, bound)


def _end_of_clause(code: list[str], line: int) -> int:
    """The last line of the clause that a line is in: a jump is taken at a clause's end."""
    while line + 1 < len(code) and not code[line + 1].startswith("}"):
        line += 1
    return line
