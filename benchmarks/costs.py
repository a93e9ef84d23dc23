"""What single constructions cost, each in one interleaved run on this machine: `python -m benchmarks.costs`.

- squeeze-excite: a network with it over the same network without;
- transposed convolutions: a layer of ours over the same layer on the fastest of the other engines that are installed;
- batch: a picture of four that are run together over a picture that is run alone.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from torch import nn

from benchmarks.engines import EngineJob, PreparedEngine, any_module, prepare
from benchmarks.engines.any_module import call_of, load_network, traced_module
from benchmarks.networks import pocl_threads
from devices import open_device
from devices.conditions import conditions
from devices.session import Session
from devices.timers import TimedCall
from devices.timing.interleaved import bootstrap_median, measure_interleaved
from fleetpose import cli
from fleetpose.errors import FleetposeError, UsageError, reason
from fleetpose.progress import status
from models.networks.efficientnet import efficientnet
from models.resolve import create_model, model_spec

log = logging.getLogger("benchmarks.costs")

#: of the network that squeeze-excite is taken from
VARIANT, ACTIVATION, SIZE = "b0", "silu", (3, 368, 368)
#: input channels, output channels, kernel, stride, padding, groups, height, width; of published pose networks
TRANSPOSED = {
    "SimpleBaseline, first": (512, 256, 4, 2, 1, 1, 8, 6),
    "SimpleBaseline, second": (256, 256, 4, 2, 1, 1, 16, 12),
    "SimpleBaseline, last": (256, 256, 4, 2, 1, 1, 32, 24),
    "HigherHRNet": (66, 32, 4, 2, 1, 1, 64, 64),
    "U-Net": (128, 64, 2, 2, 0, 1, 32, 32),
    "DeepLabCut": (256, 17, 3, 2, 1, 1, 24, 32),
    "CenterNet, by channel": (64, 64, 4, 2, 1, 64, 32, 32),
}
PEERS = ("onnxruntime", "openvino", "torch")
BATCHED, PICTURES = "lwop", 4
REST_SECS = 0.03


@dataclass(frozen=True)
class Cost:
    """One comparison.

    Attributes:
        kind, what: of the three above, and of which network or layer.
        ms: of ours, the median of all rounds; for a batch, of one picture of it.
        over: what it is compared with.
        over_ms: the same of that one.
        ratio, low, high: ours over the other's in the same round, its median and the 95 % interval.
    """

    kind: str
    what: str
    ms: float
    over: str
    over_ms: float
    ratio: float
    low: float
    high: float


def squeeze_excite(session: Session, rounds: int) -> list[Cost]:
    calls, names = {}, {f"EfficientNet-{VARIANT.upper()} with it": True, "without": False}
    for name, has_it in names.items():
        network = efficientnet(VARIANT, activation=ACTIVATION, squeeze_excite=has_it).eval()
        calls[name] = call_of(load_network(traced_module(name, network, SIZE), session), _picture(SIZE))
    return [_cost("squeeze-excite", *names, _times(session, calls, rounds))]


def transposed(session: Session, rounds: int) -> list[Cost]:
    """Each layer against the fastest of the others. Raises FleetposeError where no other engine works here."""
    costs = []
    for name, (inputs, outputs, kernel, stride, padding, groups, height, width) in TRANSPOSED.items():
        layer = nn.ConvTranspose2d(inputs, outputs, kernel, stride, padding, groups=groups).eval()
        job = EngineJob("layer", layer, _picture((inputs, height, width)), torch.get_num_threads(), session)
        times = _times(session, {engine: each.call for engine, each in _prepared(job).items()}, rounds)
        best = min((engine for engine in times if engine != "ours"), key=lambda engine: np.median(times[engine]))
        costs.append(replace(_cost("transposed convolution", "ours", best, times), what=name))
    return costs


def _prepared(job: EngineJob) -> Mapping[str, PreparedEngine]:
    """Ours and the peers, each compared with PyTorch. Raises FleetposeError where ours is wrong or no peer is there."""
    found = {"ours": any_module.prepare(job)}
    job.check(found["ours"])
    for name in PEERS:
        try:
            found[name] = prepare(name, job)
        except Exception as error:  # one that is missing or fails is left out, and said
            log.warning("%s is left out: %s", name, reason(error))
    if len(found) == 1:
        raise FleetposeError("no other engine works here: pip install -e '.[bench]'")
    return found


def batch(session: Session, rounds: int) -> list[Cost]:
    """With the transfers of inputs and outputs, since these are a part of what a batch could save."""
    shape = (3, *model_spec(BATCHED).size)
    artifact = load_network(traced_module(BATCHED, create_model(BATCHED), shape), session)
    alone = _picture(shape)
    together = np.concatenate([alone] * PICTURES)
    calls = {f"{PICTURES} pictures": TimedCall(lambda: artifact.run(together)),
             "one picture": TimedCall(lambda: artifact.run(alone))}  # fmt: skip
    times = _times(session, calls, rounds)
    times[f"{PICTURES} pictures"] = times[f"{PICTURES} pictures"] / PICTURES
    cost = _cost("batch", f"{PICTURES} pictures", "one picture", times)
    return [replace(cost, what=f"{BATCHED}, {PICTURES} pictures")]


KINDS: dict[str, Callable[[Session, int], list[Cost]]] = {
    "squeeze-excite": squeeze_excite,
    "transposed": transposed,
    "batch": batch,
}


def _picture(shape: tuple[int, int, int]) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, (1, *shape)).astype(np.float32)


def _times(session: Session, calls: Mapping[str, TimedCall], rounds: int) -> dict[str, np.ndarray]:
    """Wall seconds by name, as many as rounds. Raises FleetposeError where a call fails."""
    timings = measure_interleaved(session, calls, rounds, clock="wall", rest_secs=REST_SECS).measurements
    for name, timing in timings.items():
        if not timing.ok:
            raise FleetposeError(f"{name}: {timing.error}")
    return {name: np.array(timing.wall_secs) for name, timing in timings.items()}


def _cost(kind: str, ours: str, other: str, times: Mapping[str, np.ndarray]) -> Cost:
    ratios = times[ours] / times[other]
    ms, other_ms = (1e3 * float(np.median(times[name])) for name in (ours, other))
    return Cost(kind, ours, ms, other, other_ms, float(np.median(ratios)), *bootstrap_median(ratios))


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("benchmarks.costs", "What single constructions cost on this machine, interleaved, fp32.")
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=[*KINDS], help="of what (default: all)")
    parser.add_argument("--threads", type=int, default=2, help="of every engine")
    parser.add_argument("--rounds", type=int, default=30, help="samples of each")
    return parser


def main(arguments: argparse.Namespace) -> int:
    cores = len(os.sched_getaffinity(0))
    if arguments.rounds < 1 or not 1 <= arguments.threads <= cores:
        raise UsageError(f"--rounds is at least 1 and --threads 1 to {cores}, this machine's cores")
    torch.set_num_threads(arguments.threads)
    before, costs = conditions(), []
    with status("costs") as progress:
        for kind in arguments.kind:
            progress(kind)
            with pocl_threads(arguments.threads), open_device("host") as session:
                costs += KINDS[kind](session, arguments.rounds)
    if arguments.json:
        cli.print_json({"rows": [asdict(cost) for cost in costs], "before": before, "after": conditions()})
    else:
        print(table(costs))
    return 0


def table(costs: list[Cost]) -> str:
    rows: list[list[str]] = [["cost", "of", "ms", "over", "ms", "ratio", "95 % interval"]]
    rows += [
        [cost.kind, cost.what, f"{cost.ms:.3f}", cost.over, f"{cost.over_ms:.3f}", f"{cost.ratio:.3f}",
         f"{cost.low:.3f} to {cost.high:.3f}"] for cost in costs
    ]  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
