"""What Mesa's Adreno compiler says of a kernel (IR3_SHADER_DEBUG=cs), read.

An instruction a cycle and wave: `(rptN)` repeats one, `(nopN)` and `nop` are cycles in which a lone wave would wait and
others run. Half precision takes as many cycles, of waves that are twice as wide where registers allow.
"""

from __future__ import annotations

import re

from codegen.inspection.machine_code.figures import CodeCount, KernelFigures, Span, hot_code, innermost_loops

#: work-items of a wave, and of one of double width
WAVE = 64
_PREFIX = re.compile(r"^MESA: info: ?", re.MULTILINE)
_INSTRUCTION = re.compile(r"((?:\([a-z0-9]+\)\s*)*)([a-z_][a-z0-9_.]*)")
_LABEL = re.compile(r"(l\d+):")
_JUMP = re.compile(r"\b(?:jump|br\w*|bany|ball)\b.*#(l\d+)")
_REPEAT = re.compile(r"\(rpt(\d+)\)")
_LOAD = re.compile(r"(?:ldg|ldib|ldc|ldl|ldp|ldlw|sam|saml|isam|isaml)(?:\.|$)")
#: to and from private memory, where values are that have no register
_SCRATCH = re.compile(r"(?:ldp|stp)(?:\.|$)")
#: instructions that write several registers one after the other, a cycle each
_CYCLES = {"swz": 2, "gat": 4, "sct": 4}
_MAC = re.compile(r"mad\.f(?:16|32)")


def read_figures(said: str, largest_group: int, local_bytes: int) -> KernelFigures | None:
    """The figures of one kernel; None where there is no machine code.

    Args:
        said: all that the compiler said of it.
        largest_group, local_bytes: what the driver says of the kernel.
    """
    text = _PREFIX.sub("", said)
    start = text.find("Native code")
    if start < 0:
        return None
    code = [line.strip() for line in text[start:].splitlines()]
    labels = {match[1]: number for number, line in enumerate(code) if (match := _LABEL.match(line))}
    jumps = [
        (number, labels[match[1]])
        for number, line in enumerate(code)
        if (match := _JUMP.search(line)) and match[1] in labels
    ]
    loops = innermost_loops(jumps)
    whole = count_code(code, Span(0, len(code) - 1))
    hot = hot_code(loops, lambda span: count_code(code, span), whole)
    return KernelFigures(
        instructions=_number(r"(\d+) instr,", text, start),
        registers=_number(r"(\d+) full", text, start),
        occupancy=_number(r"(\d+) max_waves", text, start),
        wave=WAVE << _number(r"(\d+) double_threadsize", text, start),
        spills=_scratch_accesses(code),
        fills=0,
        loops=_number(r"(\d+) loops", text, start),
        largest_group=largest_group,
        local_bytes=local_bytes,
        hot=hot,
        whole=whole,
    )


def count_code(code: list[str], span: Span) -> CodeCount:
    """The instructions of some lines of assembly."""
    macs = slots = loads = 0
    for line in code[span.first : span.last + 1]:
        cycles, operation = _instruction(line)
        if operation == "nop":
            continue
        slots += cycles
        macs += cycles * bool(_MAC.match(operation))
        loads += cycles * bool(_LOAD.match(operation))
    return CodeCount(macs, slots, loads, float(slots), float(macs), "arithmetic")


def _instruction(line: str) -> tuple[int, str]:
    """How many cycles an instruction takes to issue, and which it is; (0, "nop") for what is none."""
    if line.endswith(":") or line.startswith(("@", ";", "Native")) or not (match := _INSTRUCTION.match(line)):
        return 0, "nop"
    repeat = _REPEAT.search(match[1])
    cycles = _CYCLES.get(match[2].partition(".")[0], 1)
    return cycles * (1 + int(repeat[1]) if repeat else 1), match[2]


def _scratch_accesses(code: list[str]) -> int:
    return sum(cycles for cycles, operation in map(_instruction, code) if _SCRATCH.match(operation))


def _number(pattern: str, text: str, start: int) -> int:
    """What a statistic says; 0 where it is not there."""
    match = re.compile(pattern).search(text, start)
    return int(match[1]) if match else 0
