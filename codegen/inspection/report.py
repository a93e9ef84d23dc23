"""An inspection as tables for people and as one JSON object for programs."""

from __future__ import annotations

from typing import Any

from codegen.inspection.chips import CHIPS
from codegen.inspection.inspection import InspectedKernel, InspectedLayer, Inspection, KindSummary
from fleetpose import cli
from fleetpose.codec import encode

#: what the figures are and are not, for whoever reads them
NOTES = (
    "figures are of Mesa's compiler, not of the maker's; util is an upper bound: caches and memory are not in it",
    "vloadN and vstoreN were given to the compiler as accesses of whole vectors, which Mesa would take apart",
)
_HEADER = [
    "layer", "kind", "tile", "kernel", "launches", "group", "filled", "regs", "held", "spills", "inst/MAC", "acc/MAC",
    "bound", "util",
]  # fmt: skip
_KINDS_HEADER = ["kind", "layers", "launches", "kernels", "MMACs", "util", "util x filled", "Mcycles", "share"]


def to_json(inspection: Inspection) -> dict[str, Any]:
    """The object that --json prints; what is not known is null."""
    return {
        "profile": inspection.profile,
        "gpu": inspection.gpu,
        "compiler": inspection.compiler,
        "dtype": inspection.dtype,
        "notes": [*NOTES],
        "kinds": [_encode_kind(summary) for summary in inspection.kinds],
        "total": _encode_kind(inspection.total),
        "faults": inspection.faults,
        "layers": [_encode_layer(layer) for layer in inspection.layers],
    }


def print_report(inspection: Inspection) -> None:
    """A table of the kernels, one of the kinds, and the notes, on stdout."""
    rows, verdicts = _kernel_rows(inspection)
    cli.print_table(_HEADER, rows, verdicts)
    print()
    summaries = [*inspection.kinds, inspection.total]
    whole = inspection.total.cycles
    cli.print_table(_KINDS_HEADER, [_kind_cells(summary, whole) for summary in summaries])
    print(f"\n{inspection.gpu} by {inspection.compiler}, kernels for {inspection.profile} in {inspection.dtype}")
    for note in NOTES:
        print(f"- {note}")


def _kernel_rows(inspection: Inspection) -> tuple[list[list[str]], list[bool | None]]:
    """A row for each kernel that differs from those above, and whether it has a fault."""
    launches: dict[str, list[tuple[InspectedLayer, InspectedKernel]]] = {}
    for layer in inspection.layers:
        for kernel in layer.kernels:
            launches.setdefault(kernel.digest, []).append((layer, kernel))
    rows: list[list[str]] = []
    verdicts: list[bool | None] = []
    for same in launches.values():
        layer, kernel = same[0]
        others = len({other.layer for other, _ in same}) - 1
        place = layer.kernels.index(kernel) + 1
        number = f" ({place} of {len(layer.kernels)})" if len(layer.kernels) > 1 else ""
        name = layer.layer + (f" +{others}" if others else "")
        launched = sum(not other.with_previous for other, _ in same)
        cells = [name, layer.kind + number, layer.tile, kernel.kernel, str(launched), str(kernel.group)]
        rows.append(cells + _figures(kernel, CHIPS[inspection.gpu].is_mali))
        verdicts.append(False if kernel.faults else None)
    return rows, verdicts


def _figures(kernel: InspectedKernel, is_mali: bool) -> list[str]:
    figures = kernel.figures
    if figures is None:
        return ["-"] * 8
    filled = _number(figures.filled(kernel.group))
    held = f"{figures.occupancy}/2" if is_mali else f"{figures.occupancy}x{figures.wave}"
    spills = f"{figures.spills}:{figures.fills}" if figures.fills else str(figures.spills)
    hot = figures.hot
    per_mac = [_number(hot.instructions_per_mac), _number(hot.accesses_per_mac, 3)]
    bound = hot.bound if hot.macs else "-"
    return [filled, str(figures.registers), held, spills, *per_mac, bound, _number(hot.utilisation)]


def _kind_cells(summary: KindSummary, whole: float | None) -> list[str]:
    counts = [str(summary.layers), str(summary.launches), str(summary.kernels)]
    utilisations = [_number(summary.utilisation), _number(summary.filled_utilisation)]
    cycles = None if summary.cycles is None else summary.cycles / 1e6
    share = "-" if summary.cycles is None or not whole else f"{summary.cycles / whole:.0%}"
    return [summary.kind, *counts, f"{summary.macs / 1e6:.1f}", *utilisations, _number(cycles), share]


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _encode_kind(summary: KindSummary) -> dict[str, Any]:
    values = [(name, getattr(summary, name)) for name in ("utilisation", "filled_utilisation", "cycles")]
    return {**encode(summary), **{name: _rounded(value) for name, value in values}}


def _encode_layer(layer: InspectedLayer) -> dict[str, Any]:
    kernels = [_encode_kernel(kernel) for kernel in layer.kernels]
    values = {
        "utilisation": _rounded(layer.utilisation),
        "filled_utilisation": _rounded(layer.filled_utilisation),
        "cycles": _rounded(layer.cycles),
    }
    return {**encode(layer), **values, "kernels": kernels}


def _encode_kernel(kernel: InspectedKernel) -> dict[str, Any]:
    content = {**encode(kernel), "cycles": _rounded(kernel.cycles)}
    if kernel.figures is not None:
        hot = kernel.figures.hot
        content["figures"]["hot"] |= {
            "instructions_per_mac": _rounded(hot.instructions_per_mac),
            "accesses_per_mac": _rounded(hot.accesses_per_mac),
            "utilisation": _rounded(hot.utilisation),
        }
    return content


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
