"""Nothing of a loopback pair outlives its parent, however that one ends; nor its folder, nor a hung kernel."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from devices.diagnosis import small_kernel
from tests import sweep

WAIT_SECS = 300.0

PARENT = """
import os, sys, time
sys.modules["torch"] = None  # TVM would load it, which takes two seconds
from devices import open_device
from devices.diagnosis import small_kernel
session = open_device("host")
print(session._loopback.process.pid, session._loopback.folder, flush=True)
what = sys.argv[1]
if what == "fork":  # a child that keeps every descriptor open, as data loaders' workers do
    worker = os.fork()
    if worker == 0:
        os.close(1)  # the test waits for the end of these two
        os.close(2)
        time.sleep(3000)
    print(worker, flush=True)
elif what == "hang":
    module = session.load(sys.argv[2])
    print("hanging", flush=True)
    small_kernel.error_on(session, module)
elif what == "exit":
    sys.exit(0)  # without closing anything
elif what == "raise":
    raise RuntimeError("unhandled")
time.sleep(3000)
"""


class Parent:
    """A process that opened the host device, and everything it started."""

    def __init__(self, what, *arguments):
        command = [sys.executable, "-c", PARENT, what, *map(str, arguments)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        leader, folder = line.split()
        self.folder = Path(folder)
        if what == "hang":
            assert self.process.stdout.readline() == "hanging\n"
            time.sleep(0.5)
        self.group = [psutil.Process(int(leader))]
        self.group += self.group[0].children(recursive=True)
        assert what == "exit" or len(self.group) == 3  # tracker, server, session

    def ended(self):
        """What it wrote to standard error; killed where it does not end within WAIT_SECS, which fails the test."""
        try:
            return self.process.communicate(timeout=WAIT_SECS)[1]
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def left(self):
        """What is still there after up to WAIT_SECS."""
        if self.process.poll() is None:
            self.ended()
        return self.left_of_group()

    def left_of_group(self):
        """The same, whatever the parent does meanwhile."""
        deadline = time.monotonic() + WAIT_SECS
        while time.monotonic() < deadline:
            alive = [one for one in self.group if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
            if not alive and not self.folder.exists():
                return []
            time.sleep(0.05)
        return [*alive, *([self.folder] if self.folder.exists() else [])]


@pytest.fixture(scope="module")
def endless(tmp_path_factory):
    return small_kernel.build(tmp_path_factory.mktemp("kernel") / "endless.so", steps=1 << 40)


@sweep.part(2)
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_loopback_ends_after_a_signal_to_the_parent(sent):
    parent = Parent("sleep")
    parent.process.send_signal(sent)
    assert parent.left() == []


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_loopback_ends_after_a_signal_while_a_kernel_hangs(endless, sent):
    parent = Parent("hang", endless)
    parent.process.send_signal(sent)
    assert parent.left() == []


def test_the_parent_killed_while_a_forked_worker_lives_on():
    parent = Parent("fork")
    worker = psutil.Process(int(parent.process.stdout.readline()))
    try:
        parent.process.kill()
        parent.process.wait()
        assert parent.left() == []
        assert worker.is_running()
    finally:
        worker.kill()


@pytest.mark.parametrize("what", ["exit", "raise"])
def test_loopback_ends_with_a_parent_that_does_not_close(what):
    code = PARENT.replace("time.sleep(3000)", "pass")
    done = subprocess.run([sys.executable, "-c", code, what], capture_output=True, text=True, timeout=900)
    leader, folder = done.stdout.split()
    assert done.returncode == (0 if what == "exit" else 1)
    assert not psutil.pid_exists(int(leader))
    assert not Path(folder).exists()


def test_ctrl_c_in_a_terminal_reaches_the_parent_alone_and_all_end():
    parent = Parent("sleep")
    assert os.getpgid(parent.group[0].pid) != os.getpgid(parent.process.pid)
    parent.process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in parent.ended()
    assert parent.left() == []


def test_loopback_ends_when_its_server_is_killed():
    parent = Parent("sleep")
    try:
        parent.group[1].kill()
        assert parent.left_of_group() == []
    finally:
        parent.process.kill()
    assert parent.left() == []
