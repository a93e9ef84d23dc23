"""What of ours runs on phones and between them and this machine, and its end."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from devices.adb.phone import AdbPhone
from devices.adb.server import AdbServer, AttachedPhone
from devices.android import agent
from devices.android.background_tracker import HOST, end_tracker, process_of
from devices.rpc import tracker
from devices.rpc.tracker import Address
from fleetpose.errors import DeviceUnreachable

#: after which a tracker has seen that an agent ended
GONE_SECS = 2.0
_KEY = re.compile(r"--key ([!-~]+)")
_TRACKER = re.compile(r"--tracker \S+:(\d+)")


@dataclass(frozen=True)
class PhoneState:
    """A phone as `status` shows it.

    Attributes:
        serial, model, state: as adb's server lists it.
        key: that its agent is offered under; None where no agent runs.
        tracker_port: that the agent was told.
        forward_ports: of this machine that lead to it.
        offered: whether the tracker knows it; None where no tracker answers.
    """

    serial: str
    model: str
    state: str
    key: str | None = None
    tracker_port: int | None = None
    forward_ports: tuple[int, ...] = ()
    offered: bool | None = None


def state_of(server: AdbServer, attached: AttachedPhone) -> PhoneState:
    """Look at a phone. One that goes away meanwhile has that as its state."""
    if not attached.ready:
        return PhoneState(attached.serial, attached.model, attached.state)
    phone = AdbPhone(server, attached.serial)
    try:
        command = agent.running_command(phone)
        ports = tuple(agent.forwarded_ports(phone))
    except DeviceUnreachable:
        return PhoneState(attached.serial, attached.model, "went away")
    key, port = _KEY.search(command), _TRACKER.search(command)
    if key is None or port is None:
        return PhoneState(attached.serial, attached.model, attached.state, forward_ports=ports)
    offered = _is_offered(int(port[1]), key[1], ports)
    return PhoneState(attached.serial, attached.model, attached.state, key[1], int(port[1]), ports, offered)


def stop_phone(phone: AdbPhone, tracker_port: int, *, remove: bool) -> None:
    """End a phone's agent and the ports that lead to and from it.

    Args:
        tracker_port: of the tracker, where no agent runs that says its own.
        remove: whether to remove the agent's folder, too, with compiled kernels and its log.

    Raises:
        DeviceUnreachable: the phone went away.
    """
    port = _TRACKER.search(agent.running_command(phone)) if phone.acts else None
    agent.clear(phone, int(port[1]) if port else tracker_port)
    if remove:
        agent.remove(phone)


def end_unused_tracker(port: int) -> bool:
    """End the tracker that a setup has started at a port, where no device is offered at it any more.

    Gives whether it was ended. A tracker that somebody else has started is left alone.
    """
    deadline = time.monotonic() + GONE_SECS
    while process_of(port) is not None:
        try:
            in_use = bool(tracker.servers(Address(HOST, port)))
        except DeviceUnreachable:
            in_use = False
        if not in_use:
            return end_tracker(port)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return False


def _is_offered(tracker_port: int, key: str, ports: tuple[int, ...]) -> bool | None:
    try:
        known = tracker.servers(Address(HOST, tracker_port))
    except DeviceUnreachable:
        return None
    return any((key, port) in known for port in ports)
