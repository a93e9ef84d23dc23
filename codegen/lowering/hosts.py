"""What loads that which is built and launches its kernels: a processor, or the agent. Imports no TVM."""

from __future__ import annotations

import argparse

from codegen.linking.hosts import AGENT, LOADERS
from devices.info import PACKAGE
from devices.profile import Profile
from devices.session import Session
from fleetpose.errors import UsageError, unknown_name


def host_for(profile: Profile, session: Session | None, wanted: str | None = None) -> str:
    """What loads that which is built: `wanted`, else what the session's device says, else what the profile says.

    Args:
        session: of the device; None where only a profile is given.

    Raises:
        UsageError: `wanted`, or what the profile says, is none of LOADERS, or the device loads nothing of the kind.
    """
    takes_packages = session is not None and session.loads == PACKAGE
    usual = AGENT if takes_packages else "native" if session is not None and session.on_this_machine else profile.host
    host = wanted or usual
    if host not in LOADERS:
        raise unknown_name("host", host, LOADERS)
    if session is not None and session.runs_kernels and takes_packages != (host == AGENT):
        what = "packages, as for host agent" if takes_packages else "shared objects, not packages"
        raise UsageError(f"device {session.spec!r} loads {what}; leave --target-host {host} out")
    return host


def add_target_host(parser: argparse._ActionsContainer, condition: str = "") -> None:
    """Add the flag that names what loads; --host is what it was called, and lasts for one more version.

    Args:
        condition: what the help begins with, such as "with --measure: ".
    """
    names = ", ".join(LOADERS)
    parser.add_argument(
        "--target-host", "--host", dest="host", metavar="NAME",
        help=f"{condition}what loads that which is compiled, a processor or the agent: {names} (default: what the "
        "device says, this machine for a device of its own, else what the profile says); --host is the old name of "
        "this flag",
    )  # fmt: skip


def artifact_suffix(host: str) -> str:
    """How an artifact's file is called: a shared object, beside which its manifest lies, or a package."""
    return ".fpk" if host == AGENT else ".so"
