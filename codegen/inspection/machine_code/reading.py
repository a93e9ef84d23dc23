"""From what a compiler said of a kernel to its figures, or to why there are none."""

from __future__ import annotations

import re

from codegen.inspection.building import Said
from codegen.inspection.chips import Chip
from codegen.inspection.machine_code import bifrost, ir3, valhall
from codegen.inspection.machine_code.figures import KernelFigures

_LIMITS = re.compile(r"^@limits (\d+) (\d+) (\d+)$", re.MULTILINE)
_FAILED = re.compile(r"^@failed -?\d+\n(.*)", re.MULTILINE | re.DOTALL)


def read_said(said: Said, chip: Chip) -> KernelFigures | str:
    """The figures of a kernel; in words, why it has none: it does not build, or the compiler crashed."""
    if failed := _FAILED.search(said.text):
        return f"does not build: {_first_error(failed[1])}"
    limits = _LIMITS.search(said.text)
    if limits is None:
        return "the compiler crashed" if not said.whole else "the compiler said nothing of it"
    group, local = int(limits[1]), int(limits[2])
    if chip.architecture == "ir3":
        figures = ir3.read_figures(said.text, group, local)
    else:
        read = bifrost.read_figures if chip.architecture == "bifrost" else valhall.read_figures
        figures = read(said.text, chip, group, local)
    return figures or "the compiler showed no machine code of it"


def _first_error(log: str) -> str:
    """The first line of a log that has an error, else its first one."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[0] if lines else "no reason given")[:300]
