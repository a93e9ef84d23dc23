"""How deep a network should be at a given budget (section 2.1 of the paper): `python -m models.depth`.

For each number of blocks the widths shrink, in whole steps, until the multiply-adds meet the budget; accuracy and
latency then say which depth to take. Neither is known here: both are functions the caller gives, because what measures
them lies in packages above this one.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from fleetpose import cli
from fleetpose.errors import UsageError
from fleetpose.progress import status
from models.depth_families import FAMILIES, Cost, DepthFamily, Numbers, depth_family
from models.depth_search import Search, shapes
from models.graph import Graph
from models.paper import TABLE_1
from models.registry import build_model, model_spec
from models.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Candidate:
    """One network. Its counts are closed-form (models.depth_families) and equal those of the built module.

    Attributes:
        layers: backbone convolutions.
        depths, widths: per stage; see models.depth_families.
        spec: what `models.registry.build_model` builds it from.
        holds: `macs_bn` is within the tolerance; where false, nothing of as many blocks is.
        macs, macs_bn, params: as in models.count.Count.
        latency_secs, accuracy: what the caller's functions said; None without one.
    """

    layers: int
    depths: Numbers
    widths: Numbers
    spec: ModelSpec
    holds: bool
    macs: int
    macs_bn: int
    params: int
    latency_secs: float | None = None
    accuracy: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; of the spec the factory's parameters."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "spec"}
        return {**values, "factory": self.spec.factory, "parameters": dict(self.spec.parameters)}


#: a candidate's module with random weights, and the candidate -> accuracy or None
AccuracyOf = Callable[["nn.Module", Candidate], "float | None"]


def determine_depth(
    family: str,
    search: Search,
    latency_of: Callable[[Graph], float] | None = None,
    accuracy_of: AccuracyOf | None = None,
    progress: Callable[[str, int, int], None] = lambda message, done, total: None,
) -> list[Candidate]:
    """The networks of a family that hold a budget, by number of blocks.

    Args:
        family: a key of models.depth_families.FAMILIES.
        latency_of: seconds of a traced network with random weights, predicted or measured.
        accuracy_of: accuracy of a candidate's module, which the function may give weights or train first; None where
            it has no way to know.
        progress: called with a message, candidates done, and candidates in all.

    Raises:
        UsageError: an unknown family, or a number of blocks its stages cannot be made of.
    """
    members = depth_family(family)
    fixed = _fixed(members, search.size)
    totals = search.blocks or members.totals
    chosen = [shape for total in totals for shape in shapes(members, total, search, fixed.macs_bn)]
    found = [_candidate(members, *shape, search, fixed) for shape in chosen]
    if not (latency_of or accuracy_of):
        return found
    judged = []
    for done, candidate in enumerate(found):
        progress(candidate.spec.name, done, len(found))
        judged.append(_judged(candidate, search.size, latency_of, accuracy_of))
    return judged


def _candidate(family: DepthFamily, depths: Numbers, widths: Numbers, search: Search, fixed: Cost) -> Candidate:
    cost = fixed.plus(family.cost(depths, widths, search.size))
    base = model_spec(family.model)
    return Candidate(
        layers=cost.convs,
        depths=depths,
        widths=widths,
        spec=replace(
            base,
            name=f"{base.family}-{'-'.join(map(str, depths))}-w{'-'.join(map(str, widths))}",
            parameters={**base.parameters, "depths": depths, "widths": widths},
            summary="a candidate of models.depth",
            paper=None,
        ),
        holds=abs(cost.macs_bn - search.gmacs * 1e9) <= search.slack,
        macs=cost.macs,
        macs_bn=cost.macs_bn,
        params=cost.params,
    )


def _judged(
    found: Candidate,
    size: tuple[int, int],
    latency_of: Callable[[Graph], float] | None,
    accuracy_of: AccuracyOf | None,
) -> Candidate:
    from models.trace import trace

    module = build_model(found.spec)
    return replace(
        found,
        latency_secs=latency_of(trace(module, (3, *size), found.spec.name)) if latency_of else None,
        accuracy=accuracy_of(module, found) if accuracy_of else None,
    )


@functools.cache
def _fixed(family: DepthFamily, size: tuple[int, int]) -> Cost:
    """What of the real base network depths and widths do not change; `convs` are the backbone's."""
    from models.count import count_model

    spec = model_spec(family.model)
    counted = count_model(spec, size)
    backbone = sum(spec.block(conv.module) == "backbone" for conv in counted.convs)
    whole = Cost(backbone, counted.macs, counted.macs_bn, counted.params)
    return whole.plus(family.cost(family.depths, family.widths, size), -1)


