"""Whether a plan's decisions were right, by times measured afterwards: `python -m latency.audit`.

    python -m latency.collect --model resnet50_3 --plan plan.json --device host -o after.jsonl
    python -m latency.audit   --plan plan.json --data after.jsonl

The times should not be those the plan was made of: the best of several noisy times is always flattered.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from codegen.lowering.sizes import trace_model
from fleetpose import cli
from fleetpose.codec import encode
from fleetpose.errors import UsageError
from fleetpose.progress import status
from fleetpose.trust import add_trust_flag
from latency.dataset.read import Dataset
from latency.dataset.sample import Sample, shape_text
from latency.planning.reasons import read_kind
from models.graph.layer import Layer
from models.plans.plan import LayerChoice, Plan
from models.plans.sparsity import variant_text
from models.resolve import MODEL_HELP, check_named_by_file

DENSE = variant_text(None)
#: what is measured of a layer: milliseconds by variant, each in the fastest of its schedules
Times = Mapping[str, float]


@dataclass(frozen=True)
class DecisionVerdict:
    """A decision beside the measured times of its layer.

    Attributes:
        layer: the name of the layer.
        variant: that was chosen; `best`: the fastest of those it was chosen from.
        dense_ms, chosen_ms, best_ms: measured milliseconds.
        right: the layer is sparse just where the measured times say that this is faster.
    """

    layer: str
    variant: str
    best: str
    dense_ms: float
    chosen_ms: float
    best_ms: float
    right: bool

    json_properties: ClassVar = ("lost_ms",)

    @property
    def lost_ms(self) -> float:
        return self.chosen_ms - self.best_ms


@dataclass(frozen=True)
class Audit:
    """The verdicts on a plan.

    Attributes:
        verdicts: on each decision that was about time and whose variants were measured.
        other: layers that are dense for another reason: first layers, output heads, goals reached without them.
        unmeasured: layers whose dense or chosen kernel has no measured time.
    """

    verdicts: tuple[DecisionVerdict, ...]
    other: tuple[str, ...]
    unmeasured: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """accuracy: share of right decisions; regret: time lost / time of the best choices; None where n is 0."""
        n, best = len(self.verdicts), sum(verdict.best_ms for verdict in self.verdicts)
        return {
            "n": n,
            "accuracy": sum(verdict.right for verdict in self.verdicts) / n if n else None,
            "regret": sum(verdict.lost_ms for verdict in self.verdicts) / best if n else None,
            "lost_ms": sum(verdict.lost_ms for verdict in self.verdicts),
            "best_ms": best,
            **encode(self),
        }


def audit(plan: Plan, layers: Iterable[Layer], samples: Sequence[Sample]) -> Audit:
    """Compare each choice of a plan with measured times.

    A sparse layer could have been dense. One that is dense because no gain was foreseen, or none that its interval
    left beyond doubt, could have had any measured variant. What is dense for accuracy was no such decision.

    Args:
        layers: of the plan's network.
        samples: with measured times, all of one device.

    Raises:
        UsageError: a plan of another network.
    """
    layers = tuple(layers)
    plan.check(layers)
    measured = _times(samples)
    dtype = samples[0].dtype if samples else "float32"
    verdicts, other, unmeasured = [], [], []
    for layer in layers:
        if layer.op != "conv":
            continue
        choice = plan[layer.name]
        if choice.sparsity is None and not _is_of_time(choice):
            other.append(layer.name)
            continue
        times = measured.get(_key(layer.blank, dtype), {})
        if DENSE not in times or variant_text(choice.sparsity) not in times:
            unmeasured.append(layer.name)
            continue
        verdicts.append(_verdict(choice, times))
    return Audit(tuple(verdicts), tuple(other), tuple(unmeasured))


def _is_of_time(choice: LayerChoice) -> bool:
    """Whether a layer is dense for its times' sake, as far as its reason is known."""
    kind = read_kind(choice.reason)
    return kind is not None and kind.of_time


def _key(layer: Layer, dtype: str) -> tuple[str, tuple[str, ...]]:
    return shape_text(layer, dtype), tuple(step.kind for step in layer.epilogue)


def _times(samples: Sequence[Sample]) -> dict[tuple[str, tuple[str, ...]], dict[str, float]]:
    by_layer: dict[tuple[str, tuple[str, ...]], dict[str, float]] = {}
    for sample in samples:
        times = by_layer.setdefault(_key(sample.layer, sample.dtype), {})
        variant = variant_text(sample.sparsity)
        assert sample.ms is not None
        times[variant] = min(sample.ms, times.get(variant, sample.ms))
    return by_layer


def _verdict(choice: LayerChoice, times: Times) -> DecisionVerdict:
    variant = variant_text(choice.sparsity)
    rivals = times if choice.sparsity is None else {name: times[name] for name in (DENSE, variant)}
    best = min(rivals, key=lambda name: rivals[name])
    right = (best == DENSE) == (variant == DENSE)
    return DecisionVerdict(choice.layer, variant, best, times[DENSE], times[variant], rivals[best], right)


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("latency.audit", "Compare the decisions of a plan with times measured afterwards.")
    parser.add_argument("--plan", type=Path, required=True, metavar="FILE", help="what latency.decide wrote")
    parser.add_argument(
        "--data", nargs="+", required=True, metavar="FILE", help="what latency.collect wrote afterwards"
    )
    parser.add_argument("--model", help=f"{MODEL_HELP} (default: the plan's own)")
    add_trust_flag(parser)
    parser.add_argument("--size", type=cli.image_size, metavar="HxW", help="input size (default: the model's own)")
    parser.add_argument(
        "--where", nargs="+", default=[], metavar="COLUMN=VALUE", help="rows of --data to take (default: all)"
    )
    parser.add_argument("--clock", choices=("auto", "event", "wall"), default="auto", help="which clock's times count")
    return parser


def main(arguments: argparse.Namespace) -> int:
    plan = Plan.load(arguments.plan)
    with status("auditing") as progress:
        progress("tracing")
        if arguments.model is None:
            check_named_by_file(plan.model, arguments.plan)
        graph = trace_model(arguments.model or plan.model, arguments.size)
        samples = Dataset.read(arguments.data, arguments.where).samples(arguments.clock)
        report = audit(plan, graph.layers, samples)
    if not report.verdicts:
        raise UsageError(f"{', '.join(arguments.data)}: no layer of the plan was measured dense and as it was chosen")
    if arguments.json:
        cli.print_json(report.to_json())
    else:
        print_audit(report)
    return 0


def print_audit(report: Audit) -> None:
    """The audit for people, the costliest decisions first."""
    said = report.to_json()
    print(f"{said['n']} decisions: {said['accuracy']:.1%} right, {said['regret']:.2%} of the time lost")
    print(f"{len(report.other)} layers are dense for other reasons, {len(report.unmeasured)} were not measured")
    worst = sorted((miss for miss in report.verdicts if miss.lost_ms > 0), key=lambda miss: -miss.lost_ms)[:10]
    if worst:
        print()
        rows = [
            [miss.layer, miss.variant, f"{miss.chosen_ms:.3f}", miss.best, f"{miss.best_ms:.3f}", f"{miss.lost_ms:.3f}"]
            for miss in worst
        ]
        cli.print_table(["layer", "chosen", "ms", "best", "ms", "lost ms"], rows)


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
