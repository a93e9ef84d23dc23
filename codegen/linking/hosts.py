"""Hosts: what loads that which is built. A processor loads what is linked for it; the agent loads packages."""

from __future__ import annotations

#: LLVM triples of the hosts an artifact can be linked for; None is this machine
HOSTS: dict[str, str | None] = {
    "native": None,
    "linux-x64": "x86_64-linux-gnu",
    "linux-arm64": "aarch64-linux-gnu",
    "android-arm64": "aarch64-linux-android",
}

#: the agent on a phone, which loads packages: nothing is linked for it, and it needs no TVM
AGENT = "agent"
#: all that something can be built for
LOADERS = (*HOSTS, AGENT)
