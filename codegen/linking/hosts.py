"""Hosts: the processors that artifacts are linked for."""

from __future__ import annotations

#: LLVM triples of the hosts an artifact can be linked for; None is this machine
HOSTS: dict[str, str | None] = {
    "native": None,
    "linux-x64": "x86_64-linux-gnu",
    "linux-arm64": "aarch64-linux-gnu",
    "android-arm64": "aarch64-linux-android",
}
