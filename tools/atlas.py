"""Make docs/atlas.md and docs/atlas.png: what every network is predicted to take on the GPUs in the box.

    python tools/atlas.py                     # the page and its picture
    python tools/atlas.py --count FOLDER      # first count kernels anew, with the compilers in FOLDER (an hour)

Predictions come from the predictors in the package (`latency.cost_model.box`); no phone and no table is needed. Where
zeros begin to pay is counted, not timed: cycles that Mesa's compilers give this project's kernels
(`codegen.inspect`), kept in docs/atlas_counts.csv.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from atlas_counts import COUNTED, VARIANTS, count, counted_table

if TYPE_CHECKING:
    from models.graph.network import Graph

DOCS = Path(__file__).resolve().parents[1] / "docs"
#: networks of the page: all that are registered; the first two are the paper's
NETWORKS = (
    "lwop", "resnet50_3", "resnet50", "resnet50_2", "resnet50_3_t1", "resnet50_4", "human_pose_0001", "openpose",
    "posenet", "movenet_multipose", "efficientnet", "efficientnet_se", "efficientnet_b0",
)  # fmt: skip
#: share of a network's time in layers in doubt from which its figure is marked
DOUBTFUL = 0.1


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


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["-"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def describe(network: str) -> list[str]:
    """A network's name, its own input's height x width, and billions of multiply-adds."""
    graph = graph_of(network)
    _, height, width = graph.input_shape
    return [f"`{network}`", f"{height}x{width}", f"{graph.macs / 1e9:.3g}"]


def page(cells: dict[tuple[str, str], Cell], networks: Sequence[str], devices: Sequence[str]) -> str:
    """The text of docs/atlas.md."""
    rows = [[*describe(network), *(str(cells[network, device]) for device in devices)] for network in networks]
    counts, compiler = counted_table()
    fewer = [f"dense / {ratio:g}x" for ratio in [*VARIANTS.values()][1:]]
    count_header = ["network", "profile", *fewer, "cheaper at 2x", "cheaper from"]
    return f"""# An atlas: networks on phones' GPUs, predicted

Made by `python tools/atlas.py`. Nothing on this page was measured on a phone by this project.

## Dense networks

Milliseconds of one picture in half precision at each network's own size, with 90 % intervals, by the predictors that
come with the package ([latency-model.md](latency-model.md#without-a-phone)). They are **of others' kernels**: TVM's as
AutoTVM tuned them (octoml/qualcomm), or LiteRT's (qed-usc/mobile-ml-benchmark); kernels are added up, and what a
network takes besides is not in it. The paper's two networks are the first two rows.

{table(["", "input", "GMACs", *map(label, devices)], rows)}

?N % says that so much of the time is in layers unlike all that the predictor was fitted on: pools, joins, resizes and
sizes beyond its own. These are guesses, and the interval does not cover them: a figure with more than half is one.

The columns compare kernels as much as GPUs. The Adreno 650's are TVM's schedules for Mali, tuned in 2020; those of the
660 and the 730 keep activations in textures, are two to three years younger, and several times as fast on equal layers.

![Predicted milliseconds by network and GPU; hollow where a tenth or more of the time is in doubt](atlas.png)

## Where zeros begin to pay, by counts

**Counts, not times**: cycles of the busiest unit that {compiler} gives this project's own kernels in
half precision, summed over a network's layers; memory is not in them. All convolutions that can have it get columns of
8 filters (`columns:0.5:8x1` for twofold), and "dense / 2x" is how many times fewer cycles half of the weights take.
"Cheaper at 2x" is the share of dense cycles that layers have which twofold zeros make cheaper. Some sparse kernels
spill registers, which costs memory that is not counted, so that the sparse side looks better than it is. The networks
that were counted are `{"`, `".join(COUNTED)}`.

{table(count_header, counts)}

Whether zeros pay on a device of yours is decided by times from it (`latency.collect`): `latency.decide` refuses to
decide from this page's predictors.
"""


def draw(cells: dict[tuple[str, str], Cell], networks: Sequence[str], devices: Sequence[str], picture: Path) -> None:
    """docs/atlas.png: networks as rows, a mark for each GPU on a logarithmic axis, intervals as bars."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 2 + 0.5 * len(networks)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    colours = ("#1f77b4", "#17becf", "#2ca02c", "#d62728", "#ff7f0e", "#9467bd")
    for number, (device, colour) in enumerate(zip(devices, colours, strict=False)):
        shift = (number - (len(devices) - 1) / 2) * 0.12
        axes.plot([], [], "o", markersize=4, color=colour, label=label(device))
        for row, network in enumerate(networks):
            value = cells[network, device]
            spans = [[value.ms - value.low], [value.high - value.ms]]
            inside = "white" if value.doubt >= DOUBTFUL else colour
            axes.errorbar([value.ms], [row + shift], xerr=spans, fmt="o", markersize=4, color=colour,
                          markerfacecolor=inside, linewidth=1.2)  # fmt: skip
    axes.set_yticks(range(len(networks)), networks)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("predicted milliseconds, half precision, dense, others' kernels; bars: 90 % intervals;\n"
                    f"hollow: {DOUBTFUL:.0%} or more of the time in layers in doubt")  # fmt: skip
    axes.grid(axis="x", which="both", alpha=0.25)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(picture, dpi=110, metadata={"Software": None})


def write(folder: Path, networks: Sequence[str], devices: Sequence[str]) -> tuple[Path, Path]:
    """Write atlas.md and atlas.png into a folder; their paths."""
    cells = {(network, device): cell(network, device) for network in networks for device in devices}
    text, picture = folder / "atlas.md", folder / "atlas.png"
    text.write_text(page(cells, networks, devices), encoding="utf-8")
    draw(cells, networks, devices, picture)
    return text, picture


def main() -> int:
    from latency.cost_model.box.shipped import names

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=Path, metavar="FOLDER", help="count kernels anew with these compilers")
    arguments = parser.parse_args()
    if arguments.count:
        count(arguments.count)
    print(", ".join(str(path.relative_to(DOCS.parent)) for path in write(DOCS, NETWORKS, names())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
