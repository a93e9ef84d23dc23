"""`python -m models.check --model M`: what of a network runs on kernels of ours, before anything is built.

Every operator that falls back to TVM's kernels, or is not supported, is listed with its place, the reason and the mend.
The exit status is 1 if one is not supported.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fleetpose import cli
from fleetpose.trust import add_trust_flag
from models.resolve import MODEL_HELP, create_model, model_spec
from models.zoo.input_sizes import check_only_size

if TYPE_CHECKING:
    from models.frontend.results.residency import KindCount, Residency


def check(model: str, weights: str | None = None, size: tuple[int, int] | None = None) -> Residency:
    """The residency of a model.

    Args:
        model: as for `models.resolve.model_spec`.
        weights: a file of them (default: random weights, or those that the network brings).
        size: input (height, width) in pixels (default: the model's own).

    Raises:
        UsageError: an unknown model, weights that do not fit, or a network that torch.export cannot trace.
    """
    from models.frontend.results.residency import residency_of

    spec = model_spec(model)
    check_only_size(spec, size or spec.size)
    return residency_of(create_model(model, weights), spec.input_shape(size))


def print_residency(residency: Residency) -> None:
    """The table of kinds, and a line for each reason and each cut."""
    places: dict[str, Sequence[KindCount]] = {
        "kernels of ours": residency.layers,
        "fallback": residency.fallback,
        "cut off": residency.cut,
        "not supported": residency.refused,
        "behind what is not supported": residency.skipped,
    }
    rows = [
        (kind.kind, place, kind.count, f"{kind.macs / 1e9:.3f}") for place, kinds in places.items() for kind in kinds
    ]
    cli.print_table(("kind", "where", "count", "GMACs"), rows)
    print(f"\n{residency}")
    for cut in residency.cuts:
        print(cut)
    for kind in (*residency.fallback, *residency.refused):
        print(kind)


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("models.check", "Show what of a network runs on kernels of ours, and what does not and why.")
    parser.add_argument("--model", required=True, help=MODEL_HELP)
    add_trust_flag(parser)
    parser.add_argument("--weights", help="weights file (default: random weights)")
    parser.add_argument("--size", metavar="HxW", help="input HEIGHTxWIDTH (default: the model's own)")
    return parser


def main(arguments: argparse.Namespace) -> int:
    size = cli.image_size(arguments.size) if arguments.size else None
    residency = check(arguments.model, arguments.weights, size)
    if arguments.json:
        cli.print_json({"model": arguments.model, **residency.to_dict()})
    else:
        print_residency(residency)
    return 1 if residency.refused else 0


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
