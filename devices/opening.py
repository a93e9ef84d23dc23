"""A device to run kernels on, by name: this machine over loopback RPC, one a tracker knows, or none at all.

    with open_device("host") as session:
        module = session.load("kernel.so")
        module["main"](...)

TVM is imported when a session is opened, with its compiler or without (`devices.rpc.lean`).
"""

from __future__ import annotations

from devices.null import NULL, NullSession
from devices.profile import Profile, load_profile
from devices.rpc import tracker
from devices.rpc.connection import RpcConnection
from devices.rpc.loopback import KEY, Loopback
from devices.rpc_session import RpcSession
from devices.session import Session
from fleetpose.errors import DeviceUnreachable, UsageError, unknown_name


def check_runs_kernels(device: Session | str) -> None:
    """For commands that must run something. Raises UsageError for the null device, before any work is done.

    Args:
        device: an open session, or what `open_device` is to be called with.
    """
    if device == NULL if isinstance(device, str) else not device.runs_kernels:
        raise UsageError("the null device runs nothing; use --device host or rpc:KEY")


def open_device(
    spec: str, profile: Profile | str | None = None, timeout_secs: float = 30.0, *, require_opencl: bool = True
) -> Session:
    """Open the device `spec`: "host", "rpc:KEY" or "null". A context manager.

    Args:
        spec: "host": this machine's OpenCL through a tracker and server of its own; "rpc:KEY": a device that the
            tracker of TVM_TRACKER_HOST / TVM_TRACKER_PORT offers; "null": pseudo times, for tests.
        profile: a Profile, a profile's name or path; None: the one that suits the device.
        timeout_secs: how long opening may take, waiting for a busy device included.
        require_opencl: False: open a server that has no OpenCL device too (`info.name` is empty then).

    Returns:
        The session.

    Raises:
        UsageError: no such kind of device or profile.
        DeviceUnreachable: nothing answers in time; the text holds the configuration and the diagnosing command.
    """
    if isinstance(profile, str):
        profile = load_profile(profile)
    if spec == NULL:
        return NullSession(profile or load_profile("host"))
    if spec == "host":
        return _open_host(profile, timeout_secs, require_opencl)
    kind, colon, key = spec.partition(":")
    if kind != "rpc" or not colon:
        raise unknown_name("device", spec, ["host", NULL, "rpc:KEY"])
    if not key:
        raise UsageError("device 'rpc:' lacks its key; for example rpc:pixel8, as given to devices.serve --key")
    address = tracker.Address.from_environment()
    if address is None:
        raise DeviceUnreachable(
            f"device {spec!r} needs a tracker, and TVM_TRACKER_HOST is not set\n"
            f"set it: export TVM_TRACKER_HOST=... TVM_TRACKER_PORT=9190; start one: python -m devices.serve --help"
        )
    return RpcSession(
        spec, lambda: RpcConnection.request(address, key, timeout_secs), profile, require_opencl=require_opencl
    )


def _open_host(profile: Profile | None, timeout_secs: float, require_opencl: bool) -> Session:
    loopback = Loopback(profile.opencl_device if profile else None, timeout_secs)
    try:
        return RpcSession(
            "host",
            lambda: RpcConnection.request(loopback.address, KEY, timeout_secs),
            profile,
            loopback=loopback,
            require_opencl=require_opencl,
        )
    except BaseException:
        loopback.close()
        raise
