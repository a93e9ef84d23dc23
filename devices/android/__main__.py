"""`python -m devices.android`: from a phone at a cable with nothing on it to a device that measures, and back."""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from devices.adb.choosing import ALL, choose_phones
from devices.adb.phone import AdbPhone, PrintedPhone
from devices.adb.server import AdbServer, find_adb
from devices.android import agent
from devices.android.background_tracker import LOOPBACK_NAMES, default_port
from devices.android.facts import TARGET_HOST
from devices.android.offering import offer_phone
from devices.android.running import PhoneState, end_unused_tracker, state_of, stop_phone
from devices.android.setup import SetupRequest, set_up
from devices.android.setup_report import outcome_json, print_outcome
from devices.android.termux import termux_script
from devices.rpc.tracker import Address
from fleetpose.cli import parser, print_json, print_table, run
from fleetpose.errors import UsageError
from fleetpose.files import atomic_output, check_writable
from fleetpose.options import real, whole
from fleetpose.progress import status
from runtime.agent import build_agent

SERIAL = "SERIAL"
_KEY = re.compile(r"[!#-9;-\[\]-~]{1,63}")
DESCRIPTION = (
    "Make Android phones at this machine's cable ready to measure, through adb, with no root, no NDK and no TVM there. "
    "setup puts the agent on a phone, starts it, offers it at a tracker of this machine, looks at every part of the "
    "way and says what to type next. status says what runs, logs prints the agent's log, stop ends it all, shell runs "
    "a command on a phone, termux writes a script for a phone that has no cable."
)


def make_parser() -> argparse.ArgumentParser:
    """The command's flags."""
    flags = parser("devices.android", DESCRIPTION)
    flags.add_argument("verb", choices=tuple(VERBS), help="what to do")
    flags.add_argument("--serial", action="append", default=[], metavar="S",
                       help=f"a phone by its serial of 'adb devices', once for each phone, or {ALL} (default: the "
                       "only one; of stop, logs and status: all)")  # fmt: skip
    flags.add_argument("--dry-run", action="store_true", help="print each adb command, and do nothing")
    flags.add_argument("--wait-secs", type=real(1, 3600), default=30.0, metavar="S",
                       help="how long a step may take before the phone is given up")  # fmt: skip
    flags.add_argument(
        "--tracker-port", type=whole(1, 65535), metavar="PORT",
        help="of this machine's tracker, which is started if none is there (default: TVM_TRACKER_PORT or 9190)",
    )  # fmt: skip
    setup = flags.add_argument_group("of setup and termux")
    setup.add_argument("--key", help="the name to offer the phones under (default: each one's model)")
    setup.add_argument("--agent", type=Path, metavar="FILE",
                       help="the agent's executable (default: built for Android's arm64)")  # fmt: skip
    setup.add_argument("-o", "--out", type=Path, metavar="FILE",
                       help="the draft of a profile, for a GPU that has none (default: its model, here); of termux: "
                       "the script")  # fmt: skip
    setup.add_argument("--force", action="store_true", help="replace that file")
    setup.add_argument("--tracker", metavar="HOST:PORT", help="of termux: the tracker, as the phone reaches it")
    flags.add_argument("-c", "--command", metavar="TEXT", help="of shell: what to run (default: a shell to type in)")
    flags.add_argument("--lines", type=whole(1, 100_000), default=40, metavar="N", help="of logs: the last N lines")
    flags.add_argument("--remove", action="store_true", help="of stop: remove the agent's folder from the phone, too")
    return flags


def _setup(arguments: argparse.Namespace) -> int:
    port = _tracker_port(arguments)
    key = _checked_key(arguments.key)
    if arguments.agent is not None and not arguments.agent.is_file():
        raise UsageError(f"--agent {arguments.agent} is no file")
    if arguments.out:
        check_writable(arguments.out, force=True)
    if arguments.dry_run:
        for phone in _printed(arguments):
            offer_phone(phone, lambda: arguments.agent or Path(agent.NAME), key, port)
        return 0
    server = _server(arguments)
    if server.host not in LOOPBACK_NAMES:
        raise UsageError(f"adb's server is at {server.host}, and so would the ports be; run setup on that machine")
    phones = [AdbPhone(server, serial) for serial in choose_phones(server, arguments.serial)]
    if arguments.out and len(phones) > 1:
        raise UsageError(f"-o is one draft's file, for {len(phones)} phones; set them up one by one, or leave -o out")
    request = SetupRequest(key, port, arguments.agent, arguments.out, arguments.force)
    with status("setting up") as progress:
        outcome = set_up(phones, request, progress)
    if arguments.json:
        print_json(outcome_json(outcome, port))
    else:
        print_outcome(outcome, port)
    return outcome.status


def _status(arguments: argparse.Namespace) -> int:
    server = _server(arguments)
    attached = [phone for phone in server.phones() if not _named(arguments) or phone.serial in arguments.serial]
    states = [state_of(server, phone) for phone in attached]
    if arguments.json:
        print_json({"phones": [vars(state) for state in states]})
    elif states:
        header = ("serial", "phone", "adb", "key", "port", "tracker")
        print_table(header, [_row(state) for state in states])
    else:
        print(f"no phone at adb's server {server}")
    return 0


