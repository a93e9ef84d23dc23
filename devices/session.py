"""A device to run kernels on, by name: this machine over loopback RPC, one a tracker knows, or none at all.

    with open_device("host") as session:
        module = session.load("kernel.so")
        module["main"](...)

Everything a session does can fail because the device is gone; that is always DeviceUnreachable (exit status 3), raised
within a bounded time. TVM is imported when a session is opened, with or without its compiler (`devices.lean`).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from devices import tracker
from devices.connection import RpcConnection, bounded
from devices.loopback import KEY, Loopback
from devices.profile import PROFILE_DIR, Profile, load_profile, profile_names
from fleetpose.errors import DeviceUnreachable, FleetposeError, UsageError, unknown_name

log = logging.getLogger("devices.session")

CLOSE_SECS = 2.0


@dataclass(frozen=True)
class DeviceInfo:
    """What the device says of itself.

    Attributes:
        name, vendor, platform, platform_version, driver, version: OpenCL's own strings, "" where not known.
        kind: "gpu", "cpu", "accelerator", ... or "null".
        compute_units: cores, 0 where not known.
        clock_mhz: the highest clock it claims, 0 where not known.
        max_work_group: work-items in one work-group at most.
        local_bytes: local memory of one work-group.
        fp16, image2d: as claimed by extensions and limits; None where not known.
    """

    name: str
    vendor: str = ""
    platform: str = ""
    platform_version: str = ""
    driver: str = ""
    version: str = ""
    kind: str = ""
    compute_units: int = 0
    clock_mhz: int = 0
    max_work_group: int = 0
    local_bytes: int = 0
    fp16: bool | None = None
    image2d: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """As a JSON object, to stand beside measurements."""
        return asdict(self)


class Session:
    """An open RPC session with one OpenCL device. Made by `open_device`; use it as a context manager.

    Attributes:
        spec: what was asked for, "host" or "rpc:KEY".
        profile: the facts kernels for it are shaped by.
        remote: the `tvm.rpc.RPCSession`.
        device: its `opencl(0)`, for remote tensors.
        info: what the device says of itself.
    """

    def __init__(
        self,
        spec: str,
        connect: Callable[[], RpcConnection],
        profile: Profile | str | None,
        loopback: Loopback | None = None,
    ) -> None:
        self.spec = spec
        self._connect = connect
        self._loopback = loopback
        self._names = itertools.count()
        self._why_aborted: str | None = None
        self._connection = connect()
        try:
            self._introduce()
            self.profile = _profile(profile, self.info)
        except BaseException:
            self._connection.abort()
            raise

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
        with self.guard("asking the device its name"):
            self.info = _device_info(self)
        self.device = self.remote.device("opencl", 0)

    def load(self, path: Path | str) -> Any:
        """Send a shared object and load it there; gives the remote `tvm.runtime.Module`.

        Raises:
            UsageError: no such file, or not a shared object.
            DeviceUnreachable: the device went away.
            RuntimeError: the device refuses to load it (wrong architecture, missing symbols).
        """
        path = Path(path)
        if path.suffix not in (".so", ".dylib"):
            raise UsageError(f"{path} is not a shared object; build one with python -m codegen.build or codegen.layer")
        try:
            content = bytearray(path.read_bytes())
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from error
        name = f"{path.stem}-{next(self._names)}{path.suffix}"  # a name loaded before would be the old library
        with self.guard(f"sending {path.name}"):
            self.remote.upload(content, name)
            return self.remote.load_module(name)

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
        with self.guard(f"calling {name}"):
            return json.loads(function(*arguments))

    def alive(self) -> bool:
        """Whether the other end still holds the connection. Does not talk to it."""
        return self._connection.alive()

    def abort(self, why: str) -> None:
        """Cut the connection from any thread: a call that hangs in another one ends with an error at once."""
        self._why_aborted = why
        self._connection.abort()

    @contextlib.contextmanager
    def guard(self, doing: str) -> Iterator[None]:
        """Turn errors inside that come from a lost connection into DeviceUnreachable; let others through."""
        try:
            yield
        except Exception as error:
            if self._lost(error):
                raise self._gone(doing) from error
            raise

    def close(self) -> None:
        """End the session and whatever was started for it. Safe to call again."""
        if self.alive():
            with contextlib.suppress(Exception):
                bounded(self._connection.close, CLOSE_SECS, "closing the session")
        self._connection.abort()
        if self._loopback is not None:
            self._loopback.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        gone = self._gone("running") if error is not None and self._lost(error) else None
        self.close()
        if gone is not None:
            raise gone from error

    def _lost(self, error: BaseException) -> bool:
        """Whether `error` is TVM's, or the system's, and the connection is dead."""
        if isinstance(error, FleetposeError) or not isinstance(error, RuntimeError | OSError):
            return False
        return not self.alive()

    def _gone(self, doing: str) -> DeviceUnreachable:
        if self._why_aborted:
            return DeviceUnreachable(f"device {self.spec!r}: {self._why_aborted}")
        text = f"device {self.spec!r} went away while {doing}; its process ended or the connection broke"
        if self._loopback is not None:
            return DeviceUnreachable(f"{text}\nits log ends:\n{self._loopback.log_tail()}")
        return DeviceUnreachable(f"{text}\nsee: python -m devices.doctor --device {self.spec}")


def open_device(spec: str, profile: Profile | str | None = None, timeout_secs: float = 30.0) -> Session:
    """Open the device `spec`: "host", "rpc:KEY" or "null". A context manager.

    Args:
        spec: "host": this machine's OpenCL through a tracker and server of its own; "rpc:KEY": a device that the
            tracker of TVM_TRACKER_HOST / TVM_TRACKER_PORT offers; "null": pseudo times, for tests.
        profile: a Profile, a profile's name or path; None: the one that suits the device.
        timeout_secs: how long opening may take, waiting for a busy device included.

    Returns:
        The session (for "null", a devices.null.NullSession).

    Raises:
        UsageError: no such kind of device or profile.
        DeviceUnreachable: nothing answers in time; the text holds the configuration and the diagnosing command.
    """
    if isinstance(profile, str):
        profile = load_profile(profile)
    if spec == "null":
        from devices.null import NullSession

        return NullSession(profile or load_profile("host"))
    if spec == "host":
        return _open_host(profile or load_profile("host"), timeout_secs)
    kind, colon, key = spec.partition(":")
    if kind != "rpc" or not colon:
        raise unknown_name("device", spec, ["host", "null", "rpc:KEY"])
    if not key:
        raise UsageError("device 'rpc:' lacks its key; for example rpc:pixel8, as given to devices.serve --key")
    address = tracker.Address.from_environment()
    if address is None:
        raise DeviceUnreachable(
            f"device {spec!r} needs a tracker, and TVM_TRACKER_HOST is not set\n"
            f"set it: export TVM_TRACKER_HOST=... TVM_TRACKER_PORT=9190; start one: python -m devices.serve --help"
        )
    return Session(spec, lambda: RpcConnection.request(address, key, timeout_secs), profile)


def _open_host(profile: Profile, timeout_secs: float) -> Session:
    loopback = Loopback(profile.opencl_device, timeout_secs)
    try:
        return Session(
            "host", lambda: RpcConnection.request(loopback.address, KEY, timeout_secs), profile, loopback=loopback
        )
    except BaseException:
        loopback.close()
        raise


def _device_info(session: Session) -> DeviceInfo:
    """The first device of the remote process, as our backend describes it, or as far as TVM's own runtime does."""
    listed = session.ask("fleetpose.opencl.devices")
    if listed:
        first = listed[0]
        kind = str(first.get("type", "")).lower()
        known = {key: first[key] for key in DeviceInfo.__dataclass_fields__ if key in first}
        return DeviceInfo(**{**known, "kind": kind})
    device = session.remote.device("opencl", 0)
    if session.function("device_api.opencl") is None or not device.exist:
        raise DeviceUnreachable(
            f"the server behind {session.spec!r} has no OpenCL device\nsee, on that machine: python -m devices.doctor"
        )
    return DeviceInfo(name=str(device.device_name), compute_units=int(device.multi_processor_count or 0))


def _profile(wanted: Profile | str | None, info: DeviceInfo) -> Profile:
    """The wanted profile, or the one for a device that describes itself so."""
    if isinstance(wanted, str):
        return load_profile(wanted)
    if wanted is not None:
        return wanted
    words = f"{info.name} {info.vendor} {info.platform}".lower()
    name = "host" if info.kind == "cpu" else next((f"generic_{gpu}" for gpu in ("mali", "adreno") if gpu in words), "")
    if name not in profile_names():
        raise UsageError(
            f"no profile suits device {info.name!r}; write one like {PROFILE_DIR / 'host.toml'}\n"
            f"and give it with --profile FILE"
        )
    return load_profile(name)
