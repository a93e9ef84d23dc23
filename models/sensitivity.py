"""`python -m models.sensitivity`: what zeros in each block and layer cost, while the rest of the network is dense.

    python -m models.sensitivity --model human_pose_0001 --weights w.safetensors --data photos --annotated c -o s.json

Blocks and layers are reconstructed on photographs (see models.prune) and judged by the output divergence on others, and
blocks by AP where --annotated is given; how well the one predicts the other is printed. You can stop it at any time;
run the same command again to resume. `models.allocate` and `latency.decide --sensitivity` read the file. Neither --data
nor --annotated may be what accuracy is to be judged by in the end.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleetpose import cli
from fleetpose.errors import UsageError
from fleetpose.files import json_bytes, sha256, write_together
from fleetpose.options import COUNT, SEED, SHARE
from fleetpose.outputs import check_outputs, lies_in
from fleetpose.progress import status
from fleetpose.trust import add_trust_flag
from models.plans.sparsity import Sparsity
from models.prune.masks.families import parse_family
from models.prune.response.curves import Curves, FamilyCurves, to_json
from models.prune.response.journal import ResponseJournal
from models.resolve import MODEL_HELP, WEIGHTS_HELP, check_weights_known, model_files

if TYPE_CHECKING:
    from models.prune.response.measure import Subject

ZEROS = (0.2, 0.4, 0.65, 0.85)
BLOCK_ZEROS = (0.25, 0.5, 0.75, 0.9)


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("models.sensitivity", "Measure what zeros in each block and layer of a network cost.")
    parser.add_argument("--model", required=True, help=MODEL_HELP)
    add_trust_flag(parser)
    parser.add_argument("--weights", metavar="FILE", help=WEIGHTS_HELP)
    parser.add_argument("--data", nargs="+", required=True, metavar="DIR", help="photographs, annotated or not")
    parser.add_argument(
        "--annotated", type=Path, metavar="DIR", help="COCO folder to measure AP of blocks on (default: no AP)"
    )
    parser.add_argument("--family", nargs="+", default=["columns:4x1"], help="of sparsities, such as block_punched:8x4")
    parser.add_argument("--zeros", type=SHARE, nargs="+", default=list(ZEROS), help="fractions, of single layers")
    parser.add_argument(
        "--block-zeros", type=SHARE, nargs="+", default=list(BLOCK_ZEROS), help="fractions, of whole blocks"
    )
    parser.add_argument("--photographs", type=COUNT, default=16, help="how many are used; a quarter of them judges")
    parser.add_argument("--seed", type=SEED, default=0, help="seed of what is drawn from the photographs")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also draw the curves (.png)")
    parser.add_argument("--restart", action="store_true", help="begin anew even where a journal exists")
    parser.add_argument("-o", "--out", type=Path, required=True, help="file to write (.json); a journal is kept beside")
    parser.add_argument("--force", action="store_true", help="replace existing files")
    return parser


def _subject(arguments: argparse.Namespace) -> Subject:
    from models.frontend.trace import trace
    from models.prune.reconstruction.calibration import calibration_inputs
    from models.prune.response.measure import Subject
    from models.resolve import create_model, model_spec

    spec = model_spec(arguments.model)
    network = create_model(arguments.model, arguments.weights)
    graph = trace(network, spec.input_shape(), arguments.model)
    inputs = calibration_inputs(spec, arguments.data, arguments.photographs, arguments.seed)
    return Subject.of(network, spec, graph, inputs, arguments.annotated)


def _check(arguments: argparse.Namespace) -> list[Sparsity]:
    """The families. Raises UsageError for flags that make no sense."""
    _check_files(arguments)
    check_weights_known(arguments.model, arguments.weights)
    if arguments.annotated is not None:
        from models.accuracy.protocol import check_annotated

        check_annotated(arguments.annotated)
    return [parse_family(text) for text in arguments.family]


def _check_files(arguments: argparse.Namespace) -> None:
    """Raise UsageError for outputs that cannot be written, or would replace what is read or exists."""
    for folder in (*arguments.data, *([arguments.annotated] if arguments.annotated else [])):
        if arguments.plot and lies_in(arguments.plot, folder):
            raise UsageError(f"--plot {arguments.plot} lies in {folder}, among the photographs; give another folder")
    if arguments.plot and arguments.plot.suffix != ".png":
        raise UsageError(f"--plot {arguments.plot.name}: curves are drawn as .png; give {arguments.plot.stem}.png")
    outputs, kept = {"-o": arguments.out, "--plot": arguments.plot}, {"the journal": journal_of(arguments.out)}
    inputs = {"--model": model_files(arguments.model), "--weights": arguments.weights}
    check_outputs(outputs, inputs, force=arguments.force, kept=kept)


def journal_of(out: Path) -> Path:
    """Where what was measured so far is kept, while the measuring lasts."""
    return out.with_suffix(".journal")


def main(arguments: argparse.Namespace) -> int:
    families = _check(arguments)
    journal_path = journal_of(arguments.out)
    if arguments.restart:
        journal_path.unlink(missing_ok=True)
    subject = _subject(arguments)
    from models.prune.response.measure import measure_sensitivity

    measured = {
        "weights": _weights_facts(subject, arguments.weights),
        "photographs": len(subject.fitted) + len(subject.judged),
        "annotated": str(arguments.annotated) if arguments.annotated else None,
        "seed": arguments.seed,
    }
    identity = {**measured, "model": arguments.model, "data": arguments.data}
    identity |= {"zeros": arguments.zeros, "block_zeros": arguments.block_zeros}
    with status("sensitivity") as progress, ResponseJournal(journal_path, identity) as journal:
        curves = measure_sensitivity(subject, families, arguments.zeros, arguments.block_zeros, journal, progress)
    content = to_json(arguments.model, curves, measured)
    outputs = {arguments.out: json_bytes(content)}
    if arguments.plot:
        from models.prune.response.plots import draw_sensitivity

        outputs[arguments.plot] = draw_sensitivity(arguments.model, curves, content["relation"])
    write_together(outputs, force=arguments.force)
    journal_path.unlink(missing_ok=True)
    if arguments.json:
        cli.print_json(content)
    else:
        _print_tables(curves, content)
        print(f"\n{arguments.out}")
    return 0


def _weights_facts(subject: Subject, file: str | None) -> dict[str, str]:
    """What the written file says of the weights: their file, or the digest of those that the network brings."""
    from models.zoo.weights import weights_digest

    if file is None:
        return {"own": weights_digest(subject.network)}
    return {"file": Path(file).name, "sha256": sha256(file)}


def _print_tables(curves: dict[str, FamilyCurves], content: dict[str, Any]) -> None:
    for name, family in curves.items():
        print(f"divergence of {name}, zeros in one block")
        _print_curves("block", family.blocks)
        if len(family.blocks) == 1:
            print("zeros in one layer")
            _print_curves("layer", family.layers)
        if family.ap:
            print(f"AP of {name}, zeros in one block; dense {family.dense_ap:.3f}")
            _print_curves("block", family.ap)
    if content["relation"]:
        known = content["relation"]
        print(
            f"AP lost goes with divergence: Spearman {known['spearman']:.2f}, Pearson {known['pearson']:.2f} over "
            f"{known['points']} points; {known['ap_per_divergence']:.2f} AP per 1 of divergence where little is lost"
        )


def _print_curves(what: str, curves: Curves) -> None:
    shares = sorted({share for curve in curves.values() for share in curve})
    rows = [[name, *(_number(curve.get(share)) for share in shares)] for name, curve in curves.items()]
    cli.print_table((what, *(f"{share:g}" for share in shares)), rows)


def _number(value: float | None) -> str:
    """Three decimals, or one digit of what would be 0 by them."""
    if value is None:
        return "-"
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.0005 else f"{value:.0e}"


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