def _logs(arguments: argparse.Namespace) -> int:
    logs = {phone.serial: agent.log_tail(phone, arguments.lines) for phone in _ready(arguments)}
    if arguments.json:
        print_json({"logs": logs})
    elif not arguments.dry_run:
        for serial, text in logs.items():
            print(f"phone {serial}:\n{text}" if len(logs) > 1 else text, end="")
    return 0


def _stop(arguments: argparse.Namespace) -> int:
    port = _tracker_port(arguments)
    ended = False
    try:
        phones = _ready(arguments)
        for phone in phones:
            stop_phone(phone, port, remove=arguments.remove)
    finally:
        ended = not arguments.dry_run and end_unused_tracker(port)
    if arguments.json:
        print_json({"stopped": [phone.serial for phone in phones], "tracker_ended": ended})
    elif not arguments.dry_run:
        for phone in phones:
            print(f"{phone}: nothing of ours runs there, and no port leads there")
        if ended:
            print(f"the tracker at port {port} has ended")
    return 0


def _shell(arguments: argparse.Namespace) -> int:
    serial = (arguments.serial or [SERIAL])[0] if arguments.dry_run else _only(arguments)
    command = f"cd {agent.FOLDER} 2>/dev/null; {arguments.command or ''}"
    if not arguments.command and not arguments.dry_run:
        program = find_adb()
        if program is None or arguments.json:
            raise UsageError("a shell to type in needs the adb program, and no --json; give a command: -c ls")
        sys.stdout.flush()
        os.execv(program, [str(program), "-s", serial, "shell"])
    phone = PrintedPhone(_address(arguments), serial) if arguments.dry_run else AdbPhone(_server(arguments), serial)
    answer = phone.shell(command)
    if arguments.json:
        print_json(answer._asdict())
        return 0
    sys.stdout.write(answer.output)
    sys.stderr.write(answer.errors)
    return answer.status


def _termux(arguments: argparse.Namespace) -> int:
    if arguments.tracker is None or arguments.out is None:
        raise UsageError("termux needs --tracker HOST:PORT, this machine as the phone reaches it, and -o FILE")
    address = Address.parse(arguments.tracker)
    if not re.fullmatch(r"\d+(\.\d+){3}", address.host):
        raise UsageError(f"--tracker {arguments.tracker}: the agent looks no names up; give the address as numbers")
    check_writable(arguments.out, force=arguments.force)
    key = _checked_key(arguments.key) or "phone"
    with tempfile.TemporaryDirectory() as folder:
        program = arguments.agent or build_agent(TARGET_HOST, Path(folder))
        text = termux_script(program.read_bytes(), address, key)
    with atomic_output(arguments.out, force=arguments.force) as part:
        part.write_text(text, encoding="ascii")
    if arguments.json:
        print_json({"script": str(arguments.out), "key": key, "tracker": str(address)})
        return 0
    print(f"{arguments.out}: bring it to the phone, and in Termux there: sh {arguments.out.name}")
    print("here, with a tracker that the phone reaches:")
    print(f"    python -m tvm.exec.rpc_tracker --host 0.0.0.0 --port {address.port} &")
    print(f"    export TVM_TRACKER_HOST={address.host} TVM_TRACKER_PORT={address.port}")
    print(f"    python -m devices.doctor --device rpc:{key}")
    return 0


VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "setup": _setup, "status": _status, "logs": _logs, "stop": _stop, "shell": _shell, "termux": _termux,
}  # fmt: skip


def _tracker_port(arguments: argparse.Namespace) -> int:
    return arguments.tracker_port or default_port()


def _checked_key(key: str | None) -> str | None:
    """A key that can stand in a device's name, as the agent takes it. Raises UsageError."""
    if key is not None and not _KEY.fullmatch(key):
        raise UsageError(f'key {key[:80]!r} must be one word of up to 63 letters of ASCII, without : " and \\')
    return key


def _address(arguments: argparse.Namespace) -> AdbServer:
    return AdbServer.from_environment(arguments.wait_secs)


def _server(arguments: argparse.Namespace) -> AdbServer:
    """adb's server, running. Raises DeviceUnreachable."""
    server = _address(arguments)
    server.ensure_running()
    return server


def _named(arguments: argparse.Namespace) -> bool:
    return bool(arguments.serial) and arguments.serial != [ALL]


def _only(arguments: argparse.Namespace) -> str:
    """The one phone that a command is for. Raises UsageError where several are named."""
    if len(arguments.serial) > 1:
        raise UsageError("shell is for one phone: --serial S")
    return choose_phones(_server(arguments), arguments.serial)[0]


def _printed(arguments: argparse.Namespace) -> list[AdbPhone]:
    """Phones for a dry run: as named, else one with no name."""
    return [PrintedPhone(_address(arguments), serial) for serial in arguments.serial or [SERIAL]]


def _ready(arguments: argparse.Namespace) -> list[AdbPhone]:
    """The phones of logs and stop: as named, else every one that is ready."""
    if arguments.dry_run:
        return _printed(arguments)
    server = _server(arguments)
    return [AdbPhone(server, serial) for serial in choose_phones(server, arguments.serial or [ALL])]


def _row(state: PhoneState) -> tuple[str, ...]:
    offered = {True: "offered", False: "not offered", None: "-"}[state.offered]
    ports = " ".join(map(str, state.forward_ports)) or "-"
    return state.serial, state.model or "-", state.state, state.key or "-", ports, offered


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    return VERBS[arguments.verb](arguments)


if __name__ == "__main__":
    sys.exit(run(main, make_parser()))