def _cells(found: Candidate, with_paper: bool) -> tuple[str, ...]:
    facts = next((facts for facts in TABLE_1.values() if facts.layers == found.layers), None) if with_paper else None
    printed = (f"{facts.gmacs:g}", f"{facts.ap:g}", f"{facts.map:g}") if facts else ("-", "-", "-")
    return (
        str(found.layers),
        ",".join(map(str, found.depths)),
        ",".join(map(str, found.widths)),
        f"{found.macs / 1e9:.3f}",
        f"{found.macs_bn / 1e9:.3f}" + ("" if found.holds else " !"),
        f"{found.params / 1e6:.3f}",
        "-" if found.latency_secs is None else f"{found.latency_secs * 1e3:.2f}",
        "-" if found.accuracy is None else f"{found.accuracy:.3f}",
        *(printed if with_paper else ()),
    )


HEADER = ("layers", "blocks", "widths", "conv G", "+BN G", "params M", "ms", "accuracy")
PAPER_HEADER = ("paper: G", "AP", "mAP")


def make_parser(command: str = "models.depth") -> argparse.ArgumentParser:
    """The flags; `codegen.depth` adds a device to them."""
    parser = cli.parser(command, "List networks of one family and one budget, from shallow and wide to deep.")
    parser.add_argument("--family", required=True, help=f"one of {', '.join(FAMILIES)}")
    parser.add_argument("--gmacs", type=float, required=True, help="the budget: GMACs with biases and batch norm")
    parser.add_argument("--tolerance", type=float, default=0.02, help="fraction a network may be off the budget")
    parser.add_argument("--step", type=int, default=8, help="widths are multiples of it")
    parser.add_argument("--blocks", type=int, nargs="+", default=[], metavar="N", help="numbers of blocks to try")
    parser.add_argument("--all-splits", action="store_true", help="every way to divide blocks among stages that holds")
    parser.add_argument(
        "--weights",
        nargs="+",
        default=[],
        metavar="LAYERS=FILE",
        help="trained weights of the rows with that many layers",
    )
    parser.add_argument("--data", help="COCO folder; with --weights, the accuracy column is AP on it")
    return parser


def _trained(weights: list[str], data: str | None) -> AccuracyOf | None:
    """AP of the candidates that weights are given for. Raises UsageError for flags that do not fit together."""
    if bool(weights) != bool(data):
        raise UsageError("--weights LAYERS=FILE and --data DIR go together")
    files = dict(text.partition("=")[::2] for text in weights)
    if bad := [text for text in weights if not (text.partition("=")[0].isdigit() and text.partition("=")[2])]:
        raise UsageError(f"--weights {bad[0]}: give LAYERS=FILE, such as 72=resnet.safetensors")

    def accuracy_of(module: nn.Module, candidate: Candidate) -> float | None:
        from models.accuracy import evaluate_network
        from models.weights import load_weights

        if str(candidate.layers) not in files:
            return None
        load_weights(module, files[str(candidate.layers)])
        return evaluate_network(module, candidate.spec, str(data)).ap

    return accuracy_of if weights else None


def _print(found: list[Candidate], search: Search, with_paper: bool) -> None:
    cli.print_table(
        HEADER + (PAPER_HEADER if with_paper else ()), [_cells(candidate, with_paper) for candidate in found]
    )
    if not all(candidate.holds for candidate in found):
        print(f"!: nothing within {search.tolerance:.1%} of {search.gmacs:g} G at these blocks; widths only shrink")
    if all(candidate.latency_secs is None for candidate in found):
        print("ms: python -m codegen.depth takes the same flags and --device, and measures it")
    if with_paper:
        print(
            "paper: Table 1's network with as many backbone layers; COCO AP of its own training, not of these networks"
        )


def main(arguments: argparse.Namespace, latency_of: Callable[[Graph], float] | None = None) -> int:
    """The command; `latency_of` as for `determine_depth`."""
    search = Search(arguments.gmacs, arguments.tolerance, arguments.step, tuple(arguments.blocks), arguments.all_splits)
    with status("depth") as progress:
        accuracy_of = _trained(arguments.weights, arguments.data)
        found = determine_depth(arguments.family, search, latency_of, accuracy_of, progress)
    with_paper = arguments.family == "resnet"
    if arguments.json:
        table = [{"model": name, **asdict(facts)} for name, facts in TABLE_1.items()] if with_paper else []
        candidates = [candidate.to_dict() for candidate in found]
        cli.print_json({"family": arguments.family, **asdict(search), "candidates": candidates, "paper": table})
    else:
        _print(found, search, with_paper)
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
