"""A tracker that outlives the command that started it, and is told from others."""

import socket
import subprocess
import sys
import threading

import psutil
import pytest

from devices.android.background_tracker import HOST, default_port, end_tracker, ensure_tracker, process_of
from devices.android.running import end_unused_tracker
from devices.rpc import tracker
from devices.rpc.tracker import Address
from devices.rpc.tracker_service import serve_tracker
from fleetpose.errors import UsageError

START = (
    "import sys; from devices.android.background_tracker import ensure_tracker; print(ensure_tracker(int(sys.argv[1])))"
)


@pytest.fixture
def port(monkeypatch, tmp_path):
    monkeypatch.setenv("FLEETPOSE_CACHE_DIR", str(tmp_path))
    with socket.create_server((HOST, 0)) as free:
        number = free.getsockname()[1]
    yield number
    end_tracker(number)


def test_tracker_stays_when_its_starter_has_ended(port):
    done = subprocess.run([sys.executable, "-c", START, str(port)], capture_output=True, text=True, timeout=300)
    assert done.stdout == "True\n", done.stderr
    assert tracker.servers(Address(HOST, port)) == []
    assert ensure_tracker(port) is False
    process = process_of(port)
    assert process is not None
    assert end_unused_tracker(port) is True
    assert process_of(port) is None
    assert not psutil.pid_exists(process) or psutil.Process(process).status() == psutil.STATUS_ZOMBIE


def test_tracker_of_somebody_else_is_used_and_not_ended(port):
    listening = tracker.bind(HOST, port)
    threading.Thread(target=serve_tracker, args=(listening,), daemon=True).start()
    assert ensure_tracker(port) is False
    assert process_of(port) is None
    assert end_unused_tracker(port) is False
    assert tracker.servers(Address(HOST, port)) == []


@pytest.mark.slow
def test_what_is_no_tracker_is_told(port):
    with socket.create_server((HOST, port)), pytest.raises(UsageError, match="is in use; give another --tracker-port"):
        ensure_tracker(port)


def test_port_is_that_of_the_environment(monkeypatch):
    monkeypatch.delenv("TVM_TRACKER_HOST", raising=False)
    monkeypatch.delenv("TVM_TRACKER_PORT", raising=False)
    assert default_port() == 9190
    monkeypatch.setenv("TVM_TRACKER_HOST", "localhost")
    monkeypatch.setenv("TVM_TRACKER_PORT", "9300")
    assert default_port() == 9300
    monkeypatch.setenv("TVM_TRACKER_HOST", "192.168.1.10")
    with pytest.raises(UsageError, match="unset TVM_TRACKER_HOST"):
        default_port()
