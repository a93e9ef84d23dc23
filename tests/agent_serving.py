"""The agent as a process of a test's, with a tracker of its own."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from devices.rpc.tracker import Address
from runtime.agent import build_agent, own_host
from runtime.package import opencl_libraries
from tests.serving import WAIT_SECS

TRACKER = """
from devices.rpc.tracker import bind
from devices.rpc.tracker_service import serve_tracker
listening = bind("127.0.0.1", None)
print(listening.getsockname()[1], flush=True)
serve_tracker(listening)
"""


@functools.cache
def agent_program() -> Path:
    """The agent for this machine, compiled once in a test run."""
    host = own_host()
    assert host is not None
    return build_agent(host, Path(tempfile.mkdtemp(prefix="agent-")))


class ServingAgent:
    """An agent under a key, up and announced.

    Attributes:
        process: the agent's. address: where it listens. tracker: where it is on offer, a process of the test's own,
            unless one is given.
        folder: where it keeps sessions and compiled kernels.
    """

    def __init__(
        self, folder: Path, key: str = "bench", *flags: str, tracker: Address | None = None,
        program: Path | None = None, log_pipe: bool = False,
    ) -> None:  # fmt: skip
        """Args:
        program: another than `agent_program`.
        log_pipe: the log goes to `process.stderr`, not into the file `log`.
        """
        self.folder = folder
        self._tracking = None
        if tracker is None:
            self._tracking = subprocess.Popen([sys.executable, "-c", TRACKER], stdout=subprocess.PIPE, text=True)
            assert self._tracking.stdout is not None
            tracker = Address("127.0.0.1", int(self._tracking.stdout.readline()))
        self.tracker, self.log = tracker, folder.with_suffix(".log")
        path = program if program is not None else agent_program()
        command = [str(path), "--tracker", str(tracker), "--key", key, "--folder", str(folder), *flags]
        with self.log.open("wb") as log:
            environment = dict(os.environ)
            if environment.get("FLEETPOSE_LIBOPENCL") == "pip":  # which is known to Python only
                environment["FLEETPOSE_LIBOPENCL"] = opencl_libraries(None)[0] or ""
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE if log_pipe else log, text=True, env=environment
            )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said.startswith("fleetpose-agent listens on "), self.log.read_text()
        self.address = Address.parse(said.split()[3].rstrip(","))

    def sessions(self) -> list[psutil.Process]:
        """The processes of its sessions, and what these have started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def terminate(self) -> int:
        """End it as an operator does; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_SECS)

    def end_tracker(self) -> None:
        """End the tracker that is a process of the test's own."""
        assert self._tracking is not None
        self._tracking.kill()
        self._tracking.communicate()

    def kill(self) -> None:
        """End it, and its tracker, at once."""
        for process in (self.process, self._tracking):
            if process is not None:
                process.kill()
                process.wait()

    def use_tracker(self, patch: pytest.MonkeyPatch) -> None:
        """Let `open_device` ask the tracker that it is on offer at."""
        patch.setenv("TVM_TRACKER_HOST", self.tracker.host)
        patch.setenv("TVM_TRACKER_PORT", str(self.tracker.port))

    def __enter__(self) -> ServingAgent:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
