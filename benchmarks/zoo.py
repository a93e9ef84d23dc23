"""The zoo's networks, one after the other: what of each runs on kernels of ours, how right it is, how long it takes.

`python -m benchmarks.zoo --csv docs/zoo.csv --markdown docs/networks.md` keeps a row for each network, goes on where it
was stopped, and puts the rows as a table between two comments of the document. Networks and pictures are small, so that
times say more of overheads than of arithmetic.
"""

from __future__ import annotations

import argparse
import csv
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.engines import EngineJob, PreparedEngine
from benchmarks.engines.any_module import call_of, load_network, traced_module
from benchmarks.engines.pytorch import prepare as prepare_torch
from devices import open_device
from devices.session import Session
from devices.timing.interleaved import measure_interleaved
from fleetpose import cli
from fleetpose.errors import UsageError, reason
from fleetpose.files import atomic_output
from fleetpose.progress import status
from models.frontend.results.residency import residency_of
from models.graph.network import Graph
from models.graph.reference import run_graph
from models.plans.eligible import prunable
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity
from models.prune.oneshot import prune_graph
from tests.zoo.catalogue import ZOO, create_zoo
from tests.zoo.checking import as_module_returns, exact_outputs, largest_error, picture

log = logging.getLogger("benchmarks.zoo")

#: zeros of every convolution that may have them, in the pruned networks
COLUMNS = Sparsity.parse("columns:0.5:4x1")
#: what stands around the table in a document
BEGIN, END = "<!-- made by benchmarks.zoo -->\n", "<!-- end of what was made -->\n"


@dataclass
class ZooRow:
    """One network.

    Attributes:
        network, family, size: its name, its module in tests.zoo, the input's height x width.
        layers, mmacs: how many there are, and their multiply-adds in millions.
        residency: the share of multiply-adds on kernels of ours, 0 to 1.
        error, pruned_error: the largest difference from float64 over the largest magnitude; empty where it was not run.
        ms, pruned_ms, torch_ms, onnxruntime_ms: medians of an interleaved run; empty where it was not timed.
        reason: why something of it is missing.
    """

    network: str
    family: str
    size: str
    layers: str = ""
    mmacs: str = ""
    residency: str = ""
    error: str = ""
    pruned_error: str = ""
    ms: str = ""
    pruned_ms: str = ""
    torch_ms: str = ""
    onnxruntime_ms: str = ""
    reason: str = ""


COLUMN_NAMES = [field.name for field in fields(ZooRow)]


class FlatNetwork(nn.Module):
    """A network whose outputs are a tuple, however they were nested."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(torch.utils._pytree.tree_leaves(self.network(x)))


def examine(name: str, session: Session | None, rounds: int) -> ZooRow:
    """The row of one network: what it is, and with a session also how right it is, and in `rounds` how fast."""
    entry = ZOO[name]
    row = ZooRow(name, entry.family, "x".join(map(str, entry.size)))
    try:
        network = create_zoo(name)
        residency = residency_of(network, entry.shape)
        row.layers = str(sum(kind.count for kind in residency.layers))
        row.mmacs, row.residency = f"{residency.macs / 1e6:.2f}", f"{residency.share:.3f}"
        row.reason = "; ".join(f"{kind.kind}: {kind.why}" for kind in residency.refused)
        if session and not residency.refused:
            run(row, network, session, rounds)
    except Exception as error:  # whatever ails a network is its row's text
        log.debug("%s", name, exc_info=True)
        row.reason = reason(error)
    return row


def run(row: ZooRow, network: nn.Module, session: Session, rounds: int) -> None:
    """Build a network dense and pruned, compare both with float64, and time them if `rounds` is not 0."""
    shape = ZOO[row.network].shape
    x, dense = picture(shape), traced_module(row.network, network, shape)
    (graph,) = dense.graphs
    sparse = {layer.name: COLUMNS for layer in prunable(graph) if COLUMNS.applies_to(layer) is None}
    graph = prune_graph(graph, Plan.of(row.network, graph.layers, sparse))
    artifact = load_network(dense, session)
    row.error = f"{largest_error(list(artifact.run(x).values()), exact_outputs(network, x)):.1e}"
    calls = {"ms": call_of(artifact, x)}
    artifact = load_network(replace(dense, graphs=[graph], sparsities=sparse), session)
    row.pruned_error = f"{largest_error(list(artifact.run(x).values()), _exact(graph, x)):.1e}"
    calls["pruned_ms"] = call_of(artifact, x)
    if rounds:
        job = EngineJob(row.network, FlatNetwork(network).eval(), x, torch.get_num_threads(), session)
        for name, prepared in _others(job).items():
            calls[f"{name}_ms"] = prepared.call
        timings = measure_interleaved(session, calls, rounds, clock="wall").measurements
        for name, timing in timings.items():
            if timing.ok:
                setattr(row, name, f"{1e3 * float(np.median(timing.wall_secs)):.3f}")


def _exact(graph: Graph, x: np.ndarray) -> list[np.ndarray]:
    return as_module_returns(graph, run_graph(graph, x))


def _others(job: EngineJob) -> Mapping[str, PreparedEngine]:
    """PyTorch, and ONNX Runtime where it is installed and takes the network."""
    engines = {"torch": prepare_torch(job)}
    try:
        from benchmarks.engines.onnxruntime import prepare as prepare_onnx

        engines["onnxruntime"] = prepare_onnx(job)
    except Exception as error:  # another engine's trouble leaves an empty cell
        log.info("%s on ONNX Runtime: %s", job.model, reason(error))
    return engines


def read_rows(path: Path) -> dict[str, ZooRow]:
    """The rows of a file by network; none where there is no file."""
    if not path.exists():
        return {}
    with open(path, newline="", encoding="utf-8") as file:
        return {row["network"]: ZooRow(**row) for row in csv.DictReader(file)}


def write_rows(path: Path, rows: Mapping[str, ZooRow]) -> None:
    """All rows, in the zoo's order."""
    with atomic_output(path, force=True) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMN_NAMES, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(rows[name]) for name in ZOO if name in rows)


