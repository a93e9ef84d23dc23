"""Session: what every device offers, whether kernels run behind RPC (`devices.rpc_session`) or not at all
(`devices.null`).

Nobody above this package asks which device it is; what differs is a property here, and a device itself refuses what it
cannot do with a UsageError. Sessions are made by `devices.open_device`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from devices.info import DeviceInfo
from devices.profile import Profile
from devices.timers import TimedCall, Timer


class Session(Protocol):
    """An open session with one device. Made by `open_device`; use it as a context manager.

    One thread at a time may use it; only `abort` and `alive` may be called from another. Whatever fails because the
    device is gone raises DeviceUnreachable.

    Attributes:
        spec: the name the device was opened by, as for `open_device`.
        info: what the device says of itself.
    """

    spec: str
    info: DeviceInfo

    @property
    def profile(self) -> Profile:
        """The facts kernels for the device are shaped by. Raises UsageError where none was given and none suits it."""

    @property
    def runs_kernels(self) -> bool:
        """Whether what is loaded is run; else only stand-ins from `kernel` can be timed."""

    @property
    def on_this_machine(self) -> bool:
        """Whether this machine is the one that loads artifacts and launches kernels."""

    @property
    def loads(self) -> str:
        """What `load` takes: `devices.info.LIBRARY` or `PACKAGE`."""

    @property
    def remote(self) -> Any:
        """The `tvm.rpc.RPCSession`. Raises UsageError where there is none."""

    @property
    def device(self) -> Any:
        """The device for remote tensors. Raises UsageError where there is none."""

    def load(self, path: Path | str) -> Any:
        """Send a shared object, or a package, and load it there; gives the remote `tvm.runtime.Module`.

        Raises:
            UsageError: no such file, not what the device loads, or the device runs nothing.
            DeviceUnreachable: the device went away.
            RuntimeError: the device refuses to load it (wrong architecture, missing symbols).
        """

    def kernel(self, key: str, macs: float = 0.0, moved_bytes: float = 0.0) -> Any:
        """A stand-in to time in place of a loaded kernel. Raises UsageError where `runs_kernels` holds."""

    def timer(self, call: TimedCall) -> Timer:
        """What takes samples of `call` here. Raises UsageError where it cannot be timed in this session."""

    def function(self, name: str) -> Any:
        """A global function of the device's process, by name; None where it has none of that name."""

    def ask(self, name: str, *arguments: Any) -> Any:
        """Call a global function that answers JSON, and decode it; None where the device has no such function."""

    def alive(self) -> bool:
        """Whether the other end still holds the connection. Does not talk to it."""

    def abort(self, why: str) -> None:
        """Cut the connection from any thread: a call that hangs in another one ends with an error at once."""

    def reconnect(self) -> None:
        """Leave the connection and make a new one; tensors, modules and functions of the old one are void."""

    def guard(self, doing: str, secs: float | None = None) -> AbstractContextManager[None]:
        """Turn errors inside that come from a lost connection into DeviceUnreachable; let others through.

        Args:
            doing: the step, for the error.
            secs: how long each call inside may take; None: as long as `devices.rpc.limits` says.
        """

    def close(self) -> None:
        """End the session and whatever was started for it. Safe to call again."""

    def __enter__(self) -> Session: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
