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


def host_for(profile: Profile, spec: str | None, wanted: str | None = None) -> str:
    """Who loads what is built: `wanted`, else this machine for the device "host" (or "null"), else as the profile says.

    Args:
        spec: of the device, as for `open_device`; None where only a profile is given.

    Raises:
        UsageError: `wanted`, or what the profile says, is no key of HOSTS.
    """
    found = wanted or ("native" if spec in ("host", "null") else profile.host)
    if found not in HOSTS:
        raise unknown_name("host", found, HOSTS)
    return found
