"""Build the predictors in the box from the public measurements they are made of: `python -m latency.box`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleetpose import cli
from fleetpose.files import write_bytes
from fleetpose.progress import status
from latency.cost_model.box.shipped import FOLDER, SUFFIX, pack
from latency.cost_model.fitting import FitOptions, Fitted, fit_predictor
from latency.dataset.observations import hardware_of
from latency.dataset.read import Dataset

#: what all predictors of the box may weigh together, in bytes
MOST_BYTES = 3_000_000
OCTOML, QED = ("octoml/qualcomm", "Apache-2.0"), ("qed-usc/mobile-ml-benchmark", "MIT")


@dataclass(frozen=True)
class BoxedDevice:
    """A device of the box: the table it is from ("tvm" or "litert"), its rows, who made them, and their licence."""

    table: str
    where: tuple[str, ...]
    source: str
    licence: str


ENTRIES: Mapping[str, BoxedDevice] = {
    **{
        f"adreno-{number}": BoxedDevice(
            "tvm", (f"device=adreno{number}", f"source={OCTOML[0].replace('/', '-')}"), *OCTOML
        )
        for number in ("650", "660", "730")
    },
    **{
        name: BoxedDevice("litert", ("framework=tflite", f"device={device}", "suspect=0"), *QED)
        for name, device in (("mali-g76", "s10"), ("adreno-616", "mi8se"), ("powervr-ge8320", "a03s"))
    },
}


def make(entry: BoxedDevice, paths: Mapping[str, Path]) -> Fitted:
    """Fit one device's predictor."""
    dataset = Dataset.read([paths[entry.table]], entry.where)
    samples = dataset.samples()
    about: dict[str, Any] = {**dataset.device(samples), "source": entry.source, "licence": entry.licence}
    return fit_predictor(samples, hardware_of(samples), FitOptions(by="shape"), (), about)


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("latency.box", "Build the predictors that come with the package from public measurements.")
    parser.add_argument("--tvm", type=Path, required=True, metavar="CSV", help="AutoTVM's kernels on Adreno GPUs")
    parser.add_argument("--litert", type=Path, required=True, metavar="CSV", help="LiteRT's convolutions on phones")
    parser.add_argument("-o", "--out", type=Path, metavar="FOLDER", help="where to write (default: in the package)")
    parser.add_argument("--only", nargs="+", choices=tuple(ENTRIES), default=list(ENTRIES), help="these devices")
    return parser


def main(arguments: argparse.Namespace) -> int:
    paths, rows = {"tvm": arguments.tvm, "litert": arguments.litert}, []
    out: Path = arguments.out or FOLDER
    out.mkdir(parents=True, exist_ok=True)
    with status("fitting") as progress:
        for number, name in enumerate(arguments.only):
            progress(name, number, len(arguments.only))
            fitted = make(ENTRIES[name], paths)
            content = pack(fitted.predictor)
            write_bytes(out / f"{name}{SUFFIX}", content, force=True)
            error = min(fitted.best.scores.values())
            rows.append([name, fitted.predictor.metadata["rows"], f"{error:.1%}", len(content)])
    total = sum(path.stat().st_size for path in out.glob(f"*{SUFFIX}"))
    if arguments.json:
        cli.print_json({"predictors": rows, "bytes": total})
    else:
        cli.print_table(["device", "samples", "held-out error", "bytes"], rows)
        print(f"{out}: {total:,} bytes of at most {MOST_BYTES:,}")
    return 0 if total <= MOST_BYTES else 1


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
