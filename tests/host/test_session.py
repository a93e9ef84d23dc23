"""Sessions over loopback RPC on this machine's OpenCL: what works, and each way they end."""

import gc
import os
import signal
import socket
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
import tvm

from codegen.lowering.layer import LoadedLayer, compile_layer, random_operands, standalone_planes
from devices import DeviceInfo, open_device
from devices.diagnosis import small_kernel
from devices.rpc import tracker
from devices.rpc.loopback import Loopback
from fleetpose.errors import DeviceUnreachable, UsageError
from latency.profiling.reference_kernel import REFERENCE


@pytest.fixture(scope="module")
def kernel_path(tmp_path_factory):
    return small_kernel.build(tmp_path_factory.mktemp("kernel") / "small.so")


@pytest.fixture(scope="module")
def session():
    with open_device("host") as opened:
        yield opened


def session_process(session):
    """The process that answers `session`: the one deepest below its loopback."""
    server = psutil.Process(session._loopback.process.pid)
    return max(server.children(recursive=True), key=lambda process: process.create_time())


def test_session_runs_a_kernel_right(session, kernel_path):
    assert small_kernel.error_on(session, session.load(kernel_path)) == 0


def test_ended_sessions_that_errors_hold_in_circles_do_not_count(session):
    """TVM has 32 in a process at most; Python's own collector may not come for long."""
    gc.collect()
    gc.disable()
    try:
        for _ in range(34):
            circle = {"ended": session.remote}
            circle["itself"] = circle
            session.reconnect()
    finally:
        gc.enable()
    assert session.alive()


def test_session_has_info_and_profile(session):
    assert isinstance(session.info, DeviceInfo)
    assert session.info.name
    assert session.info.driver
    assert session.info.compute_units > 0
    assert session.info.vector_width in (4, 8, 16)
    wide = "host-intel" if "intel" in session.info.name.lower() else "host"
    assert session.profile.name == (wide if session.info.vector_width == 16 else "host-avx2")


def test_two_files_of_one_name_are_two_modules(session, tmp_path):
    results = []
    for steps in (1, 2):
        folder = tmp_path / str(steps)
        folder.mkdir()
        module = session.load(small_kernel.build(folder / "same.so", steps))
        results.append(small_kernel.error_on(session, module, steps))
    assert results == [0, 0]


def test_session_gives_functions_and_answers(session):
    assert session.function("no.such.function") is None
    assert session.ask("no.such.function") is None
    assert session.ask("fleetpose.conditions")["cpus"] == os.cpu_count()


def test_the_server_has_neither_torch_nor_the_compiler(session):
    maps = Path(f"/proc/{session_process(session).pid}/maps").read_text()
    assert "libtvm_runtime.so" in maps
    assert "libtvm_compiler" not in maps
    assert "libtorch" not in maps


def test_the_server_listens_on_loopback_only(session):
    listening = [
        connection.laddr.ip
        for process in [psutil.Process(session._loopback.process.pid), *_descendants(session)]
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert set(listening) == {"127.0.0.1"}


def _descendants(session):
    return psutil.Process(session._loopback.process.pid).children(recursive=True)


def test_load_refuses_what_is_no_shared_object(session, tmp_path, kernel_path):
    with pytest.raises(UsageError, match="is not a shared object"):
        session.load("kernel.tar")
    with pytest.raises(UsageError, match=r"cannot read .*: No such file"):
        session.load(tmp_path / "nothing.so")
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"not ELF")
    with pytest.raises(RuntimeError):
        session.load(broken)
    assert small_kernel.error_on(session, session.load(kernel_path)) == 0


def test_a_kernels_error_is_not_a_lost_device(session, kernel_path):
    module = session.load(kernel_path)
    wrong = tvm.runtime.tensor(np.zeros(7, "float32"), device=session.device)
    with pytest.raises(Exception) as caught, session.guard("running"):
        module["main"](wrong, wrong)
    assert not isinstance(caught.value, DeviceUnreachable)
    assert session.alive()


def use_after_kill(kernel_path):
    with open_device("host") as opened:
        module = opened.load(kernel_path)
        session_process(opened).kill()
        small_kernel.error_on(opened, module)


def test_a_server_killed_in_mid_session_is_device_unreachable(kernel_path):
    with pytest.raises(DeviceUnreachable, match="went away while running") as caught:
        use_after_kill(kernel_path)
    assert caught.value.exit_status == 3


def test_a_server_killed_while_a_layers_tensors_are_sent_is_device_unreachable():
    """As when the reference kernel is loaded anew: nothing of TVM's own errors comes through."""
    workload = standalone_planes(REFERENCE, 4)
    inputs, weights = random_operands(REFERENCE, 0)
    with open_device("host") as opened:
        loaded = LoadedLayer(compile_layer(workload, weights, opened.profile), opened)
        session_process(opened).kill()
        with pytest.raises(DeviceUnreachable, match="sending a layer's tensors"):
            loaded.arguments(inputs)


