"""`python -m devices.doctor`: what works here, what is missing, how long each part takes, the command that mends it."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from devices.diagnosis.checks import CHECKS
from devices.diagnosis.patient import Check, Missing, Patient, Skipped
from fleetpose.cli import parser, print_json, print_table, run
from fleetpose.errors import reason

log = logging.getLogger("devices.doctor")


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        name: the part.
        state: "ok", "missing" (not there), "failed" (there, does not work) or "skipped" (another one came first).
        needed: the main path needs it; the others are optional.
        detail: one line.
        secs: how long looking took.
        mend: the command that mends it, None where all is well.
    """

    name: str
    state: str
    needed: bool
    detail: str
    secs: float
    mend: str | None


def doctor(device: str = "host", checks: Sequence[Check] = CHECKS) -> list[Finding]:
    """Look at every part in turn, on `device` ("host" or "rpc:KEY"); never raises for what it finds."""
    patient = Patient(device)
    try:
        return [examine(check, patient) for check in checks]
    finally:
        if patient.session is not None:
            patient.session.close()


def healthy(findings: Sequence[Finding]) -> bool:
    """Whether everything the main path needs works."""
    return all(finding.state == "ok" for finding in findings if finding.needed)


def examine(check: Check, patient: Patient) -> Finding:
    """Look at one part; never raises for what it finds."""
    start = time.perf_counter()
    try:
        state, detail = "ok", check.look(patient)
    except Missing as error:
        state, detail = "missing", str(error)
    except Skipped as error:
        state, detail = "skipped", str(error)
    except Exception as error:  # whatever a part does when broken is a finding
        log.debug("%s", check.name, exc_info=True)
        state, detail = "failed", reason(error)
    secs = time.perf_counter() - start
    return Finding(check.name, state, check.needed, detail, secs, None if state == "ok" else check.mend)


def report(findings: Sequence[Finding]) -> None:
    """Write the table, what is wrong in full, and the mending commands, to stdout."""
    rows = []
    for part in findings:
        state = part.state if part.needed or part.state == "ok" else f"{part.state} (optional)"
        rows.append((part.name, state, f"{part.secs * 1e3:.1f}"))
    print_table(
        ("part", "state", "ms", "detail"),
        [(*row, part.detail.splitlines()[0][:140]) for row, part in zip(rows, findings, strict=True)],
        [False if part.needed and part.state != "ok" else None for part in findings],
    )
    for part in findings:
        if part.mend is None or part.state == "skipped":
            continue
        if part.needed:
            print(f"\n{part.name} {part.state}: {part.detail}\n    mend: {part.mend}")
        else:
            print(f"\n{part.name} (optional): {part.mend}", end="")
    print()


def make_parser() -> argparse.ArgumentParser:
    """The command's flags."""
    flags = parser("devices.doctor", "Check and time each part of the path to a device; exit 1 if a needed one fails.")
    flags.add_argument("--device", default="host", metavar="host|rpc:KEY", help="the device to look at")
    return flags


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    findings = doctor(arguments.device)
    if arguments.json:
        print_json({"ok": healthy(findings), "device": arguments.device, "parts": [asdict(part) for part in findings]})
    else:
        report(findings)
    return 0 if healthy(findings) else 1


if __name__ == "__main__":
    sys.exit(run(main, make_parser()))
