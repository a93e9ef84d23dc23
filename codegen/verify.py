"""Compare an artifact with its network in float64 PyTorch, in error and in accuracy: `python -m codegen.verify`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from codegen.artifact.device_fit import add_artifact
from codegen.artifact.loaded import Artifact
from codegen.verifying.verdict import BY_PHOTOGRAPHS, ON_RANDOM_INPUTS, Allowed
from codegen.verifying.verify import verify
from devices import open_device
from fleetpose import cli
from fleetpose.options import SEED, real
from fleetpose.progress import status
from fleetpose.trust import add_trust_flag


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("codegen.verify", "Compare an artifact with its network in float64 PyTorch.")
    add_artifact(parser)
    parser.add_argument("--weights", type=Path, help="the file the artifact was built from")
    parser.add_argument("--data", type=Path, help="COCO folder (default: random inputs)")
    parser.add_argument("--seed", type=SEED, default=0, help="seed of the random inputs")
    parser.add_argument(
        "--max-error",
        type=real(),
        help="largest difference of any output from float64 PyTorch, over the largest magnitude of that output "
        f"(default: {_by_type(ON_RANDOM_INPUTS, 'max_error')}; on photographs float16 is judged by its people instead, "
        "and by the mean error)",
    )
    parser.add_argument(
        "--max-ap-loss", type=real(), help=f"largest difference in AP (default: {_by_type(BY_PHOTOGRAPHS, 'ap_loss')})"
    )
    add_trust_flag(parser)
    return parser


def main(arguments: argparse.Namespace) -> int:
    with status("verifying") as progress, open_device(arguments.device) as session:
        result = verify(
            Artifact(arguments.artifact, session, arguments.force_device),
            arguments.weights,
            arguments.data,
            arguments.seed,
            arguments.max_error,
            arguments.max_ap_loss,
            progress,
        )
    if arguments.json:
        cli.print_json(result)
    else:
        rows = [(key, _shown(value)) for key, value in result.items() if key not in ("device", "faults")]
        rows[1:1] = [("beyond rounding", fault) for fault in result["faults"]]
        verdicts = [result["ok"] if key in ("ok", "beyond rounding") else None for key, _ in rows]
        cli.print_table(("what", "value"), rows, verdicts)
    return 0 if result["ok"] else 1


def _by_type(allowed: dict[str, Allowed], name: str) -> str:
    return ", ".join(f"{getattr(limits, name):g} of {dtype}" for dtype, limits in allowed.items())


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
