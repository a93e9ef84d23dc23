"""Do cycles that GPUs' compilers count help to predict others' kernels? `python -m benchmarks.inspected_cycles`.

Public times of TVM's OpenCL kernels on a phone (CSV, one row a layer) are predicted, each layer held out once, by the
latency model as it is, and by the same with one more input: milliseconds by the cycles that Mesa's compiler for that
GPU makes of *our* kernel for the layer (`codegen.inspect`), as another device's predictor would give them. Both see the
same folds; what differs is the input. Needs the compilers of `python -m codegen.inspect --setup`.

    python -m benchmarks.inspected_cycles --data tvm_opencl_best.csv --device adreno730 --dtype fp16 fp16_acc32
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from codegen.inspection.chips import chip_for
from codegen.inspection.compilers import load_compilers
from codegen.inspection.gathering import launches_of_layer
from codegen.inspection.inspection import inspect
from codegen.lowering.layer import standalone_planes
from devices.profile import Profile, load_profile
from fleetpose import cli
from fleetpose.errors import UsageError
from fleetpose.progress import Report, status
from latency.cost_model.search import search
from latency.dataset.observations import hardware_of
from latency.dataset.rows import read_rows
from latency.dataset.sample import Sample, merge
from latency.dataset.tables import CONVOLUTIONS, REQUIRED, passes, sample_of
from models.graph.layer import Layer

#: a device of the table -> the profile that kernels are made for, and the GPU whose compiler counts
GPUS = {
    "adreno730": ("adreno-730", "adreno-730"),
    "adreno660": ("generic_adreno", "adreno-660"),
    "adreno650": ("generic_adreno", "adreno-660"),
    "mali-g72": ("generic_mali", "mali-g72"),
}
#: of the table's types, ours
DTYPES = {"fp16": "float16", "fp16_acc32": "float16", "fp32": "float32"}
#: cycles of a core in a millisecond; the model scales it
CYCLES_OF_MS = 1e6


def read_samples(path: Path, device: str, dtype: str) -> list[Sample]:
    """The fastest kernel of each square convolution on a device, in a type.

    Raises UsageError for a table without these columns, or without such rows.
    """
    where = {"device": [device], "dtype": [dtype], "winner": ["1"], "suspect": ["0"]}
    rows = [
        row
        for row in read_rows(path, (*REQUIRED, "dtype", "winner", "suspect", "w_in", "dilation"), where)
        if passes(row, where)
        and row.values["op"] in CONVOLUTIONS
        and row.values["h_in"] == row.values["w_in"]
        and row.values["dilation"] == "1"
        and row.values["k"]  # none of a kernel that is no square
    ]
    if not rows:
        raise UsageError(f"{path} has no square convolutions of {device} in {dtype}")
    return merge(sample_of(row) for row in rows)


def milliseconds_by_cycles(
    layers: Sequence[Layer], profile: Profile, gpu: str, dtype: str, report: Report
) -> dict[Layer, float]:
    """What our default kernel of each layer takes one core, by the cycles of its busiest unit, where it builds."""
    compilers, chip, launches = load_compilers(), chip_for(profile, gpu), []
    for number, layer in enumerate(layers):
        report("generating", number, len(layers))
        named = replace(layer, name="layer", inputs=("input",))
        workload = standalone_planes(named, profile.lanes_of(dtype), dtype=dtype)
        launches.append(launches_of_layer(workload, profile, name=str(number)))
    inspected = inspect(launches, profile, compilers, chip, dtype, report).layers
    pairs = zip(layers, inspected, strict=True)
    return {layer: known.cycles / CYCLES_OF_MS for layer, known in pairs if known.cycles}


def errors(samples: Sequence[Sample], cycles: dict[Layer, float], seed: int) -> tuple[float, float]:
    """Mean absolute errors, relative to what was measured, without and with the cycles; layers are held out in the same
    folds."""
    hardware = hardware_of(samples)

    def base(asked: Sequence[Sample]) -> np.ndarray:
        return np.array([cycles[sample.layer] for sample in asked])

    found = [search(samples, hardware, bases, by="shape", seed=seed) for bases in ((), (base,))]
    without, with_cycles = (min(validation.scores.values()) for validation in found)
    return without, with_cycles


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("benchmarks.inspected_cycles", "Whether compilers' cycles help to predict others' kernels.")
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help="times of TVM's kernels, a CSV table")
    parser.add_argument("--device", nargs="+", choices=[*GPUS], default=["adreno730"], help="devices of the table")
    parser.add_argument("--dtype", nargs="+", choices=[*DTYPES], default=["fp16"], help="types of the table")
    parser.add_argument("--seeds", type=int, default=3, help="ways to cut the folds (default: %(default)s)")
    return parser


def compare(data: Path, device: str, dtype: str, seeds: int, report: Report) -> list[object]:
    """A row of the table: what it is of, mean errors, and by how much cycles lower them in each cut."""
    samples = read_samples(data, device, dtype)
    layers = [*dict.fromkeys(sample.layer for sample in samples)]
    profile, gpu = GPUS[device]
    cycles = milliseconds_by_cycles(layers, load_profile(profile), gpu, DTYPES[dtype], report)
    known = [sample for sample in samples if sample.layer in cycles]
    if len(known) < len(samples):
        left_out = len(samples) - len(known)
        print(f"{device} {dtype}: {left_out} layers whose kernels do not build are left out", file=sys.stderr)
    report(f"fitting {device} {dtype}")
    found = 100 * np.array([errors(known, cycles, seed) for seed in range(seeds)])
    gained = found[:, 0] - found[:, 1]
    return [device, dtype, len(known), *(f"{error:.1f} %" for error in found.mean(0)), *(f"{n:.1f}" for n in gained)]


def main(arguments: argparse.Namespace) -> int:
    pairs = itertools.product(arguments.device, arguments.dtype)
    with status("cycles") as progress:
        rows = [compare(arguments.data, *pair, arguments.seeds, progress) for pair in pairs]
    cuts = [f"better, cut {number}" for number in range(arguments.seeds)]
    header = ["device", "type", "layers", "as it is", "with cycles", *cuts]
    if arguments.json:
        cli.print_json({"rows": [dict(zip(header, row, strict=True)) for row in rows]})
    else:
        cli.print_table(header, rows)
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
