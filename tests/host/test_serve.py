"""devices.serve: offering this machine under a key, and its errors."""

import os
import re
import subprocess
import sys
import time

import psutil
import pytest

from devices import open_device
from devices.diagnosis import small_kernel
from devices.rpc import tracker
from fleetpose.errors import DeviceUnreachable
from tests.serving import WAIT_SECS, Serving

pytestmark = pytest.mark.system_opencl


@pytest.fixture
def port():
    with tracker.bind("127.0.0.1", None) as probe:
        return probe.getsockname()[1]


@pytest.fixture
def environment(monkeypatch, port):
    monkeypatch.setenv("TVM_TRACKER_HOST", "127.0.0.1")
    monkeypatch.setenv("TVM_TRACKER_PORT", str(port))
    return f"127.0.0.1:{port}"


@pytest.fixture
def started():
    running = []

    def start(*flags):
        running.append(Serving(*flags))
        return running[-1]

    yield start
    for one in running:
        one.kill()


@pytest.fixture(scope="module")
def kernel_path(tmp_path_factory):
    return small_kernel.build(tmp_path_factory.mktemp("kernel") / "small.so")


def test_serve_says_what_to_type_and_that_works(started, environment, port, kernel_path):
    serving = started("--with-tracker", "--tracker", environment, "--key", "bench")
    text = "\n".join(serving.lines)
    assert f"export TVM_TRACKER_HOST=127.0.0.1 TVM_TRACKER_PORT={port}" in text
    assert "--device rpc:bench" in text
    with open_device("rpc:bench") as session:
        assert small_kernel.error_on(session, session.load(kernel_path)) == 0
    status, error = serving.interrupt()
    assert status == 0
    assert "Traceback" not in error


def test_serve_takes_two_servers_under_one_key(started, environment, kernel_path):
    started("--with-tracker", "--tracker", environment, "--key", "bench")
    started("--tracker", environment, "--key", "bench")
    deadline = time.monotonic() + WAIT_SECS
    while tracker.summary(tracker.Address.parse(environment)).get("bench", {"free": 0})["free"] < 2:
        assert time.monotonic() < deadline, "the second server never registered"
        time.sleep(0.05)
    with open_device("rpc:bench") as one, open_device("rpc:bench") as two:
        for session in (one, two):
            assert small_kernel.error_on(session, session.load(kernel_path)) == 0
        with pytest.raises(DeviceUnreachable, match="2 there, 0 free"):
            open_device("rpc:bench", timeout_secs=1)


def test_serve_goes_on_after_a_session_that_crashed(started, environment, kernel_path):
    serving = started("--with-tracker", "--tracker", environment, "--key", "bench")
    server = psutil.Process(serving.process.pid)
    before = server.children(recursive=True)
    session = open_device("rpc:bench")
    for process in set(server.children(recursive=True)) - {*before}:  # that of the session, and any that it has begun
        process.kill()
    with pytest.raises(DeviceUnreachable, match="went away"):
        session.load(kernel_path)
    session.reconnect()
    assert small_kernel.error_on(session, session.load(kernel_path)) == 0
    session.close()


def test_serve_ends_a_session_at_the_clients_timeout(started, environment):
    import tvm.rpc

    started("--with-tracker", "--tracker", environment, "--key", "bench")
    server, match_key = tracker.request(tracker.Address.parse(environment), "bench", 10)
    remote = tvm.rpc.connect(server.host, server.port, match_key, session_timeout=1)
    function = remote.get_function("fleetpose.conditions")
    assert function()
    time.sleep(1.5)
    with pytest.raises(Exception, match="1 s are over"):
        function()


def test_serve_killed_leaves_nothing(started, environment):
    serving = started("--with-tracker", "--tracker", environment)
    with open_device("rpc:host"):
        family = psutil.Process(serving.process.pid).children(recursive=True)
        assert len(family) == 2  # tracker, session
        serving.process.kill()
        _, alive = psutil.wait_procs(family, timeout=WAIT_SECS)
        assert alive == []


def run_serve(*flags):
    command = [sys.executable, "-m", "devices.serve", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    return done.returncode, done.stderr


def test_serve_names_a_port_in_use(environment):
    with tracker.bind("127.0.0.1", None) as taken:
        port = taken.getsockname()[1]
        status, error = run_serve("--tracker", environment, "--port", str(port))
    assert status == 2
    assert re.fullmatch(rf"python -m devices\.serve: port {port} of 127\.0\.0\.1 is in use; .*--port.*\n", error)


def test_serve_names_a_trackers_port_in_use(environment, port):
    with tracker.bind("127.0.0.1", port):
        status, error = run_serve("--with-tracker", "--tracker", environment)
    assert status == 2
    assert f"port {port} of 127.0.0.1 is in use; give another --tracker" in error


def test_serve_says_that_no_tracker_is_there(environment):
    status, error = run_serve("--tracker", environment)
    assert status == 3
    assert "no tracker at" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--tracker", "nowhere"], "--tracker 'nowhere' is not HOST:PORT"),
        (["--key", "a b"], "key 'a b' must be one word"),
        (["--host", "203.0.113.7", "--port", "1234"], "cannot listen on 203.0.113.7:1234"),
    ],
)
def test_serve_refuses_bad_flags(flags, says):
    status, error = run_serve(*flags)
    assert status == 2
    assert says in error


def test_serve_help_names_every_flag():
    done = subprocess.run([sys.executable, "-m", "devices.serve", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    for flag in ("--tracker", "--key", "--host", "--port", "--with-tracker", "--advertise"):
        assert flag in done.stdout
    assert os.linesep in done.stdout
