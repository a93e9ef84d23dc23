"""Every registered network with its counts beside the paper's: `python -m models.list`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from fleetpose import cli
from models.resolve import model_spec
from models.zoo.registry import model_names


@dataclass(frozen=True)
class ModelRow:
    """One network. Counts are before folding, at 1 x 3 x size; "paper" is None where the paper prints nothing.

    Attributes:
        size: input (height, width), pixels.
        backbone_layers: convolutions of the block "backbone"; None for a network without a table of blocks.
        params: all parameters.
        conv_macs: multiply-adds of the convolutions.
        macs_bn: the paper's "FLOPs"; see models.zoo.count.Count.
        paper_params_m, paper_gmacs: as printed, millions and billions.
        params_difference, macs_difference: (ours - paper) / paper, of params and of macs_bn.
        given, inferred: what of the architecture the paper gives and what was found by counting.
    """

    name: str
    family: str
    size: tuple[int, int]
    backbone_layers: int | None
    params: int
    conv_macs: int
    macs_bn: int
    paper_layers: int | None
    paper_params_m: float | None
    paper_gmacs: float | None
    params_difference: float | None
    macs_difference: float | None
    given: str
    inferred: str
    summary: str


def _difference(ours: float, printed: float | None) -> float | None:
    return None if printed is None else (ours - printed) / printed


def row(name: str) -> ModelRow:
    """Count one registered network. Raises UsageError for an unknown one."""
    from models.zoo.count import count_model
    from models.zoo.paper import PaperFacts

    spec = model_spec(name)
    counted = count_model(spec)
    facts = spec.paper or PaperFacts()
    backbone = sum(spec.block(conv.module) == "backbone" for conv in counted.convs)
    return ModelRow(
        name=name,
        family=spec.family,
        size=spec.size,
        backbone_layers=backbone if spec.blocks else None,
        params=counted.params,
        conv_macs=counted.macs,
        macs_bn=counted.macs_bn,
        paper_layers=facts.layers,
        paper_params_m=facts.params_m,
        paper_gmacs=facts.gmacs,
        params_difference=_difference(counted.params / 1e6, facts.params_m),
        macs_difference=_difference(counted.macs_bn / 1e9, facts.gmacs),
        given=facts.given,
        inferred=facts.inferred,
        summary=spec.summary,
    )


def list_models(names: Sequence[str] = ()) -> list[ModelRow]:
    """The rows of `names`, or of every registered network. Raises UsageError for an unknown name."""
    return [row(name) for name in names or model_names()]


def _cells(row: ModelRow) -> tuple[str, ...]:
    def shown(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    return (
        row.name,
        shown(row.backbone_layers, "d"),
        f"{row.params / 1e6:.3f}",
        f"{row.conv_macs / 1e9:.3f}",
        f"{row.macs_bn / 1e9:.3f}",
        shown(row.paper_layers, "d"),
        shown(row.paper_params_m, "g"),
        shown(row.params_difference, "+.1%"),
        shown(row.paper_gmacs, "g"),
        shown(row.macs_difference, "+.1%"),
    )


HEADER = ("model", "layers", "params M", "conv G", "+BN G", "paper: layers", "M", "diff", "G", "diff")


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("models.list", "List the networks with their parameters and GMACs beside the paper's.")
    parser.add_argument("models", nargs="*", default=[], metavar="MODEL", help="networks to list (default: all)")
    return parser


def main(arguments: argparse.Namespace) -> int:
    rows = list_models(arguments.models)
    if arguments.json:
        cli.print_json({"models": [asdict(row) for row in rows]})
        return 0
    cli.print_table(HEADER, [_cells(row) for row in rows])
    print("layers: backbone convolutions. conv G: multiply-adds of convolutions. +BN G: with biases and batch norm,")
    print("which is what the paper counts. --json also says what the paper gives and what is inferred.")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
