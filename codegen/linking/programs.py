"""The OpenCL C that TVM writes, kernel by kernel. Imports no TVM."""

from __future__ import annotations

#: what TVM writes before each kernel of a program, with its name
_HEADING = "// Function: "


def kernel_sections(source: str) -> dict[str, str]:
    """The text of each kernel of a program by its name: what the preprocessor is told, declarations, the kernel."""
    sections = {}
    for section in source.split(_HEADING)[1:]:
        heading, _, text = section.partition("\n")
        sections[heading.strip()] = text
    return sections
