"""Where zeros begin to pay by counts, for tools/atlas.py: cycles that Mesa's compilers give this project's kernels.

docs/atlas_counts.csv keeps what `codegen.inspect` counted.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

COUNTS = Path(__file__).resolve().parents[1] / "docs" / "atlas_counts.csv"
#: networks, profiles and variants whose kernels are counted
COUNTED, PROFILES = ("lwop", "resnet50_3", "efficientnet"), ("mali-g76", "adreno-730")
VARIANTS = {
    "dense": 1.0, "columns:0.3333:8x1": 1.5, "columns:0.5:8x1": 2.0, "columns:0.6667:8x1": 3.0, "columns:0.75:8x1": 4.0,
}  # fmt: skip
COUNT_COLUMNS = ("network", "profile", "variant", "cycles", "faster_share", "compiler")


def count(folder: Path) -> None:
    """Count the kernels of COUNTED anew; adds up cycles, and the share of dense ones in layers that 2x makes faster."""
    rows = []
    for network in COUNTED:
        for profile in PROFILES:
            layers: dict[str, dict[str, float]] = {}
            for variant in VARIANTS:
                flags = [] if variant == "dense" else ["--sparsity", variant]
                words = [sys.executable, "-m", "codegen.inspect", "--model", network, "--profile", profile,
                         "--dtype", "float16", "--json", *flags]  # fmt: skip
                made = subprocess.run(
                    words, env={**os.environ, "FLEETPOSE_COMPILERS": str(folder)}, stdout=subprocess.PIPE, check=False
                )
                if made.returncode not in (0, 1):  # 1: a kernel spills, which is counted all the same
                    raise SystemExit(f"codegen.inspect ends with {made.returncode} for {network} on {profile}")
                answer = json.loads(made.stdout)
                rows.append(count_row(network, profile, variant, answer, layers))
    write_counts(rows)


def count_row(
    network: str, profile: str, variant: str, answer: dict, layers: dict[str, dict[str, float]]
) -> dict[str, object]:
    """One line of docs/atlas_counts.csv from what codegen.inspect answers; `layers` gathers each variant's cycles."""
    layers[variant] = {layer["layer"]: layer["cycles"] or 0.0 for layer in answer["layers"]}
    dense = layers["dense"]
    faster = sum(cycles for name, cycles in dense.items() if layers[variant].get(name, cycles) < cycles)
    return {
        "network": network, "profile": profile, "variant": variant, "cycles": answer["total"]["cycles"],
        "faster_share": round(faster / sum(dense.values()), 3), "compiler": answer["compiler"],
    }  # fmt: skip


def write_counts(rows: Iterable[dict[str, object]], path: Path = COUNTS) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COUNT_COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def break_even(cycles: Sequence[float], ratios: Sequence[float]) -> str:
    """Times fewer weights from which the cycles are below the dense ones', on a line between what was counted."""
    dense = cycles[0]
    for (before, here), (less, more) in zip(pairwise(cycles[1:]), pairwise(ratios[1:]), strict=True):
        if before < dense:
            return f"below {less:g}x"
        if here < dense:
            return f"{less + (more - less) * (before - dense) / (before - here):.1f}x"
    return f"above {ratios[-1]:g}x"


def counted_table(path: Path = COUNTS) -> tuple[list[list[str]], str]:
    """Rows for the page, and the compiler that counted."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    rows = []
    for network, profile in dict.fromkeys((line["network"], line["profile"]) for line in lines):
        own = {line["variant"]: line for line in lines if (line["network"], line["profile"]) == (network, profile)}
        cycles = {variant: float(own[variant]["cycles"]) for variant in VARIANTS if variant in own}
        fewer = [VARIANTS[variant] for variant in cycles]
        ratios = [f"{cycles['dense'] / cycles[name]:.2f}" if name in cycles else "" for name in [*VARIANTS][1:]]
        share = f"{float(own['columns:0.5:8x1']['faster_share']):.0%}"
        rows.append([f"`{network}`", profile, *ratios, share, break_even([*cycles.values()], fewer)])
    return rows, lines[0]["compiler"]
