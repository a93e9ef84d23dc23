"""`python -m devices.serve` as a process of a test's."""

from __future__ import annotations

import signal
import subprocess
import sys

import psutil

WAIT_SECS = 300.0


class Serving:
    """`python -m devices.serve` with `flags`, up and announced."""

    def __init__(self, *flags: str) -> None:
        command = [sys.executable, "-m", "devices.serve", *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.lines: list[str] = []
        while not self.lines or self.lines[-1]:
            self.lines.append(self.process.stdout.readline().rstrip("\n"))
            if self.lines[-1].startswith("Ctrl-C"):
                break

    def family(self) -> list[psutil.Process]:
        """The process, its tracker and its sessions."""
        return [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]

    def interrupt(self) -> tuple[int, str]:
        """Ctrl-C; the exit status and what it left on stderr."""
        family = self.family()
        self.process.send_signal(signal.SIGINT)
        _, error = self.process.communicate(timeout=WAIT_SECS)
        _, alive = psutil.wait_procs(family, timeout=WAIT_SECS)
        assert alive == []
        return self.process.returncode, error

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.communicate()
