"""A built network is run once on its device and judged by float64, before anything is written."""

from __future__ import annotations

from codegen.building.build import BuiltNetwork
from codegen.building.traced import TracedNetwork
from codegen.judging.networks import judge_network
from codegen.lowering.hosts import host_for
from devices.session import Session
from fleetpose.errors import FleetposeError, WrongResult
from fleetpose.progress import Report, no_report

#: one inference at one input size, the driver's compiling of all kernels included, which takes a minute at most
TIMEOUT_SECS = 600.0


def can_check(built: BuiltNetwork, session: Session) -> bool:
    """Whether what was built runs on a session's device: not on the null device, nor for another processor."""
    own_host = host_for(session.profile, session)
    return session.runs_kernels and built.compiled.host == own_host


def check_network(
    built: BuiltNetwork, network: TracedNetwork, session: Session, seed: int = 0, report: Report = no_report
) -> None:
    """Run a built network on a device, once at each input size, and compare its outputs with float64.

    Args:
        built: from `network`, for the session's device.
        seed: of the random inputs.
        report: told what is being done.

    Raises:
        WrongResult: an output is further from float64 than rounding explains. FleetposeError: it does not run.
        DeviceUnreachable: the device is gone.
    """
    name = session.info.name or session.spec
    try:
        fault = judge_network(built.compiled, network.graphs, session, TIMEOUT_SECS, seed, report)
    except TimeoutError as error:
        raise FleetposeError(f"what was built does not run on {name}: {error}") from error
    if fault is not None:
        raise WrongResult(
            f"what was built is wrong on {name}: {fault}; nothing was written. Try --tuned none, or another driver; "
            "python -m codegen.layer checks single layers"
        )
