"""An optimization as one call: of a network made by `create_model`, on a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devices.opening import check_runs_kernels, open_device
from devices.session import Session
from fleetpose.errors import UsageError
from fleetpose.files import read_json
from latency.optimize.flow import run
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
            job = Job(request, lease)
            return _result(job, run(job, state))
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
