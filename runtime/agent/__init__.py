"""The agent: one executable that offers a phone's OpenCL device to clients of TVM's RPC (docs/agent.md), in C.

It lies with the C runtime because it is made of it: packages, OpenCL and the cache are the runtime's own sources.
"""

from runtime.agent.building import PROGRAM, build_agent, own_host

__all__ = ["PROGRAM", "build_agent", "own_host"]
