"""The agent on a phone: put there, started, watched, ended. It lies in a folder of its own, and all it keeps does.

What of it runs is known from its file of the process's number and the process's own command line, never by name alone:
another's process is not ended.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import time
from dataclasses import dataclass
from pathlib import Path

from devices.adb.phone import AdbPhone
from devices.adb.wire import plain_line
from fleetpose.errors import DeviceUnreachable

log = logging.getLogger("devices.android.agent")

FOLDER = "/data/local/tmp/fleetpose"
NAME = "fleetpose-agent"
#: the port of the phone's own loopback that the agent listens at
PHONE_PORT = 9191
PROGRAM, PID_FILE, LOG_FILE, WORK_FOLDER = (f"{FOLDER}/{name}" for name in (NAME, "agent.pid", "agent.log", "work"))
#: what the agent reads how many bytes of compiled kernels it may keep from; it gets this machine's
CACHE_LIMIT = "FLEETPOSE_CACHE_BYTES"
LOG_LINES = 12
STARTED = f"{NAME} listens on"
#: without a tracker for so long the agent of a phone that was unplugged ends
GIVE_UP_SECS = 900
#: how long a process may take to end when it is asked to, before it is killed
END_SECS = 3
#: a program that shell started stays, with no output to wait for, when that ends
_START = (
    "cd {folder} && rm -f {log} && "
    "{{ {environment} nohup setsid {command} > {log} 2>&1 < /dev/null & echo $! > {pid}; }}"
)
_RUNS = f"p=$(cat {PID_FILE} 2>/dev/null) && tr '\\0' ' ' < /proc/$p/cmdline 2>/dev/null | grep {NAME}"
_END = (
    f"if {_RUNS} >/dev/null; then kill $p; n=0; "
    f"while [ $n -lt {END_SECS * 5} ] && kill -0 $p 2>/dev/null; do sleep 0.2; n=$((n + 1)); done; "
    f"kill -9 -$p 2>/dev/null; fi; rm -f {PID_FILE}"
)


@dataclass(frozen=True)
class AgentAddress:
    """How an agent is to be reached.

    Attributes:
        key: the name it is offered under.
        tracker_port: of the phone's loopback, which leads to the tracker.
        forward_port: of this machine, which leads to the agent; 0 where it is not known yet.
    """

    key: str
    tracker_port: int
    forward_port: int


def install(phone: AdbPhone, program: Path) -> None:
    """Put the agent's executable on a phone. Raises DeviceUnreachable."""
    _do(phone, f"mkdir -p {WORK_FOLDER}", "does not let a folder be made")
    content = b"" if not phone.acts else program.read_bytes()
    phone.push(content, PROGRAM, 0o755, str(program))


def start(phone: AdbPhone, address: AgentAddress) -> None:
    """Start the agent there; `wait_until_started` sees whether it runs. Raises DeviceUnreachable."""
    command = shlex.join([
        PROGRAM, "--tracker", f"127.0.0.1:{address.tracker_port}", "--key", address.key, "--host", "127.0.0.1",
        "--port", str(PHONE_PORT), "--forward-port", str(address.forward_port or "PORT"), "--folder", WORK_FOLDER,
        "--give-up-secs", str(GIVE_UP_SECS),
    ])  # fmt: skip
    environment = f"HOME={FOLDER} TMPDIR={FOLDER} FLEETPOSE_CACHE_DIR={FOLDER}/cache"
    if limit := os.environ.get(CACHE_LIMIT):
        environment += f" {CACHE_LIMIT}={shlex.quote(limit)}"
    text = _START.format(folder=FOLDER, log=LOG_FILE, pid=PID_FILE, environment=environment, command=command)
    _do(phone, text, "does not start the agent")


def wait_until_started(phone: AdbPhone, wait_secs: float) -> None:
    """Wait until the agent says that it listens. Raises DeviceUnreachable with its last words where it does not."""
    deadline = time.monotonic() + wait_secs
    while True:
        said = phone.shell(f"cat {LOG_FILE}").output
        if STARTED in said:
            return
        if not is_running(phone):
            raise DeviceUnreachable(f"the agent on {phone} ended at once: {_last_words(log_tail(phone))}")
        if time.monotonic() > deadline:
            raise DeviceUnreachable(f"the agent on {phone} does not listen within {wait_secs:g} s: {_last_words(said)}")
        time.sleep(0.1)


def is_running(phone: AdbPhone) -> bool:
    """Whether an agent that was started so runs there. Raises DeviceUnreachable."""
    return running_command(phone) != ""


def running_command(phone: AdbPhone) -> str:
    """The command line of the agent that runs there; "" where none does. Raises DeviceUnreachable."""
    return phone.shell(_RUNS).output.strip()


def end(phone: AdbPhone) -> None:
    """End the agent and its sessions, politely and then not. Raises DeviceUnreachable."""
    phone.shell(_END, more_secs=END_SECS)


def remove(phone: AdbPhone) -> None:
    """Remove the agent's folder with all that it kept. Raises DeviceUnreachable."""
    phone.shell(f"rm -rf {FOLDER}")


def log_tail(phone: AdbPhone, lines: int = LOG_LINES) -> str:
    """The last lines of the agent's log; "" where there is none. Raises DeviceUnreachable."""
    text = phone.shell(f"tail -n {lines} {LOG_FILE} 2>/dev/null").output
    return "".join(letter for letter in text if letter == "\n" or letter.isprintable())


def forwarded_ports(phone: AdbPhone) -> list[int]:
    """The ports of this machine that lead to the phone's agent. Raises DeviceUnreachable."""
    return [port.listening for port in phone.forwards() if port.reached == PHONE_PORT]


def clear(phone: AdbPhone, tracker_port: int) -> None:
    """End what an earlier setup has left: the agent, and the ports that it used. Raises DeviceUnreachable."""
    end(phone)
    for port in forwarded_ports(phone):
        phone.remove_forward(port)
    if any(port.listening == tracker_port for port in phone.reverses()):
        phone.remove_reverse(tracker_port)


def clear_quietly(phone: AdbPhone, tracker_port: int) -> None:
    """`clear`, as far as the phone is still there: where it is not, adb has ended the ports itself."""
    with contextlib.suppress(DeviceUnreachable):
        clear(phone, tracker_port)


def _do(phone: AdbPhone, command: str, failure: str) -> None:
    answer = phone.shell(command)
    if answer.status:
        said = plain_line(answer.errors or answer.output, 200) or f"exit status {answer.status}"
        raise DeviceUnreachable(f"{phone} {failure}: {said}")


def _last_words(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return plain_line(" / ".join(lines[-3:]), 300) or "it says nothing"
