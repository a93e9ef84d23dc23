"""From a phone at a cable to a device that measures: the agent put there, started, offered, checked.

What a step leaves on the phone or at adb is undone where a later one fails, or is interrupted.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from devices.adb.phone import AdbPhone
from devices.android import agent
from devices.android.background_tracker import HOST
from devices.android.facts import PhoneFacts, check_suits, key_of, read_facts
from devices.diagnosis.checks import CHECKS
from devices.diagnosis.patient import Check, Patient
from devices.doctor import Finding, examine
from devices.info import DeviceInfo
from devices.rpc import tracker
from devices.rpc.tracker import Address
from fleetpose.errors import DeviceUnreachable
from fleetpose.progress import Report, no_report

log = logging.getLogger("devices.android.offering")

#: of the doctor's checks those that look at the device, and what mends them on a phone
PHONE_MENDS = {
    "RPC session": "python -m devices.android logs; then set it up again",
    "RPC round trip": "mend the RPC session first",
    "libOpenCL": "its maker gives adb's shell no OpenCL; FLEETPOSE_LIBOPENCL names a library that is elsewhere",
    "OpenCL devices": "python -m devices.android logs says what the driver answered; start the phone anew",
    "small kernel": "python -m devices.android logs; start the phone anew, and set it up again",
    "program cache": "python -m devices.android stop --remove, and set it up again",
}


@dataclass(frozen=True)
class OfferedPhone:
    """A phone whose agent runs and is on offer.

    Attributes:
        phone, facts: which, and what it says of itself.
        key: the name it is offered under.
        forward_port: of this machine, which leads to it.
        secs: from the first step to the tracker's knowing it.
    """

    phone: AdbPhone
    facts: PhoneFacts
    key: str
    forward_port: int
    secs: float


@dataclass(frozen=True)
class CheckedPhone:
    """What the doctor found on a phone: the checks, and what the GPU says of itself; None where nothing answers."""

    findings: list[Finding]
    info: DeviceInfo | None


def offer_phone(
    phone: AdbPhone,
    program: Callable[[], Path],
    key: str | None,
    tracker_port: int,
    *,
    any_processor: bool = False,
    report: Report = no_report,
) -> OfferedPhone:
    """Put the agent on a phone, start it, and wait until the tracker of this machine knows it.

    Args:
        program: answers the agent's executable.
        key: the name to offer it under; None: one made of the phone's model.
        tracker_port: of this machine's tracker, and of the phone's loopback.
        any_processor: do not ask whether the phone's processor is the one that the agent is usually built for.
        report: told each step.

    Raises:
        UsageError: the phone cannot run the agent. DeviceUnreachable: it goes away, or the agent ends. Nothing is left
            running or forwarded then, as far as the phone can be reached.
    """
    started = time.monotonic()
    report(f"{phone}: reading what it is")
    facts = read_facts(phone)
    if not any_processor:
        check_suits(facts, str(phone))
    key = key or (key_of(facts, phone.serial) if phone.acts else "KEY")
    with _undoing(phone, tracker_port):
        agent.clear(phone, tracker_port)
        report(f"{phone}: sending the agent")
        agent.install(phone, program())
        phone.reverse(tracker_port, tracker_port)
        forward_port = phone.forward(agent.PHONE_PORT)
        report(f"{phone}: starting the agent")
        agent.start(phone, agent.AgentAddress(key, tracker_port, forward_port))
        if phone.acts:
            agent.wait_until_started(phone, phone.server.wait_secs)
            _wait_until_offered(phone, key, tracker_port, forward_port)
    return OfferedPhone(phone, facts, key, forward_port, time.monotonic() - started)


def check_phone(key: str) -> CheckedPhone:
    """Look at a phone that is on offer, as `devices.doctor` looks at a device; never raises for what it finds."""
    patient = Patient(f"rpc:{key}")
    try:
        findings = [examine(check, patient) for check in phone_checks()]
        return CheckedPhone(findings, patient.session.info if patient.session is not None else None)
    finally:
        if patient.session is not None:
            patient.session.close()


def phone_checks() -> list[Check]:
    """Those of the doctor's checks that look at the device, with mends for a phone."""
    return [replace(check, mend=PHONE_MENDS[check.name]) for check in CHECKS if check.name in PHONE_MENDS]


@contextlib.contextmanager
def _undoing(phone: AdbPhone, tracker_port: int) -> Iterator[None]:
    """Where something inside fails or is interrupted, end the agent and the ports again."""
    try:
        yield
    except BaseException:
        agent.clear_quietly(phone, tracker_port)
        raise


def _wait_until_offered(phone: AdbPhone, key: str, tracker_port: int, forward_port: int) -> None:
    """Wait until the tracker knows the agent by the port that leads to it. Raises DeviceUnreachable."""
    deadline = time.monotonic() + phone.server.wait_secs
    while (key, forward_port) not in tracker.servers(Address(HOST, tracker_port)):
        if not agent.is_running(phone):
            raise DeviceUnreachable(f"the agent on {phone} ended; see: python -m devices.android logs")
        if time.monotonic() > deadline:
            raise DeviceUnreachable(
                f"the agent on {phone} runs, and does not reach the tracker at {HOST}:{tracker_port} through adb; "
                f"see: python -m devices.android logs"
            )
        time.sleep(0.1)
