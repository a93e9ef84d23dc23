"""What an artifact is built for, as one value. Imports no TVM until it is checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from codegen.linking.hosts import AGENT
from codegen.lowering.hosts import host_for
from devices.profile import Profile
from devices.session import Session
from fleetpose.codec import encode


@dataclass(frozen=True)
class BuildTarget:
    """What an artifact is built for.

    Attributes:
        profile: the device's facts, which shape the kernels.
        device: the device's own description, {} when built from a profile alone.
        host: what will load it, one of codegen.linking.hosts.LOADERS.
        linker: "lld" or "cc".
        dtype: element type of activations and weights on the device, "float32" or "float16".
    """

    profile: Profile
    device: Mapping[str, Any] = field(default_factory=dict)
    host: str = "native"
    linker: str = "lld"
    dtype: str = "float32"

    @staticmethod
    def of(session: Session, host: str | None = None, linker: str = "lld", dtype: str = "float32") -> BuildTarget:
        """The device of an open session; `host` is None for what `host_for` names."""
        host = host_for(session.profile, session, host)
        device = encode(session.info) if session.runs_kernels else {}
        return BuildTarget(session.profile, device, host, linker, dtype)

    def check(self) -> None:
        """Refuse what cannot be built, before any work.

        Raises:
            UsageError: an unknown host or linker, or a dtype that the device does not have.
            LinkError: the linker is not installed.
        """
        from codegen.linking.link import link_command
        from codegen.lowering.target import make_target

        make_target(self.profile, self.host)
        if self.host != AGENT:
            link_command([], "", self.host, self.linker)
        self.profile.lanes_of(self.dtype)
