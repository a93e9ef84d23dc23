"""Whole networks, ours against other engines, in one interleaved run: `python -m benchmarks.networks`.

Ours is the deployable shared object over loopback RPC on this machine's OpenCL, timed by wall clock on the serving
side from the first launch until the queue is empty. The peers run in this process on the same number of threads. Both
start from an input in memory and end with the outputs in memory.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from codegen.artifact import Artifact
from codegen.build import Destination, build
from devices import open_device
from devices.interleaved import measure_interleaved
from devices.timers import Call
from fleetpose import cli
from fleetpose.errors import FleetposeError
from fleetpose.progress import status
from models.registry import create_model, model_spec


def onnxruntime_engine(model: str, tensor: np.ndarray, threads: int) -> Callable[[], list[np.ndarray]]:
    """The network in ONNX Runtime's CPU provider with all graph optimisations."""
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        exported = torch.onnx.export(
            create_model(model), (torch.from_numpy(tensor),), str(path), dynamo=True, verbose=False, external_data=False
        )
        del exported
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: tensor})


def compare(model: str, device: str, rounds: int, progress: Callable[..., None]) -> dict:
    """Time one network on every engine. The JSON object the command prints, rows as in `{"network", "plan", ...}`."""
    threads = len(os.sched_getaffinity(0))
    size = model_spec(model).size
    tensor = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 3, *size)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder, open_device(device) as session:
        path = Path(folder) / f"{model}.so"
        build(model, path, Destination(session.profile, session.info.to_dict()), sizes=[size], progress=progress)
        progress(f"preparing ONNX Runtime for {model}")
        peer = onnxruntime_engine(model, tensor, threads)
        artifact = Artifact(path, session)
        _check_same(list(artifact.run(tensor).values()), peer())
        calls = {"onnxruntime": Call(peer), "ours": Call(**artifact.timed(tensor))}
        progress(f"timing {model}, {rounds} rounds")
        found = measure_interleaved(session, calls, rounds, number=1, clock="wall")
        device_info = session.info.to_dict()
    rows = []
    for engine, timing in found.measurements.items():
        if not timing.ok:
            raise FleetposeError(f"{engine}: {timing.error}")
        wall = 1e3 * np.array(timing.wall_secs)
        rows.append(
            {
                "network": model,
                "plan": "dense",
                "engine": engine,
                "median_ms": float(np.median(wall)),
                "min_ms": float(wall.min()),
                "threads": threads,
            }
        )
    ratio = found.ratios["ours"]
    return {
        "rows": rows,
        "device": device_info,
        "time_over_onnxruntime": 1 / ratio.median,
        "interval": [1 / ratio.high, 1 / ratio.low],
    }


def _check_same(ours: list[np.ndarray], theirs: list[np.ndarray]) -> None:
    """Engines that compute something else are not compared."""
    for one, other in zip(ours, theirs, strict=True):
        error = np.abs(one - other).max() / np.abs(other).max()
        if not error < 1e-3:
            raise FleetposeError(f"the engines disagree: relative error {error:.2g}")


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("benchmarks.networks", "Whole networks against ONNX Runtime, interleaved.")
    parser.add_argument("--model", nargs="+", default=["lwop"], help="registered networks, with random weights")
    parser.add_argument("--device", default="host", help="host or rpc:KEY")
    parser.add_argument("--rounds", type=int, default=30, help="samples of each engine")
    return parser


def main(arguments: argparse.Namespace) -> int:
    found = []
    with status("benchmark") as progress:
        found = [compare(model, arguments.device, arguments.rounds, progress) for model in arguments.model]
    rows = [row for one in found for row in one["rows"]]
    if arguments.json:
        cli.print_json({"rows": rows, "comparisons": found})
        return 0
    header = ("network", "plan", "engine", "median ms", "min ms", "threads")
    cli.print_table(
        header,
        [
            (r["network"], r["plan"], r["engine"], f"{r['median_ms']:.1f}", f"{r['min_ms']:.1f}", r["threads"])
            for r in rows
        ],
    )
    for one, model in zip(found, arguments.model, strict=True):
        low, high = one["interval"]
        ratio = one["time_over_onnxruntime"]
        print(f"{model}: ours takes {ratio:.2f} of ONNX Runtime's time ({low:.2f} to {high:.2f})")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
