"""A rehearsal of what a person with a phone at a cable does: commands as processes, a fake adb server, real agents."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil

from tests import opencl
from tests.fake_adb.phone import FakePhone
from tests.fake_adb.server import FakeAdbServer

WAIT_SECS = 900.0
#: which OpenCL the agents of phones open: that of the tests
PASSED = ("OCL_ICD_VENDORS", "LD_LIBRARY_PATH")
OPENCL = {"FLEETPOSE_LIBOPENCL": str(opencl.INTEL)} if opencl.by_pip() else opencl.SYSTEM


class Rehearsal:
    """A machine with an adb server, phones at it, and folders of its own for what commands keep.

    Args:
        folder: for everything.
        agent: the executable that phones are given.
    """

    def __init__(self, folder: Path, agent: Path) -> None:
        self.folder, self.agent = folder, agent
        self.adb = FakeAdbServer()
        self.phones: list[FakePhone] = []
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.tracker_port = free.getsockname()[1]
        self.environment = {
            **os.environ, **self.adb.environment, "FLEETPOSE_CACHE_DIR": str(folder / "cache"),
            "TVM_TRACKER_HOST": "127.0.0.1", "TVM_TRACKER_PORT": str(self.tracker_port),
        }  # fmt: skip

    def plug(self, serial: str = "R58M", model: str = "SM-G973F") -> FakePhone:
        """Connect a phone that has nothing of ours on it."""
        phone = FakePhone(serial, self.folder / serial, len(self.phones) + 1)
        phone.properties["ro.product.model"] = model
        phone.write_tables()
        phone.environment = {name: os.environ[name] for name in PASSED if name in os.environ} | OPENCL
        self.phones.append(phone)
        self.adb.plug(phone)
        return phone

    def start(self, module: str, *words: object) -> subprocess.Popen[str]:
        """Begin `python -m MODULE WORDS`."""
        command = [sys.executable, "-m", module, *map(str, words)]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment, cwd=self.folder
        )

    def run(self, module: str, *words: object) -> subprocess.CompletedProcess[str]:
        """Run `python -m MODULE WORDS` to its end."""
        process = self.start(module, *words)
        output, errors = process.communicate(timeout=WAIT_SECS)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def phone_command(self, verb: str, *words: object) -> subprocess.CompletedProcess[str]:
        """Run a verb of `devices.android`."""
        agent = ("--agent", self.agent) if verb == "setup" else ()
        return self.run("devices.android", verb, *agent, *words)

    def trackers(self) -> list[psutil.Process]:
        """The trackers that were started for phones of this rehearsal and run still."""
        running = []
        for process in psutil.process_iter():
            try:
                words = process.cmdline()
            except psutil.Error:
                continue
            if any(word.startswith(str(self.folder / "cache")) for word in words):
                running.append(process)
        return running

    def left(self) -> list[object]:
        """What runs or is forwarded: processes on phones, ports at adb, trackers."""
        return [*(process for phone in self.phones for process in phone.processes()), *self.adb.ports(),
                *self.trackers()]  # fmt: skip

    def close(self) -> None:
        """End everything."""
        for process in self.trackers():
            process.send_signal(signal.SIGKILL)
        self.adb.close()
        for phone in self.phones:
            phone.switch_off()
