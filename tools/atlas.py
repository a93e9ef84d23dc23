"""Make docs/atlas.md and docs/atlas.png: what every network is predicted to take on the GPUs in the box.

    python tools/atlas.py                     # the page and its picture
    python tools/atlas.py --count FOLDER      # first count kernels anew, with the compilers in FOLDER (an hour)

Predictions come from the predictors in the package (`latency.cost_model.box`); no phone and no table is needed. Where
zeros begin to pay is counted, not timed: cycles that Mesa's compilers give this project's kernels
(`codegen.inspect`), kept in docs/atlas_counts.csv.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.graph.network import Graph

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE, PICTURE, COUNTS = DOCS / "atlas.md", DOCS / "atlas.png", DOCS / "atlas_counts.csv"
#: networks of the page; the first two are the paper's
NETWORKS = (
    "lwop", "resnet50_3", "resnet50", "openpose", "posenet", "movenet_multipose", "efficientnet", "efficientnet_se",
    "efficientnet_b0",
)  # fmt: skip
#: networks, profiles and variants whose kernels are counted
COUNTED, PROFILES = ("lwop", "resnet50_3", "efficientnet"), ("mali-g76", "adreno-730")
VARIANTS = {"dense": 1.0, "columns:0.5:8x1": 2.0, "columns:0.75:8x1": 4.0}
#: share of a network's time in layers in doubt from which its figure is marked
DOUBTFUL = 0.1
COUNT_COLUMNS = ("network", "profile", "variant", "cycles", "faster_share", "compiler")


@dataclass(frozen=True)
class Cell:
    """One network on one GPU: milliseconds, their interval, and the share of them in layers in doubt."""

    ms: float
    low: float
    high: float
    doubt: float

    def __str__(self) -> str:
        mark = f" ?{self.doubt:.0%}" if self.doubt >= DOUBTFUL else ""
        ms, low, high = (f"{value:.3g}" if value < 1000 else f"{value:.0f}" for value in (self.ms, self.low, self.high))
        return f"{ms} ({low} to {high}){mark}"


@cache
def graph_of(network: str) -> Graph:
    """A registered network, traced at its own size."""
    from codegen.lowering.sizes import trace_model

    return trace_model(network, None)


def cell(network: str, device: str) -> Cell:
    """Predict one network, dense, at its own size."""
    from latency.cost_model.box.shipped import shipped
    from latency.network_model.forecast import predict_network

    steps, total = predict_network(graph_of(network), shipped(device), dtype="float16")
    doubtful = sum(step.prediction.ms for step in steps if step.prediction.doubts)
    return Cell(total.ms, total.low, total.high, doubtful / total.sum_ms)


def label(device: str) -> str:
    """A GPU and whose kernels it was timed with."""
    from latency.cost_model.box.shipped import sources

    about = sources()[device]
    return f"{about['gpu']}, {'TVM' if about['framework'] == 'tvm' else 'LiteRT'}"


def count(folder: Path) -> None:
    """Count the kernels of COUNTED anew; adds up cycles, and the share of dense ones in layers that 2x makes faster."""
    import json
    import os
    import subprocess

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
        cycles = [float(own[variant]["cycles"]) for variant in VARIANTS]
        ratios = [f"{cycles[0] / value:.2f}" for value in cycles[1:]]
        share = f"{float(own['columns:0.5:8x1']['faster_share']):.0%}"
        rows.append([f"`{network}`", profile, *ratios, share, break_even(cycles, [*VARIANTS.values()])])
    return rows, lines[0]["compiler"]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["-"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def page(cells: dict[tuple[str, str], Cell], devices: Sequence[str]) -> str:
    """The text of docs/atlas.md."""
    rows = [[f"`{network}`", *(str(cells[network, device]) for device in devices)] for network in NETWORKS]
    counts, compiler = counted_table()
    count_header = ["network", "profile", "dense / 2x fewer weights", "dense / 4x", "cheaper at 2x", "cheaper from"]
    return f"""# An atlas: networks on phones' GPUs, predicted

Made by `python tools/atlas.py`. Nothing on this page was measured on a phone by this project.

## Dense networks

Milliseconds of one picture in half precision at each network's own size, with 90 % intervals, by the predictors that
come with the package ([latency-model.md](latency-model.md#without-a-phone)). They are **of others' kernels**: TVM's as
AutoTVM tuned them (octoml/qualcomm), or LiteRT's (qed-usc/mobile-ml-benchmark); kernels are added up, and what a
network takes besides is not in it. The paper's two networks are the first two rows.

{table(["", *map(label, devices)], rows)}

?N % says that so much of the time is in layers unlike all that the predictor was fitted on: pools, joins, resizes and
sizes beyond its own. These are guesses, and the interval does not cover them: a figure with more than half is one.

The columns compare kernels as much as GPUs. The Adreno 650's are TVM's schedules for Mali, tuned in 2020; those of the
660 and the 730 keep activations in textures, are two to three years younger, and several times as fast on equal layers.

![Predicted milliseconds by network and GPU](atlas.png)

## Where zeros begin to pay, by counts

**Counts, not times**: cycles of the busiest unit that {compiler} gives this project's own kernels in
half precision, summed over a network's layers; memory is not in them. All convolutions that can have it get columns of
8 filters (`columns:0.5:8x1`, `columns:0.75:8x1`). "Cheaper at 2x" is the share of dense cycles that layers have which
twofold zeros make cheaper. Some sparse kernels spill registers, which costs memory that is not counted, so that the
sparse side looks better than it is; `{"`, `".join(COUNTED)}` are the networks that were counted.

{table(count_header, counts)}

Whether zeros pay on a device of yours is decided by times from it (`latency.collect`): `latency.decide` refuses to
decide from this page's predictors.
"""


def draw(cells: dict[tuple[str, str], Cell], devices: Sequence[str]) -> None:
    """docs/atlas.png: networks as rows, a mark for each GPU on a logarithmic axis, intervals as bars."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    colours = ("#1f77b4", "#17becf", "#2ca02c", "#d62728", "#ff7f0e", "#9467bd")
    for number, (device, colour) in enumerate(zip(devices, colours, strict=False)):
        shift = (number - (len(devices) - 1) / 2) * 0.12
        places = [row + shift for row in range(len(NETWORKS))]
        values = [cells[network, device] for network in NETWORKS]
        spans = [[one.ms - one.low for one in values], [one.high - one.ms for one in values]]
        axes.errorbar([one.ms for one in values], places, xerr=spans, fmt="o", markersize=4, color=colour,
                      linewidth=1.2, label=label(device))  # fmt: skip
    axes.set_yticks(range(len(NETWORKS)), NETWORKS)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("predicted milliseconds, half precision, dense, others' kernels; bars: 90 % intervals")
    axes.grid(axis="x", which="both", alpha=0.25)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})


def main() -> int:
    from latency.cost_model.box.shipped import names

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=Path, metavar="FOLDER", help="count kernels anew with these compilers")
    arguments = parser.parse_args()
    if arguments.count:
        count(arguments.count)
    devices = names()
    cells = {(network, device): cell(network, device) for network in NETWORKS for device in devices}
    PAGE.write_text(page(cells, devices), encoding="utf-8")
    draw(cells, devices)
    print(f"{PAGE.relative_to(DOCS.parent)}, {PICTURE.relative_to(DOCS.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
