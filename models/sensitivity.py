"""`python -m models.sensitivity`: what zeros in each block and layer cost, the rest dense.

    python -m models.sensitivity --model human_pose_0001 --weights w.safetensors --data photos --annotated c -o s.json

Blocks and layers are reconstructed on photographs (see models.prune) and judged by the output divergence on others, and
blocks by AP where --annotated says so; how well the one foretells the other is printed. Killed at any moment, the same
command goes on. `models.allocate` and `latency.decide --sensitivity` read the file. Neither --data nor --annotated may
be what accuracy is to be judged by in the end.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fleetpose import cli
from fleetpose.errors import UsageError
from fleetpose.files import check_writable, sha256
from fleetpose.progress import status
from models.graph.network import Graph
from models.plans.sparsity import Sparsity
from models.prune.masks.eligible import prunable
from models.prune.masks.families import family_text, parse_family
from models.prune.response.curves import FamilyCurves, to_json, write_curves
from models.prune.response.journal import ResponseJournal
from models.zoo.resolve import MODEL_HELP
from models.zoo.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

ZEROS = (0.2, 0.4, 0.65, 0.85)
BLOCK_ZEROS = (0.25, 0.5, 0.75, 0.9)

#: how layers are reconstructed for curves, which need the order of layers, not each layer's last bit
QUICK: dict[str, Any] = {"samples": 6000, "rectify": 2, "compensate": False, "attention": 0.0}

Told = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Bench:
    """What is measured, and on what.

    Attributes:
        fitted, judged: (N, *graph.input_shape) float32: weights are found on the first, judged by the second.
        annotated: COCO folder for AP; None without.
    """

    network: nn.Module
    spec: ModelSpec
    graph: Graph
    fitted: np.ndarray
    judged: np.ndarray
    annotated: Path | None


def blocks_of(graph: Graph, spec: ModelSpec) -> dict[str, list[str]]:
    """The prunable layers of each block, blocks in the order of the data."""
    found: dict[str, list[str]] = {}
    for layer in prunable(graph):
        found.setdefault(spec.block(layer.module or layer.name), []).append(layer.name)
    return found


def measure_family(
    bench: Bench,
    family: Sparsity,
    zeros: Sequence[float],
    block_zeros: Sequence[float],
    journal: ResponseJournal,
    told: Told,
) -> FamilyCurves:
    """Every curve of one family of sparsities; what the journal has is not measured again."""
    name = family_text(family)
    blocks = blocks_of(bench.graph, bench.spec)
    layers = _layers(bench, family, zeros, journal, told)
    judged: dict[str, dict[float, dict[str, Any]]] = {block: {} for block in blocks}
    points = [(block, share) for block in blocks for share in block_zeros]
    for done, (block, share) in enumerate(points):
        key = f"{name} block {block} {share:g}"
        told(key, done, len(points))
        if key not in journal.found:
            journal.add(key, _block_point(bench, replace(family, zeros=share), blocks[block]))
        if journal.found[key] is not None:
            judged[block][share] = journal.found[key]
    divergences = {b: {share: each["divergence"] for share, each in curve.items()} for b, curve in judged.items()}
    if bench.annotated is None:
        return FamilyCurves(divergences, layers)
    if "dense ap" not in journal.found:
        told("AP of the dense network", 0, 0)
        journal.add("dense ap", _ap(bench, bench.graph))
    aps = {b: {share: each["ap"] for share, each in curve.items()} for b, curve in judged.items()}
    return FamilyCurves(divergences, layers, journal.found["dense ap"], aps)


def _layers(
    bench: Bench, family: Sparsity, zeros: Sequence[float], journal: ResponseJournal, told: Told
) -> dict[str, dict[float, float]]:
    """Curves of single layers."""
    from models.prune.reconstruction.layerwise import ReconstructionSettings
    from models.prune.response.outputs import layer_curves

    prefix, names = f"{family_text(family)} layer ", [layer.name for layer in prunable(bench.graph)]
    missing = [name for name in names if prefix + name not in journal.found]
    for done, (name, curve) in enumerate(
        layer_curves(bench.graph, missing, family, zeros, bench.fitted, bench.judged, ReconstructionSettings(**QUICK)),
        len(names) - len(missing) + 1,
    ):
        journal.add(prefix + name, {f"{share:g}": loss for share, loss in curve.items()})
        told(prefix + name, done, len(names))
    found = {name: journal.found[prefix + name] for name in names}
    return {name: {float(share): loss for share, loss in curve.items()} for name, curve in found.items() if curve}


def _block_point(bench: Bench, sparsity: Sparsity, layers: Sequence[str]) -> dict[str, Any] | None:
    """Divergence, and AP where it is asked for, with `sparsity` in all layers of a block that can have it."""
    from models.prune.reconstruction.layerwise import ReconstructionSettings
    from models.prune.reconstruction.reconstruct import reconstruct
    from models.prune.reconstruction.streams import run_outputs
    from models.prune.response.outputs import divergence

    chosen = {name: sparsity for name in layers if sparsity.applies_to(bench.graph.layer(name)) is None}
    if not chosen:
        return None
    pruned = reconstruct(bench.graph, chosen, bench.fitted, ReconstructionSettings(**QUICK))
    found = divergence(run_outputs(pruned, bench.judged), run_outputs(bench.graph, bench.judged))
    return {"divergence": found, "ap": _ap(bench, pruned) if bench.annotated else None}


def _ap(bench: Bench, graph: Graph) -> float:
    from models.accuracy.protocol import evaluate_network
    from models.prune.masks.binding import adopt

    network = copy.deepcopy(bench.network)
    adopt(network, bench.graph, graph)
    assert bench.annotated is not None
    return evaluate_network(network, bench.spec, bench.annotated).ap or 0.0


def make_parser() -> argparse.ArgumentParser:
    made = cli.parser("models.sensitivity", "Measure what zeros in each block and layer of a network cost.")
    made.add_argument("--model", required=True, help=MODEL_HELP)
    made.add_argument("--weights", required=True, help="safetensors or published checkpoint")
    made.add_argument("--data", nargs="+", required=True, metavar="DIR", help="photographs, annotated or not")
    made.add_argument("--annotated", type=Path, metavar="DIR", help="COCO folder to measure AP of blocks on")
    made.add_argument("--family", nargs="+", default=["columns:4x1"], help="of sparsities, such as block_punched:8x4")
    made.add_argument("--zeros", type=float, nargs="+", default=list(ZEROS), help="of single layers")
    made.add_argument("--block-zeros", type=float, nargs="+", default=list(BLOCK_ZEROS), help="of whole blocks")
    made.add_argument("--photographs", type=int, default=16, help="of --data; a quarter of them judges")
    made.add_argument("--seed", type=int, default=0, help="of what is drawn from the photographs")
    made.add_argument("--plot", type=Path, metavar="FILE", help="also draw the curves (.png)")
    made.add_argument("--restart", action="store_true", help="begin anew, whatever journal there is")
    made.add_argument("-o", "--out", type=Path, required=True, help="file to write (.json); a journal is kept beside")
    made.add_argument("--force", action="store_true", help="replace existing files")
    return made


def _bench(arguments: argparse.Namespace) -> Bench:
    from models.frontend.trace import trace
    from models.prune.reconstruction.calibration import calibration_inputs
    from models.zoo.resolve import create_model, model_spec

    spec = model_spec(arguments.model)
    network = create_model(arguments.model, arguments.weights)
    graph = trace(network, (3, *spec.size), arguments.model)
    inputs = calibration_inputs(spec, arguments.data, arguments.photographs, arguments.seed)
    if len(inputs) < 2:
        raise UsageError(f"{len(inputs)} photograph is too few: give --data with 2 or more")
    judged = max(1, len(inputs) // 4)
    return Bench(network, spec, graph, inputs[judged:], inputs[:judged], arguments.annotated)


def _check(arguments: argparse.Namespace) -> list[Sparsity]:
    """The families. Raises UsageError for flags that make no sense."""
    check_writable(arguments.out, *([arguments.plot] if arguments.plot else []), force=arguments.force)
    for zeros in (*arguments.zeros, *arguments.block_zeros):
        if not 0 < zeros < 1:
            raise UsageError(f"fractions of zeros are above 0 and below 1, got {zeros:g}")
    return [parse_family(text) for text in arguments.family]


def main(arguments: argparse.Namespace) -> int:
    families = _check(arguments)
    journal_path = arguments.out.with_suffix(".journal")
    if arguments.restart:
        journal_path.unlink(missing_ok=True)
    bench = _bench(arguments)
    measured = {
        "weights": {"file": Path(arguments.weights).name, "sha256": sha256(arguments.weights)},
        "photographs": len(bench.fitted) + len(bench.judged),
        "annotated": str(arguments.annotated) if arguments.annotated else None,
        "seed": arguments.seed,
    }
    identity = {**measured, "model": arguments.model, "data": arguments.data}
    identity |= {"zeros": arguments.zeros, "block_zeros": arguments.block_zeros}
    with status("sensitivity") as told, ResponseJournal(journal_path, identity) as journal:
        curves = {
            family_text(family): measure_family(bench, family, arguments.zeros, arguments.block_zeros, journal, told)
            for family in families
        }
    content = to_json(arguments.model, curves, measured)
    write_curves(content, arguments.out, arguments.force)
    if arguments.plot:
        from models.prune.response.plots import plot_sensitivity

        plot_sensitivity(arguments.plot, arguments.model, curves, content["relation"], force=arguments.force)
    journal_path.unlink(missing_ok=True)
    if arguments.json:
        cli.print_json(content)
    else:
        _show(curves, content)
        print(f"\n{arguments.out}")
    return 0


def _show(curves: dict[str, FamilyCurves], content: dict[str, Any]) -> None:
    for name, family in curves.items():
        shares = sorted({share for curve in family.blocks.values() for share in curve})
        for what, table in (("divergence", family.blocks), ("AP", family.ap)):
            if table:
                print(
                    f"{what} of {name}, zeros in one block" + (f"; dense {family.dense_ap:.3f}" if what == "AP" else "")
                )
                rows = [[b, *(f"{c[s]:.3f}" if s in c else "-" for s in shares)] for b, c in table.items()]
                cli.print_table(("block", *(f"{share:g}" for share in shares)), rows)
    if content["relation"]:
        known = content["relation"]
        print(
            f"AP lost goes with divergence: Spearman {known['spearman']:.2f}, Pearson {known['pearson']:.2f} over "
            f"{known['points']} points; {known['ap_per_divergence']:.2f} AP per 1 of divergence where little is lost"
        )


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
