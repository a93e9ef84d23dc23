"""A session over RPC: loading and calling what runs on the device, and telling a lost device from any other error.

Everything a session does can fail because the device is gone; that is always DeviceUnreachable (exit status 3).
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from devices.info import LIBRARY, PACKAGE, DeviceInfo, loaded_kind, narrowed, profile_for
from devices.profile import Profile
from devices.rpc.connection import RpcConnection, run_within
from devices.rpc.loopback import Loopback
from devices.timers import ModuleTimer, PythonTimer, TimedCall, Timer
from fleetpose.codec import decode, parse_json
from fleetpose.codec.text import ANSWER
from fleetpose.disk.refusals import is_text, write_error
from fleetpose.errors import DeviceUnreachable, FleetposeError, UsageError, reason

log = logging.getLogger("devices.rpc_session")

#: how files are called that a device loads
SUFFIXES = {LIBRARY: (".so", ".dylib"), PACKAGE: (".fpk",)}


class RpcSession:
    """A Session with one OpenCL device behind an RPC connection.

    Attributes:
        spec: what was asked for, "host" or "rpc:KEY".
        profile: the facts kernels for it are shaped by.
        remote: the `tvm.rpc.RPCSession`.
        device: its `opencl(0)`, for remote tensors.
        info: what the device says of itself.
        loads: what it loads, LIBRARY or PACKAGE.
    """

    def __init__(
        self,
        spec: str,
        connect: Callable[[], RpcConnection],
        profile: Profile | None,
        loopback: Loopback | None = None,
        require_opencl: bool = True,
    ) -> None:
        self.spec = spec
        self._connect = connect
        self._loopback = loopback
        self._require_opencl = require_opencl
        self._names = itertools.count()
        self._why_aborted: str | None = None
        self._warned = False
        self._connection = connect()
        try:
            self._introduce()
            self._profile = profile and narrowed(profile, self.info)
        except BaseException:
            self._connection.abort()
            raise

    @property
    def profile(self) -> Profile:
        """The facts kernels for the device are shaped by: as given, else those that come with the package.

        Only building kernels asks for it; a device without a profile still runs what is built.

        Raises:
            UsageError: none was given and none suits the device.
        """
        if self._profile is None:
            self._profile = narrowed(profile_for(self.info), self.info)
        return self._profile

    @property
    def runs_kernels(self) -> bool:
        """Always."""
        return True

    @property
    def on_this_machine(self) -> bool:
        """Whether the server was started here for this session."""
        return self._loopback is not None

    def reconnect(self) -> None:
        """Leave the connection and make a new one; tensors, modules and functions of the old one are void.

        The way on after a kernel that hung or crashed. Raises DeviceUnreachable.
        """
        self._connection.abort()
        self._why_aborted = None
        self._connection = self._connect()
        self._introduce()

    def _introduce(self) -> None:
        """Learn what the device is, over a fresh connection."""
        self.remote = self._connection.remote
        with self.guard("asking the device its name", self._connection.limits.load):
            listed = self._list_devices()
            self.device = self.remote.device("opencl", 0)
            self.loads = loaded_kind(listed)
            if listed:
                self.info = DeviceInfo.from_listed(listed[0])
            elif self.function("device_api.opencl") is not None and self.device.exist:
                self.info = DeviceInfo(name=str(self.device.device_name))  # a server with another OpenCL runtime
            elif self._require_opencl:
                raise DeviceUnreachable(
                    f"the server behind {self.spec!r} has no OpenCL device\n"
                    f"see, on that machine: python -m devices.doctor"
                )
            else:
                self.info = DeviceInfo(name="")
        self._say_where_programs_are_kept()

    def _say_where_programs_are_kept(self) -> None:
        """Warn, once, where the usual folder on the device's machine cannot be written to."""
        stats = self.ask("fleetpose.opencl.cache_stats") or {}
        if stats.get("unwritable") and not self._warned:
            self._warned = True
            log.warning(
                "%s cannot be written to; compiled kernels are kept in %s (to keep them elsewhere, set "
                "FLEETPOSE_CACHE_DIR and, for PoCL, POCL_CACHE_DIR)",
                stats["unwritable"],
                stats["directory"] or "no folder",
            )

    def _list_devices(self) -> Any:
        """The backend's list of OpenCL devices; None where the server has none of ours, [] where OpenCL fails there."""
        try:
            return decode(list[dict[str, Any]] | None, self.ask("fleetpose.opencl.devices"), "the device's list")  # type: ignore[arg-type]
        except RuntimeError as error:
            if self._require_opencl and self.alive():
                raise DeviceUnreachable(
                    f"OpenCL fails behind {self.spec!r}: {reason(error)}\n"
                    f"see, on that machine: python -m devices.doctor"
                ) from error
            if not self.alive():
                raise
            return []

    def load(self, path: Path | str) -> Any:
        """Send a shared object, or a package, and load it there; gives the remote `tvm.runtime.Module`.

        Raises:
            UsageError: no such file, or not what the device loads.
            DeviceUnreachable: the device went away.
            RuntimeError: the device refuses to load it (wrong architecture, missing symbols).
        """
        path = Path(path)
        if path.suffix not in SUFFIXES[self.loads]:
            what = "a package (.fpk), which is all that" if self.loads == PACKAGE else "a shared object, which"
            mend = "build one with python -m codegen.build or codegen.layer"
            raise UsageError(f"{path} is not {what} device {self.spec!r} loads; {mend}")
        try:
            path.open("rb").close()
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from error
        stem = path.stem if is_text(path.stem) else "module"
        name = f"{stem}-{next(self._names)}{path.suffix}"  # a name loaded before would be the old library
        limits = self._connection.limits
        with self.guard(f"sending {path.name}", limits.load):
            if not self._copied_here(path, name):
                self.remote.upload(bytearray(path.read_bytes()), name)
        with self.guard(f"loading {path.name}", limits.load):
            try:
                return self.remote.load_module(name)
            finally:  # it stays mapped; thousands of kernels, or of those that are refused, would fill the folder
                if self.alive():
                    self.remote.remove(name)

    def _copied_here(self, path: Path, name: str) -> bool:
        """Copy a file into the folder of a server on this machine, which is quicker than sending it."""
        if not self.on_this_machine:
            return False
        there = self.remote.get_function("tvm.rpc.server.workpath")(name)
        try:
            shutil.copyfile(path, there)
        except OSError as error:  # a server that was started here sees the same files, but need not let us write
            if error.errno in (errno.ENOSPC, errno.EDQUOT):  # nor could it itself
                error.filename = None
                raise write_error(there, error) from error
            return False
        return True

    def kernel(self, key: str, macs: float = 0.0, moved_bytes: float = 0.0) -> Any:  # noqa: ARG002  as a Session has it
        """Refused: UsageError."""
        raise UsageError(f"device {self.spec!r} times what is loaded there, no stand-in such as {key!r}")

    def timer(self, call: TimedCall) -> Timer:
        """A timer on the device's clocks for a module, on this process's clock for a Python callable."""
        if hasattr(call.function, "time_evaluator"):
            return ModuleTimer(call, self.device, self.function("fleetpose.opencl.timer_samples"))
        if callable(call.function):
            return PythonTimer(call)
        raise UsageError(f"{call.function!r} cannot be timed: neither a module nor a callable")

    def function(self, name: str) -> Any:
        """A global function of the device's process, by name; None where it has none of that name."""
        with self.guard(f"looking up {name}"):
            try:
                return self.remote.get_function(name)
            except AttributeError:
                return None

    def ask(self, name: str, *arguments: Any) -> Any:
        """Call a global function that answers JSON, and decode it; None where the device has no such function."""
        function = self.function(name)
        if function is None:
            return None
        with self.guard(f"calling {name}", self._connection.limits.load):
            return parse_json(function(*arguments), ANSWER, f"what {name} answers")

    def alive(self) -> bool:
        """Whether the other end still holds the connection. Does not talk to it."""
        return self._connection.alive()

    def abort(self, why: str) -> None:
        """Cut the connection from any thread: a call that hangs in another one ends with an error at once."""
        self._why_aborted = why
        self._connection.abort()

    @contextlib.contextmanager
    def guard(self, doing: str, secs: float | None = None) -> Iterator[None]:
        """Turn errors inside that come from a lost connection into DeviceUnreachable; let others through.

        Args:
            doing: the step, for the error.
            secs: how long each call inside may take; None: as long as `devices.rpc.limits` says.
        """
        connection = self._connection
        try:
            with connection.calls_within(secs) if secs is not None else contextlib.nullcontext():
                yield
        except Exception as error:
            if self._is_lost(error):
                raise self._unreachable(doing) from error
            raise

    def close(self) -> None:
        """End the session and whatever was started for it. Safe to call again."""
        if self.alive():
            with contextlib.suppress(Exception):
                run_within(self._connection.close, self._connection.limits.close, "closing the session")
        self._connection.abort()
        if self._loopback is not None:
            self._loopback.close()

    def __enter__(self) -> RpcSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        gone = self._unreachable("running") if error is not None and self._is_lost(error) else None
        self.close()
        if gone is not None:
            raise gone from error

    def _is_lost(self, error: BaseException) -> bool:
        """Whether `error` is TVM's, or the system's, and the connection is dead."""
        if isinstance(error, FleetposeError) or not isinstance(error, RuntimeError | OSError):
            return False
        return not self.alive()

    def _unreachable(self, doing: str) -> DeviceUnreachable:
        if self._why_aborted:
            return DeviceUnreachable(f"device {self.spec!r}: {self._why_aborted}")
        why = self._connection.why() or "its process ended or the connection broke"
        text = f"device {self.spec!r} went away while {doing}: {why}"
        if self._loopback is not None:
            return DeviceUnreachable(f"{text}\nits log ends:\n{self._loopback.log_tail()}")
        return DeviceUnreachable(f"{text}\nsee: python -m devices.doctor --device {self.spec}")
