"""A phone that stands in a private folder of this machine: its shell really runs, its files are files.

What a phone has of its own is told apart by names: its /data, /vendor and /system are folders below its own, its
loopback is an address of 127/8 of its own, and what Android's programs answer comes from tables. So commands run as
they are sent, but for these names.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil

#: a Galaxy S10 as it describes itself, in so far as anybody here looks
PROPERTIES = {
    "ro.product.manufacturer": "samsung",
    "ro.product.model": "SM-G973F",
    "ro.soc.manufacturer": "Samsung",
    "ro.soc.model": "Exynos 9820",
    "ro.build.version.release": "12",
    "ro.build.version.sdk": "31",
    "ro.product.cpu.abi": "arm64-v8a",
}
SERVICES = {
    "SurfaceFlinger": "Build configuration: [sf]\nGLES: ARM, Mali-G76, OpenGL ES 3.2 v1.r26p0-01eac0.a1b\n",
    "battery": "Current Battery Service state:\n  AC powered: false\n  level: 87\n  temperature: 291\n",
}
#: the slash before a folder of a phone's
_ROOTS = re.compile(r"(?<![\w./-])/(?=(?:data|vendor|system)/)")


class UnplugNow(Exception):
    """A fault: the cable is pulled at this very request."""


class FakePhone:
    """A phone's insides.

    Args:
        serial: its name at adb.
        folder: which stands for its file system.
        number: of the phone, from 1 on.

    Attributes:
        loopback: its 127.0.0.1, an address of 127/8 that no other phone has.
        state: as adb's server lists it.
        before: called with every service before it is granted; it may raise UnplugNow, or wait.
        environment: variables of its shell.
        emulated: gives the command line that runs an executable of another processor's; None: all run as they are.
    """

    def __init__(self, serial: str, folder: Path, number: int = 1) -> None:
        self.serial, self.folder, self.number = serial, folder, number
        self.loopback = f"127.{1 + secrets.randbelow(250)}.{secrets.randbelow(250)}.{number}"
        self.state = "device"
        self.properties, self.services = dict(PROPERTIES), dict(SERVICES)
        self.before: Callable[[str], None] = lambda service: None
        self.environment: dict[str, str] = {}
        self.emulated: Callable[[Path], list[str]] | None = None
        for name in ("data/local/tmp", "vendor/lib64", "system/bin", "bin"):
            (folder / name).mkdir(parents=True)
        self._program("getprop", f"cat {shlex.quote(str(folder))}/properties")
        self._program("dumpsys", f'cat {shlex.quote(str(folder))}/services/"$1" 2>/dev/null || exit 20')
        self.write_tables()

    def write_tables(self) -> None:
        """Make its programs answer what `properties` and `services` say now."""
        lines = [f"[{name}]: [{value}]\n" for name, value in self.properties.items()]
        (self.folder / "properties").write_text("".join(lines))
        (self.folder / "services").mkdir(exist_ok=True)
        for name, text in self.services.items():
            (self.folder / "services" / name).write_text(text)

    def start_shell(self, command: str) -> subprocess.Popen[bytes]:
        """Run a command of its shell."""
        environment = {"PATH": f"{self.folder}/bin:/usr/bin:/bin", "HOME": str(self.folder), **self.environment}
        return subprocess.Popen(
            ["/bin/sh", "-c", self.here(command)], cwd=self.folder, env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def here(self, text: str) -> str:
        """A text with the phone's names as this machine has them."""
        return _ROOTS.sub(f"{self.folder}/", text).replace("127.0.0.1", self.loopback)

    def keep_file(self, path: Path, content: bytes, mode: int) -> None:
        """Write a file that was sent. Raises OSError.

        An executable that has to be emulated lies beside a script of its name that does so.
        """
        if self.emulated is not None and content.startswith(b"\x7fELF"):
            program = path.with_name(f"{path.name}.elf")
            program.write_bytes(content)
            program.chmod(0o755)
            content = f'#!/bin/sh\nexec {shlex.join(self.emulated(program))} "$@"\n'.encode()
        path.write_bytes(content)
        path.chmod(mode & 0o777)

    def processes(self) -> list[psutil.Process]:
        """What runs on the phone: every process whose program, or its emulator's, was started from its folder."""
        ours = []
        for process in psutil.process_iter():
            try:
                words = process.cmdline()
            except psutil.Error:
                continue
            if any(word.startswith(f"{self.folder}/data/") for word in words) and process.pid != os.getpid():
                ours.append(process)
        return ours

    def switch_off(self) -> None:
        """End what still runs there."""
        for process in self.processes():
            process.send_signal(signal.SIGKILL)

    def _program(self, name: str, line: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)
