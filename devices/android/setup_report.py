"""What `setup` says: of each phone what it is, what was checked and what to type next; for people, and as JSON."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

from devices.android.background_tracker import HOST
from devices.android.setup import ReadyPhone, SetupOutcome
from devices.doctor import report as print_findings

MODEL = "lwop"


def print_outcome(outcome: SetupOutcome, tracker_port: int) -> None:
    """Write to stdout what became of each phone; to stderr what went wrong."""
    for ready in outcome.ready:
        _print_phone(ready)
    healthy = [ready for ready in outcome.ready if ready.healthy]
    if healthy:
        print("next, in this terminal:")
        print(f"    export TVM_TRACKER_HOST={HOST} TVM_TRACKER_PORT={tracker_port}")
    for ready in healthy:
        print(f"    {next_command(ready)}")
    for failure in outcome.failures:
        print(f"python -m devices.android: {failure}", file=sys.stderr)


def outcome_json(outcome: SetupOutcome, tracker_port: int) -> dict[str, Any]:
    """The same as one object."""
    return {
        "ok": outcome.status == 0,
        "tracker": f"{HOST}:{tracker_port}",
        "phones": [_phone_json(ready) for ready in outcome.ready],
        "failures": [str(failure) for failure in outcome.failures],
    }


def next_command(ready: ReadyPhone) -> str:
    """The command that takes a phone's first timings."""
    offered = ready.offered
    profile = f" --profile {ready.profile}" if ready.drafted else ""
    return f"python -m latency.collect --model {MODEL} --device rpc:{offered.key}{profile} -o {offered.key}.jsonl"


def _print_phone(ready: ReadyPhone) -> None:
    offered = ready.offered
    print(f"{offered.phone} is rpc:{offered.key}, offered after {offered.secs:.1f} s, checked after {ready.secs:.1f} s")
    for line in offered.facts.lines():
        print(f"    {line}")
    print(f"    {'profile':10}{_profile_text(ready)}\n")
    print_findings(ready.checked.findings)


def _profile_text(ready: ReadyPhone) -> str:
    if ready.profile is None:
        return "none yet: the GPU does not answer"
    if ready.drafted:
        return f"{ready.profile}, a draft: its limits are the driver's, its peaks what small kernels reached"
    return ready.profile


def _phone_json(ready: ReadyPhone) -> dict[str, Any]:
    offered = ready.offered
    return {
        "serial": offered.phone.serial,
        "key": offered.key,
        "forward_port": offered.forward_port,
        "offered_secs": round(offered.secs, 3),
        "ready_secs": round(ready.secs, 3),
        "facts": asdict(offered.facts),
        "device": asdict(ready.checked.info) if ready.checked.info else None,
        "profile": ready.profile,
        "drafted": ready.drafted,
        "healthy": ready.healthy,
        "parts": [asdict(finding) for finding in ready.checked.findings],
        "next": next_command(ready),
    }
