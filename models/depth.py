"""How deep a network should be at a given budget (section 2.1 of the paper): `python -m models.depth`.

The table behind the paper's Table 1: networks of one family and one budget, from shallow and wide to deep. What finds
them is in models.depth_search.candidates; `codegen.depth` is this command with latency measured on a device.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from fleetpose import cli
from fleetpose.errors import UsageError, unknown_name
from fleetpose.options import COUNT, POSITIVE, SHARE
from fleetpose.progress import status
from models.depth_search.candidates import AccuracyOf, Candidate, determine_depth, family_members
from models.depth_search.families import FAMILIES
from models.depth_search.search import DepthSearch
from models.graph.network import Graph
from models.zoo.paper import TABLE_1, PaperFacts

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Candidate", "determine_depth", "family_members", "main", "make_parser"]


def _comparable(paper: PaperFacts, candidate: Candidate) -> bool:
    """Whether a printed network has as many layers and, within 2 %, as many multiply-adds."""
    return paper.layers == candidate.layers and abs(candidate.macs_bn / 1e9 / (paper.gmacs or 1) - 1) <= 0.02


def _cells(candidate: Candidate, with_paper: bool) -> tuple[str, ...]:
    equals = (paper for paper in TABLE_1.values() if _comparable(paper, candidate))
    facts = (TABLE_1.get(candidate.spec.name) or next(equals, None)) if with_paper else None
    printed = (f"{facts.gmacs:g}", f"{facts.ap:g}", f"{facts.map:g}") if facts else ("-", "-", "-")
    return (
        candidate.spec.name,
        str(candidate.layers),
        ",".join(map(str, candidate.depths)),
        ",".join(map(str, candidate.widths)),
        f"{candidate.macs / 1e9:.3f}",
        f"{candidate.macs_bn / 1e9:.3f}" + ("" if candidate.holds else " !"),
        f"{candidate.params / 1e6:.3f}",
        "-" if candidate.latency_secs is None else f"{candidate.latency_secs * 1e3:.2f}",
        "-" if candidate.accuracy is None else f"{candidate.accuracy:.3f}",
        *(printed if with_paper else ()),
    )


HEADER = ("network", "layers", "blocks", "widths", "conv G", "+BN G", "params M", "ms", "accuracy")
PAPER_HEADER = ("paper: G", "AP", "mAP")


def make_parser(command: str = "models.depth") -> argparse.ArgumentParser:
    """The flags; `codegen.depth` adds a device to them."""
    parser = cli.parser(command, "List networks of one family and one budget, from shallow and wide to deep.")
    parser.add_argument("--family", required=True, help=f"one of {', '.join(FAMILIES)}")
    parser.add_argument("--gmacs", type=POSITIVE, required=True, help="the budget: GMACs with biases and batch norm")
    parser.add_argument("--tolerance", type=SHARE, default=0.02, help="fraction a network may be off the budget")
    parser.add_argument("--step", type=COUNT, default=8, help="widths are multiples of this")
    parser.add_argument(
        "--blocks",
        type=COUNT,
        nargs="+",
        default=[],
        metavar="N",
        help="numbers of blocks (default: the family's)",
    )
    parser.add_argument("--all-splits", action="store_true", help="list every division of blocks that keeps the budget")
    parser.add_argument(
        "--weights", nargs="+", default=[], metavar="NETWORK=FILE", help="trained weights of the row of that name"
    )
    parser.add_argument("--members", action="store_true", help="also list the registered networks of the family")
    parser.add_argument("--size", type=cli.image_size, default=(368, 368), metavar="HxW", help="input size")
    parser.add_argument("--data", help="COCO folder; with --weights, the accuracy column is AP on it")
    return parser


def _accuracy_of_weights(weights: list[str], data: str | None) -> AccuracyOf | None:
    """AP of the candidates that weights are given for.

    Raises:
        UsageError: flags that do not fit together, files or photographs that are not there; before anything is timed.
    """
    if bool(weights) != bool(data):
        raise UsageError("--weights NETWORK=FILE and --data DIR go together")
    files = dict(text.partition("=")[::2] for text in weights)
    for name, file in files.items():
        if not (name and file):
            raise UsageError(f"--weights {name}{file}: give NETWORK=FILE, such as resnet50_3=w.safetensors")
        if not Path(file).is_file():
            raise UsageError(f"--weights {name}={file}: no such file")
    if data:
        from models.accuracy.protocol import check_annotated

        check_annotated(data)

    def accuracy_of(module: nn.Module, candidate: Candidate) -> float | None:
        from models.accuracy.protocol import evaluate_network
        from models.zoo.weights import load_weights

        if candidate.spec.name not in files:
            return None
        load_weights(module, files[candidate.spec.name])
        return evaluate_network(module, candidate.spec, str(data)).ap

    return accuracy_of if weights else None


def _print(candidates: list[Candidate], search: DepthSearch, with_paper: bool) -> None:
    cli.print_table(
        HEADER + (PAPER_HEADER if with_paper else ()), [_cells(candidate, with_paper) for candidate in candidates]
    )
    if not all(candidate.holds for candidate in candidates):
        print(f"!: nothing within {search.tolerance:.1%} of {search.gmacs:g} G at these blocks; widths only shrink")
    if all(candidate.latency_secs is None for candidate in candidates):
        print("ms: python -m codegen.depth takes the same flags and --device, and measures it")
    if with_paper:
        print(
            "paper: Table 1's network with as many backbone layers; COCO AP of its own training, not of these networks"
        )


def main(arguments: argparse.Namespace, latency_of: Callable[[Graph], float] | None = None) -> int:
    """The command; `latency_of` as for `determine_depth`."""
    blocks = tuple(dict.fromkeys(arguments.blocks))
    search = DepthSearch(
        arguments.gmacs, arguments.tolerance, arguments.step, blocks, arguments.all_splits, arguments.size
    )
    if arguments.weights:
        listed = determine_depth(arguments.family, search, include_members=arguments.members)
        names = [candidate.spec.name for candidate in listed]
        for text in arguments.weights:
            if (name := text.partition("=")[0]) not in names:
                raise unknown_name("network", name, names)
    with status("depth") as progress:
        accuracy_of = _accuracy_of_weights(arguments.weights, arguments.data)
        candidates = determine_depth(arguments.family, search, latency_of, accuracy_of, progress, arguments.members)
    with_paper = arguments.family == "resnet"
    if arguments.json:
        table = [{"model": name, **asdict(facts)} for name, facts in TABLE_1.items()] if with_paper else []
        rows = [candidate.to_dict() for candidate in candidates]
        cli.print_json({"family": arguments.family, **asdict(search), "candidates": rows, "paper": table})
    else:
        _print(candidates, search, with_paper)
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
