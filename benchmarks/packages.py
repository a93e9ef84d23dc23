"""Packages in the C runtime against artifacts in TVM's, interleaved: `python -m benchmarks.packages`.

Both have the same kernels. Timed is an inference from an input in memory to the outputs in memory, by wall clock, in
this process and on the same device, without RPC; in turn, A B and then B A. What a launch costs besides its kernel is
told by the network at an input so small that kernels take next to nothing. A start is a process of its own, from its
beginning to the first outputs, with all kernels compiled before.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.network_plans import check_plans, labels_for, plans_of_label, template
from codegen.building.build import build
from codegen.building.package import build_package
from codegen.building.target import BuildTarget
from codegen.building.traced import TracedNetwork, trace_network
from devices import open_device
from devices.conditions import conditions
from devices.timing.interleaved import pool_ratios
from fleetpose import cli
from fleetpose.disk.temporaries import WorkFolder
from fleetpose.errors import FleetposeError, UsageError
from fleetpose.progress import Report, no_report, status
from models.plans.sparsity import DENSE
from models.resolve import model_spec
from runtime.package import Package, PackageOptions

DEFAULT_MODELS = ("lwop", "resnet50_3")
#: the input at which launches cost more than kernels
SMALL = (64, 64)
#: processes that are started of each kind
STARTS = 5
#: one inference in a new process: prints seconds from the process's start
FIRST_BY_PACKAGE = """
import sys
import numpy as np
from runtime.package import Package
with Package(sys.argv[1]) as package:
    package.run(np.zeros((1, 3, *package.sizes[0]), np.float32))
"""
FIRST_BY_TVM = """
import sys
import numpy as np
from codegen.artifact.loaded import Artifact
from devices import open_device
with open_device("host") as session:
    artifact = Artifact(sys.argv[1], session)
    artifact.run(np.zeros(artifact.manifest.entries[0].input.shape, np.float32))
"""


@dataclass(frozen=True)
class PackageRow:
    """A network in both runtimes.

    Attributes:
        model, plan: what it is. launches: kernels of an inference.
        package_ms, artifact_ms: medians. ratio: package over artifact, median of the rounds; low, high: its interval.
        package_launch_us, artifact_launch_us: an inference at a small input over its launches, kernels included.
        package_start_secs, artifact_start_secs: from a process's start to the first outputs, medians.
        package_mb, artifact_mb: sizes of the files. max_abs_difference: of the outputs.
    """

    model: str
    plan: str
    launches: int
    package_ms: float
    artifact_ms: float
    ratio: float
    low: float
    high: float
    package_launch_us: float
    artifact_launch_us: float
    package_start_secs: float
    artifact_start_secs: float
    package_mb: float
    artifact_mb: float
    max_abs_difference: float


class LocalArtifact:
    """An artifact in TVM's runtime in this process, without RPC."""

    def __init__(self, path: Path, names: list[str]) -> None:
        import tvm
        from tvm.runtime.vm import VirtualMachine

        self._tensor, self._device, self._names = tvm.runtime.tensor, tvm.opencl(0), names
        self._machine = VirtualMachine(tvm.runtime.load_module(str(path)), self._device)

    def run(self, tensor: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs by name."""
        entry = f"run_{tensor.shape[2]}x{tensor.shape[3]}"
        self._machine.set_input(entry, self._tensor(tensor, self._device))
        self._machine.invoke_stateful(entry)
        outputs = self._machine.get_outputs(entry)
        tensors = [outputs] if len(self._names) == 1 else list(outputs)
        return {name: output.numpy() for name, output in zip(self._names, tensors, strict=True)}


def compare_network(
    network: TracedNetwork, plan: str, target: BuildTarget, folder: Path, rounds: int, report: Report
) -> PackageRow:
    """Build a network both ways and time it, at its first input size and at the second, which is SMALL."""
    report(f"building {network.graphs[0].name} {plan}")
    so, fpk = folder / "pose.so", folder / "pose.fpk"
    manifest = build(network, target).write(so, force=True)
    build_package(network, target).write(fpk, force=True)
    report("timing")
    with Package(fpk, PackageOptions()) as package:
        artifact = LocalArtifact(so, [output.name for output in manifest.entries[0].outputs])
        large, small = (random_input(entry.input.shape) for entry in manifest.entries)
        wanted, given = artifact.run(large), package.run(large)
        difference = max(float(np.abs(wanted[name] - given[name]).max()) for name in wanted)
        ours, theirs = interleave(lambda: package.run(large), lambda: artifact.run(large), rounds)
        ours_small, theirs_small = interleave(lambda: package.run(small), lambda: artifact.run(small), 4 * rounds)
    ratio = pool_ratios([[one / other for one, other in zip(ours, theirs, strict=True)]], 0)
    launches = manifest.entries[0].launches
    report("starting processes")
    starts = [start_secs(FIRST_BY_PACKAGE, fpk), start_secs(FIRST_BY_TVM, so)]
    return PackageRow(
        network.graphs[0].name, plan, launches, 1e3 * statistics.median(ours), 1e3 * statistics.median(theirs),
        ratio.median, ratio.low, ratio.high,
        1e6 * statistics.median(ours_small) / launches, 1e6 * statistics.median(theirs_small) / launches,
        *starts, fpk.stat().st_size / 1e6, so.stat().st_size / 1e6, difference,
    )  # fmt: skip


def random_input(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, shape).astype(np.float32)


def interleave(one: Callable[[], Any], other: Callable[[], Any], rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of two calls in turn, the order reversed every other round; the first round of each is left out."""
    secs: dict[int, list[float]] = {0: [], 1: []}
    for number in range(rounds + 1):
        for which in (0, 1) if number % 2 else (1, 0):
            started = time.perf_counter()
            (one, other)[which]()
            if number:
                secs[which].append(time.perf_counter() - started)
    return secs[0], secs[1]


def start_secs(program: str, path: Path) -> float:
    """Seconds of processes that run `program` on a file, their median; a first one, which compiles, is left out."""
    secs = []
    for _ in range(STARTS + 1):
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)
        secs.append(time.perf_counter() - started)
        if done.returncode:
            raise FleetposeError(f"a process that runs {path.name} failed: {done.stderr.strip()[-300:]}")
    return statistics.median(secs[1:])


