"""An optimization as one call: of a network made by `create_model`, on an open device."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devices.opening import check_runs_kernels
from devices.session import Session
from fleetpose.errors import UsageError
from latency.optimize.flow import run
from latency.optimize.job import PRUNED, RESULT, SPARSE_SO, VERIFIED, Job, Lease
from latency.optimize.request import Request
from latency.optimize.state import State, locked
from latency.planning.options import Goal
from latency.report import HTML
from models.plans.plan import Plan
from models.zoo.resolve import model_name
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
    model: nn.Module | str,
    device: Session,
    *,
    out: Path | str,
    speedup: float | None = None,
    target_ms: float | None = None,
    max_loss: float | None = None,
    force: bool = False,
    **options: Any,
) -> Result:
    """Make a network fast on a device: measure, decide, prune, build, check, compare; resumed where `out` has a part.

    Args:
        model: as `create_model` made it, with the weights it has now; or a registered name, with `weights=FILE`.
        device: an open session, which stays open.
        out: folder for everything.
        speedup, target_ms, max_loss: the goal, at most one; none decides every layer for itself.
        force: take over a folder of something else.
        options: fields of `latency.optimize.request.Request`, such as data, val, budget_minutes, sparsities.

    Raises:
        UsageError: values, files or folders that make no sense; a goal out of reach.
        DeviceUnreachable: the device is gone. KeyboardInterrupt: SIGINT or SIGTERM came. The same call goes on.
    """
    if sum(each is not None for each in (speedup, target_ms, max_loss)) > 1:
        raise UsageError("speedup, target_ms and max_loss are goals; give one")
    unknown = options.keys() - Request.__dataclass_fields__.keys()
    if unknown:
        raise UsageError(f"optimize has no option {sorted(unknown)[0]!r}; see latency.optimize.request.Request")
    for name in ("weights", "plan", "sensitivity", "val", "image"):
        if options.get(name) is not None:
            options[name] = Path(options[name])
    options["data"] = tuple(map(Path, options.get("data", ())))
    name = model if isinstance(model, str) else model_name(model)
    request = Request(name, Path(out), goal=Goal(target_ms, speedup, max_loss), **options)
    if isinstance(model, str):
        return carried_out(request, Lease(session=device), force=force)
    if request.weights is not None:
        raise UsageError("a model that is given has its weights; leave out weights=")
    return carried_out(request, Lease(session=device), model, force)


def carried_out(request: Request, lease: Lease, network: nn.Module | None = None, force: bool = False) -> Result:
    """Check a request and do it.

    Args:
        lease: the device.
        network: whose weights are taken, instead of `request.weights`.
        force: take over a folder of something else.

    Raises:
        As `optimize`.
    """
    request.check()
    about = {"model": request.model, "input_size": list(request.input_size)}
    state = State(request.folder, about, force)
    with locked(request.folder):
        if network is not None:
            save_weights(network, request.folder / GIVEN, force=True)
            request = replace(request, weights=request.folder / GIVEN)
        check_runs_kernels(lease.session)
        job = Job(request, lease)
        stages = run(job, state)
    facts = json.loads(job.path(RESULT).read_text())
    ok = bool(json.loads(job.path(VERIFIED).read_text())["ok"])
    return Result(request.folder, job.plan, job.path(SPARSE_SO), job.path(PRUNED), facts, tuple(stages), ok)
