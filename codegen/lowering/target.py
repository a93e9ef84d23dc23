"""TVM Targets from device profiles."""

from __future__ import annotations

import tvm

from codegen.linking.hosts import HOSTS, LOADERS
from devices.profile import Profile
from fleetpose.errors import unknown_name


def make_target(profile: Profile, host: str = "native") -> tvm.target.Target:
    """The OpenCL target of `profile` with host code for `host`, one of LOADERS; for the agent, which has none,
    this machine's. Raises UsageError on another host."""
    if host not in LOADERS:
        raise unknown_name("host", host, LOADERS)
    triple = HOSTS.get(host)
    llvm = {"kind": "llvm"} if triple is None else {"kind": "llvm", "mtriple": triple}
    opencl = {
        "kind": "opencl",
        "max_num_threads": profile.max_threads_per_block,
        "max_threads_per_block": profile.max_threads_per_block,
        "max_shared_memory_per_block": profile.max_shared_memory_per_block,
        "thread_warp_size": profile.thread_warp_size,
    }
    return tvm.target.Target(opencl, host=tvm.target.Target(llvm))
