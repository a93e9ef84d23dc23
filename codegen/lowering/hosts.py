"""Hosts: the processors that load artifacts and launch their kernels. Imports no TVM."""

from __future__ import annotations

from devices.profile import Profile
from fleetpose.errors import unknown_name

#: LLVM triples of the hosts an artifact can be linked for; None is this machine
HOSTS: dict[str, str | None] = {
    "native": None,
    "linux-arm64": "aarch64-linux-gnu",
    "android-arm64": "aarch64-linux-android",
}


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
