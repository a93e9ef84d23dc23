"""An optimization as one call: of a network made by `create_model`, on a device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devices.opening import check_runs_kernels, open_device
from devices.session import Session
from fleetpose.codec import decode
from fleetpose.errors import UsageError
from fleetpose.files import read_json
from latency.optimize.flow import run
from latency.optimize.frontier.curve import FrontierPoint
from latency.optimize.frontier.gathering import FRONTIER, PICTURE, relative
from latency.optimize.job import PRUNED, RESULT, SPARSE_SO, Job, Lease
from latency.optimize.request import Request
from latency.optimize.state import State, lock
from latency.report import HTML
from models.plans.plan import Plan
from models.resolve import model_name
from models.zoo.weights import save_weights

if TYPE_CHECKING:
    from torch import nn

#: where the weights of a network given as a module are kept
GIVEN = "given.safetensors"


@dataclass(frozen=True)
class Result:
    """What came of an optimization.

    Attributes:
        folder: of all files.
        plan: the variant of every convolution, and why.
        artifact: the planned network's shared object; its manifest stands beside it.
        weights: file of the pruned weights.
        facts: the content of result.json.
        stages: (name, result in words, seconds) of each.
        ok: both artifacts give what torch gives.
    """

    folder: Path
    plan: Plan
    artifact: Path
    weights: Path
    facts: dict[str, Any]
    stages: tuple[tuple[str, str, float], ...]
    ok: bool

    @property
    def report(self) -> Path:
        """For people, in one file; report.md beside it says the same."""
        return self.folder / HTML


def optimize(
    network: nn.Module | None,
    device: Session | str,
    request: Request,
    *,
    profile: str | None = None,
    force: bool = False,
) -> Result:
    """Make a network fast on a device: measure, decide, prune, build, check, compare.

    Everything is written to `request.folder`. The same call resumes an optimization that was interrupted.

    Args:
        network: as `create_model` made it, with the weights it has now; None: `request.model` with `request.weights`.
        device: an open session, which stays open; or a device's spec ("host", "rpc:KEY"), opened while it is needed.
        request: what is asked for; its model is the network's.
        profile: profile name or TOML file of a device that is given by its spec (default: the device's own).
        force: take over a folder of something else.

    Raises:
        UsageError: values, files or folders that make no sense; a goal out of reach.
        DeviceUnreachable: the device is gone.
        KeyboardInterrupt: SIGINT or SIGTERM came.
    """
    if request.frontier:
        raise UsageError("a request with a frontier is one of optimize_frontier")
    with _opened(network, device, request, profile, force) as (job, state):
        return _result(job, run(job, state))


@dataclass(frozen=True)
class FrontierResult:
    """What came of a frontier.

    Attributes:
        folder: of all files; each plan's are in a folder of its own below it.
        points: the dense network, then every plan, the mildest first; artifacts are paths.
        plans: what came of each plan, by speed-up.
        facts: the content of frontier.json.
        stages: (name, result in words, seconds) of each.
    """

    folder: Path
    points: tuple[FrontierPoint, ...]
    plans: dict[float, Result]
    facts: dict[str, Any]
    stages: tuple[tuple[str, str, float], ...]

    @property
    def ok(self) -> bool:
        """Whether all artifacts give what torch gives."""
        return all(point.ok for point in self.points)

    @property
    def picture(self) -> Path:
        """Time against what is kept."""
        return self.folder / PICTURE


def optimize_frontier(
    network: nn.Module | None,
    device: Session | str,
    request: Request,
    *,
    profile: str | None = None,
    force: bool = False,
) -> FrontierResult:
    """Make several plans of a network, from little faster to much, and compare all of them in one run.

    Layers are timed and their sensitivity is measured once; each plan is pruned, built and checked in a folder of its
    own. The same call resumes a frontier that was interrupted. Arguments and errors are those of `optimize`;
    `request.frontier` says the speed-ups.
    """
    if not request.frontier:
        raise UsageError("a frontier needs speed-ups: Request(frontier=(1.25, 1.5, 2.0))")
    from latency.optimize.frontier.running import run_frontier

    with _opened(network, device, request, profile, force) as (job, state):
        rows, jobs = run_frontier(job, state)
        facts = read_json(job.path(FRONTIER), "frontier")
        points = decode(list[FrontierPoint], facts["points"], str(job.path(FRONTIER)))
        plans = {value: _result(point, point.stages) for value, point in jobs.items()}
        return FrontierResult(request.folder, tuple(relative(points, request.folder)), plans, facts, tuple(rows))


@contextmanager
def _opened(
    network: nn.Module | None, device: Session | str, request: Request, profile: str | None, force: bool
) -> Iterator[tuple[Job, State]]:
    """A checked request at work on a device, its folder held."""
    check_runs_kernels(device)
    if network is not None:
        _check_network(network, request)
    request.check()
    state = State(request.folder, {"model": request.model, "input_size": list(request.input_size)}, force)
    lease = Lease(lambda: open_device(device, profile)) if isinstance(device, str) else Lease(session=device)
    try:
        with lock(request.folder):
            if network is not None:
                save_weights(network, request.folder / GIVEN, force=True)
                request = replace(request, weights=request.folder / GIVEN)
            yield Job(request, lease), state
    finally:
        lease.give_back()


def _check_network(network: nn.Module, request: Request) -> None:
    """Raise UsageError where a request is not of the network that is given with it."""
    if (name := model_name(network)) != request.model:
        raise UsageError(f"the network is {name}, but the request is of {request.model}")
    if request.weights is not None:
        raise UsageError("a network that is given has its weights; leave out weights=")


def _result(job: Job, stages: Sequence[tuple[str, str, float]]) -> Result:
    facts = read_json(job.path(RESULT), "result")
    return Result(
        job.request.folder, job.plan, job.path(SPARSE_SO), job.path(PRUNED), facts, tuple(stages), facts["verify"]["ok"]
    )
