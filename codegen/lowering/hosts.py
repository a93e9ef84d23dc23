"""Which host an artifact is for: the processor that loads it and launches its kernels. Imports no TVM."""

from __future__ import annotations

import argparse

from codegen.linking.hosts import HOSTS
from devices.profile import Profile
from fleetpose.errors import unknown_name


def host_for(profile: Profile, on_this_machine: bool, wanted: str | None = None) -> str:
    """The processor that loads what is built: `wanted`, else this machine if its device is here, else the profile's.

    Args:
        on_this_machine: `Session.on_this_machine`; False where only a profile is given.

    Raises:
        UsageError: `wanted`, or what the profile says, is no key of HOSTS.
    """
    host = wanted or ("native" if on_this_machine else profile.host)
    if host not in HOSTS:
        raise unknown_name("host", host, HOSTS)
    return host


def add_target_host(parser: argparse._ActionsContainer, condition: str = "") -> None:
    """Add the flag that names the processor; --host is what it was called, and lasts for one more version.

    Args:
        condition: what the help begins with, such as "with --measure: ".
    """
    names = ", ".join(HOSTS)
    parser.add_argument(
        "--target-host", "--host", dest="host", metavar="NAME",
        help=f"{condition}processor that loads what is compiled: {names} (default: this machine for a device of its "
        "own, else what the profile says); --host is the old name of this flag",
    )  # fmt: skip
