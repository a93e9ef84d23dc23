"""`python -m models.replace`: what a network's mobile-unfriendly operators would become, and the network so changed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from fleetpose import cli
from fleetpose.errors import UsageError, unknown_name
from fleetpose.options import SEED
from fleetpose.outputs import check_outputs, check_weights_name
from fleetpose.trust import add_trust_flag
from models.graph.network import Graph
from models.replace.advice import advise, compare, plan_of
from models.replace.apply import replace_operators
from models.replace.files import description, save_replaced
from models.replace.report import print_report, to_json
from models.replace.values import ACTIVATIONS, KINDS
from models.resolve import MODEL_HELP, create_model, model_files, model_spec


def make_parser(command: str = "models.replace") -> argparse.ArgumentParser:
    """The flags; `codegen.replace` adds a device to them."""
    parser = cli.parser(command, "Replace operators a phone runs badly; --dry-run only says what it would do.")
    parser.add_argument("--model", required=True, help=MODEL_HELP)
    add_trust_flag(parser)
    parser.add_argument("--weights", help="of the original (default: random weights)")
    parser.add_argument(
        "--activation",
        choices=ACTIVATIONS,
        default="relu",
        help="what smooth activations become (default: %(default)s)",
    )
    parser.add_argument(
        "--only", nargs="+", metavar="KIND", default=(), help=f"of {', '.join(KINDS)}; all if not given"
    )
    parser.add_argument("--size", type=cli.image_size, metavar="HxW", help="input size (default: the network's own)")
    parser.add_argument("--dry-run", action="store_true", help="advise only; write nothing")
    parser.add_argument("-o", "--out", help="weights of the replaced network; the .json beside them describes it")
    parser.add_argument("--force", action="store_true", help="replace existing files")
    parser.add_argument("--seed", type=SEED, default=0, help="seed of random weights")
    return parser


def check(arguments: argparse.Namespace) -> None:
    """Raise UsageError for flags that do not go together, and outputs that would replace what is read or exists."""
    for kind in arguments.only:
        if kind not in KINDS:
            raise unknown_name("kind of replacement", kind, KINDS)
    if not arguments.dry_run and not arguments.out:
        raise UsageError("nothing to do with the replaced network; give -o FILE.safetensors, or --dry-run")
    if arguments.out and arguments.dry_run:
        raise UsageError("--dry-run writes nothing; leave out one of -o and --dry-run")
    if arguments.model.endswith(".pt2"):
        raise UsageError("an exported program has no modules to replace; give its module as package.module:factory")
    if arguments.out:
        check_weights_name(arguments.out)
        outputs = {"-o": arguments.out, "its description": description(arguments.out)}
        inputs = {"--model": model_files(arguments.model), "--weights": arguments.weights,
                  "--profile": getattr(arguments, "profile", None)}  # fmt: skip
        check_outputs(outputs, inputs, force=arguments.force)


def main(arguments: argparse.Namespace, latency_of: Callable[[Graph], float] | None = None) -> None:
    """The command: advise, replace, compare, print, write. `latency_of` as for `advise`."""
    check(arguments)
    spec = model_spec(arguments.model)
    shape = spec.input_shape(arguments.size)
    network = create_model(arguments.model, arguments.weights, arguments.seed)
    advice = advise(network, shape, activation=arguments.activation, only=arguments.only, latency_of=latency_of)
    plan = plan_of(advice)
    replaced = replace_operators(network, plan, "folded" if arguments.weights else "random", arguments.seed)
    costs = compare(network, replaced if plan else network, shape, latency_of)
    if not arguments.dry_run:
        save_replaced(replaced, arguments.out, arguments.model, plan, costs, force=arguments.force)
    if arguments.json:
        cli.print_json(to_json(arguments.model, shape, advice, costs, None if arguments.dry_run else arguments.out))
    else:
        print_report(arguments.model, shape, advice, costs, every=arguments.verbose > 0)
        if not arguments.dry_run:
            print(f"written: {arguments.out}, {description(arguments.out)}")


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
