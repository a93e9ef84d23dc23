"""The blocks of a network, by module path: what sensitivity is watched by and decisions are reported by; torch-free.

A table is a tuple of (pattern, block). A pattern is a dotted module path in which "*" stands for one component; it
covers that module and all below. The first pattern that covers a path wins.
"""

from __future__ import annotations

BlockTable = tuple[tuple[str, str], ...]

#: where no pattern covers a path, and in networks without a table
UNNAMED = "network"

#: the stages' blocks; a shared trunk of refinement is "refinement stage"
_STAGES: BlockTable = (
    ("initial_stage", "initial stage"),
    ("refinement_stages.*.heatmaps", "heatmap branch"),
    ("refinement_stages.*.pafs", "PAF branch"),
    ("refinement_stages", "refinement stage"),
)

#: models.networks.lwop
LWOP_BLOCKS: BlockTable = (("model", "backbone"), ("cpm", "neck"), *_STAGES)

#: models.networks.head.TwoBranchNetwork
TWO_BRANCH_BLOCKS: BlockTable = (("backbone", "backbone"), ("neck", "neck"), *_STAGES)

#: models.networks.movenet
MOVENET_BLOCKS: BlockTable = (
    *(("heads", "CenterNet heads"), ("merges", "neck"), ("laterals", "neck"), ("top", "neck")),
    ("*", "backbone"),
)


def covers(pattern: str, path: str) -> bool:
    """Whether `pattern` is `path` or a module above it."""
    wanted, parts = pattern.split("."), path.split(".")
    return len(wanted) <= len(parts) and all(want in ("*", have) for want, have in zip(wanted, parts, strict=False))


def block_of(path: str, table: BlockTable) -> str:
    """The block of a module path (or layer name); UNNAMED where the table covers it nowhere."""
    return next((block for pattern, block in table if covers(pattern, path)), UNNAMED)