def markdown(rows: Sequence[ZooRow]) -> str:
    """A table with a column for each fact that some network has."""
    titles = {
        "network": "network",
        "size": "input",
        "layers": "layers",
        "mmacs": "MMACs",
        "residency": "on our kernels",
        "error": "largest error",
        "pruned_error": "pruned",
        "ms": "ms",
        "pruned_ms": "ms pruned",
        "torch_ms": "ms PyTorch",
        "onnxruntime_ms": "ms ONNX Runtime",
        "reason": "what is missing",
    }
    columns = [name for name in titles if any(getattr(row, name) for row in rows)]
    lines = [[titles[name] for name in columns], ["-" if name in ("network", "reason") else "-:" for name in columns]]
    lines += [[_cell(row, name) for name in columns] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(row: ZooRow, name: str) -> str:
    text = getattr(row, name)
    return f"{float(text):.0%}" if name == "residency" and text else text


def put_table(path: Path, table: str) -> None:
    """Replace what stands between the two comments of a document, or write a document of the table alone.

    Raises:
        UsageError: the document has not both comments.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else BEGIN + END
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise UsageError(f"{path} has no table to replace: it lacks the lines {BEGIN.strip()} and {END.strip()}")
    with atomic_output(path, force=True) as temporary:
        temporary.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


def is_complete(row: ZooRow, rounds: int) -> bool:
    """Whether a network need not be run again: it failed, or was run, and timed if times are wanted."""
    return bool(row.reason or (row.error and (row.ms or not rounds)))


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("benchmarks.zoo", "What of many small networks runs here, how right and how fast.")
    parser.add_argument("--network", nargs="+", metavar="NAME", help="of the zoo (default: all)")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="rows that are kept; what has run is not run again")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put the table of all rows there")
    parser.add_argument("--no-device", action="store_true", help="trace only")
    parser.add_argument("--rounds", type=int, default=0, help="samples of each time (default: 0, no times)")
    return parser


def main(arguments: argparse.Namespace) -> int:
    rows = read_rows(arguments.csv) if arguments.csv else {}
    finished = [name for name, row in rows.items() if arguments.no_device or is_complete(row, arguments.rounds)]
    names = [name for name in arguments.network or ZOO if name not in finished]
    with status("zoo") as progress:
        for name in names:
            progress(name)
            if arguments.no_device:
                rows[name] = examine(name, None, 0)
            else:
                with open_device("host") as session:  # one each, so that what breaks it leaves the next one whole
                    rows[name] = examine(name, session, arguments.rounds)
            if arguments.csv:
                write_rows(arguments.csv, rows)
    ordered = [rows[name] for name in ZOO if name in rows]
    if arguments.markdown:
        put_table(arguments.markdown, markdown(ordered))
    if arguments.json:
        cli.print_json({"rows": [asdict(row) for row in ordered]})
    else:
        print(markdown(ordered), end="")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