def test_session_reconnects_after_a_crash(kernel_path):
    with open_device("host") as opened:
        session_process(opened).kill()
        with pytest.raises(DeviceUnreachable):
            opened.load(kernel_path)
        opened.reconnect()
        assert small_kernel.error_on(opened, opened.load(kernel_path)) == 0


def test_the_whole_pair_killed_cannot_be_reconnected(kernel_path):
    with open_device("host", timeout_secs=10) as opened:
        os.killpg(opened._loopback.process.pid, signal.SIGKILL)
        with pytest.raises(DeviceUnreachable):
            opened.load(kernel_path)
        with pytest.raises(DeviceUnreachable, match="no tracker at"):
            opened.reconnect()


def test_abort_from_another_thread_ends_a_hanging_call(tmp_path):
    path = small_kernel.build(tmp_path / "endless.so", steps=1 << 40)
    with open_device("host") as opened:
        module = opened.load(path)
        threading.Timer(0.5, opened.abort, ["the test cut it"]).start()
        with pytest.raises(DeviceUnreachable, match="the test cut it"), opened.guard("hanging"):
            small_kernel.error_on(opened, module)


def test_use_after_close_is_an_error_not_a_hang(kernel_path):
    opened = open_device("host")
    opened.close()
    opened.close()
    with pytest.raises(DeviceUnreachable):
        opened.load(kernel_path)


def test_session_is_one_of_two_at_once(kernel_path):
    with open_device("host") as one, open_device("host") as two:
        modules = [opened.load(kernel_path) for opened in (one, two)]
        for opened, module in zip((one, two), modules, strict=True):
            assert small_kernel.error_on(opened, module) == 0


def test_a_profile_by_name_path_or_value(tmp_path):
    with pytest.raises(UsageError, match="did you mean 'host'"):
        open_device("host", profile="hsot")


def test_open_device_says_that_no_tracker_is_configured(monkeypatch):
    monkeypatch.delenv("TVM_TRACKER_HOST", raising=False)
    with pytest.raises(DeviceUnreachable, match=r"TVM_TRACKER_HOST is not set\n.*devices\.serve") as caught:
        open_device("rpc:pixel8")
    assert caught.value.exit_status == 3


def test_open_device_says_that_nobody_listens_at_the_tracker(monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("TVM_TRACKER_HOST", "127.0.0.1")
        monkeypatch.setenv("TVM_TRACKER_PORT", str(unused.getsockname()[1]))
        with pytest.raises(DeviceUnreachable, match="no tracker at 127") as caught:
            open_device("rpc:pixel8", timeout_secs=5)
    assert "query_rpc_tracker" in str(caught.value)


def test_open_device_says_that_something_else_listens_at_the_tracker(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("TVM_TRACKER_HOST", "127.0.0.1")
        monkeypatch.setenv("TVM_TRACKER_PORT", str(silent.getsockname()[1]))
        with pytest.raises(DeviceUnreachable, match="no tracker at"):
            open_device("rpc:pixel8", timeout_secs=1)


def test_open_device_tells_wrong_from_busy_keys(monkeypatch):
    loopback = Loopback()
    try:
        monkeypatch.setenv("TVM_TRACKER_HOST", "127.0.0.1")
        monkeypatch.setenv("TVM_TRACKER_PORT", str(loopback.address.port))
        with open_device("rpc:host") as opened:
            assert opened.profile.name.startswith("host")
            with pytest.raises(DeviceUnreachable, match="no free device under key 'host' within 1 s"):
                open_device("rpc:host", timeout_secs=1)
            with pytest.raises(DeviceUnreachable, match=r"no device under key 'hots' at .*; keys there: host"):
                open_device("rpc:hots", timeout_secs=1)
        with open_device("rpc:host") as again:  # given back
            assert again.info.name
    finally:
        loopback.close()


def test_open_device_names_a_malformed_tracker_address(monkeypatch):
    monkeypatch.setenv("TVM_TRACKER_HOST", "127.0.0.1")
    monkeypatch.setenv("TVM_TRACKER_PORT", "many")
    with pytest.raises(UsageError, match="is not HOST:PORT"):
        open_device("rpc:x")


def test_a_port_in_use_is_named():
    with tracker.bind("127.0.0.1", None) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} of 127.0.0.1 is in use; give another --port"):
            tracker.bind("127.0.0.1", port)


def test_a_server_that_cannot_start_quotes_its_log(monkeypatch, tmp_path):
    (tmp_path / "tvm.py").write_text("raise ImportError('tvm is broken here')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(DeviceUnreachable, match="tvm is broken here"):
        open_device("host")