def compare(models: list[str], plans: list[str], rounds: int, progress: Report = no_report) -> list[PackageRow]:
    """A row for each network and plan."""
    rows = []
    with open_device("host") as session:
        target = BuildTarget.of(session)
    for model in models:
        spec = model_spec(model)
        assert spec.size is not None
        network = trace_network(model, sizes=[spec.size, SMALL])
        for label in labels_for(model, plans) if plans else [DENSE]:
            meant = plans_of_label(
                label, network.graphs[0], model, [template("columns:4x1")], [template("columns:8x1")]
            )
            planned = network.under(meant[0], prune=True) if meant else network
            with WorkFolder() as folder:
                rows.append(compare_network(planned, label, target, folder, rounds, progress))
    return rows


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("benchmarks.packages", "Packages in the C runtime against artifacts in TVM's, interleaved.")
    default = " ".join(DEFAULT_MODELS)
    parser.add_argument("--model", nargs="+", help=f"registered networks, with random weights (default: {default})")
    parser.add_argument(
        "--plan", nargs="+", default=[], metavar="PLAN", help="2.15x, ... or FILE.json (default: dense)"
    )
    parser.add_argument("--rounds", type=int, default=30, help="samples of each (default: %(default)s)")
    return parser


def main(arguments: argparse.Namespace) -> int:
    models = arguments.model or [*DEFAULT_MODELS]
    check_plans(models, arguments.plan)
    if arguments.rounds < 3:
        raise UsageError("--rounds is at least 3")
    before = conditions()
    with status("benchmark") as progress:
        rows = compare(models, arguments.plan, arguments.rounds, progress)
    if arguments.json:
        cli.print_json({"rows": [asdict(row) for row in rows], "before": before, "after": conditions()})
        return 0
    for row in rows:
        print(f"{row.model} {row.plan}: {row.launches} launches, package {row.package_ms:.2f} ms, artifact "
              f"{row.artifact_ms:.2f} ms, ratio {row.ratio:.3f} ({row.low:.3f} to {row.high:.3f}); a launch at "
              f"{SMALL[0]}x{SMALL[1]} {row.package_launch_us:.1f} and {row.artifact_launch_us:.1f} us; first outputs "
              f"after {row.package_start_secs:.2f} and {row.artifact_start_secs:.2f} s; {row.package_mb:.1f} and "
              f"{row.artifact_mb:.1f} MB; outputs differ by {row.max_abs_difference:g}")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
