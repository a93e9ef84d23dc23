"""Kernels that crash and kernels that never end, behind the agent: one clear error each, and the next session works."""

import contextlib
import os
import socket
import time

import numpy as np
import psutil
import pytest
import tvm
import tvm.rpc
from tvm.runtime.vm import VirtualMachine

from codegen.building.build import build
from codegen.building.target import BuildTarget
from codegen.building.traced import trace_network
from codegen.lowering.packages import function_package
from codegen.lowering.target import make_target
from devices import open_device
from devices.diagnosis import small_kernel
from devices.profile import load_profile
from devices.rpc import tracker
from devices.rpc.limits import VARIABLE
from devices.rpc.wire import pack_name, receive
from devices.timing.measure import measure
from fleetpose.errors import DeviceUnreachable
from runtime.agent.building import PROGRAM
from runtime.agent.building import sources as agent_sources
from tests import sweep
from tests.agent_requests import RandomClient
from tests.agent_serving import ServingAgent
from tests.host.test_measure import Crash
from tests.runtime_c import compiling
from tests.serving import WAIT_SECS
from tests.small_network import register_small

pytestmark = pytest.mark.system_opencl

#: memory of the agent's own process may grow by so much while sessions come and go
GROWTH_BYTES = 1 << 18
#: a kernel that never ends is waited for so long; one that crashes has to be compiled before
SECS = {"endless": 1, "crash": WAIT_SECS}


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    with ServingAgent(tmp_path_factory.mktemp("agent") / "work") as one:
        yield one


@pytest.fixture(autouse=True)
def environment(monkeypatch, agent):
    agent.use_tracker(monkeypatch)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Packages of a kernel that works, one that never ends, and one that writes where nothing is."""
    folder = tmp_path_factory.mktemp("kernels")
    crash = folder / "crash.fpk"
    crash.write_bytes(function_package("main", Crash["main"], make_target(load_profile("host"))))
    steps = {"one": 1, "endless": 1 << 40}
    return {"crash": crash} | {name: small_kernel.build(folder / f"{name}.fpk", count) for name, count in steps.items()}


@pytest.fixture(scope="module")
def network_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "network.fpk"
    network = trace_network(register_small(), None, 0, [(32, 32)])
    build(network, BuildTarget(load_profile("host"), host="agent")).write(path)
    return path


def arguments(session):
    return [tvm.runtime.tensor(np.zeros(small_kernel.LENGTH, "float32"), device=session.device) for _ in range(2)]


def check(paths):
    with open_device("rpc:bench", timeout_secs=WAIT_SECS) as session:
        assert small_kernel.error_on(session, session.load(paths["one"])) == 0


def wait_until_idle(agent):
    """Until the agent has no process of a session, a zombie neither."""
    deadline = time.monotonic() + WAIT_SECS
    while agent.sessions():
        assert time.monotonic() < deadline, agent.sessions()
        time.sleep(0.05)


def fail_once(paths, name):
    """A session whose kernel crashes or hangs; its Measurement. The next one works."""
    with open_device("rpc:bench", timeout_secs=WAIT_SECS) as session:
        found = measure(session, session.load(paths[name]), arguments(session), timeout_secs=SECS[name])
        assert not found.ok
        session.reconnect()
        assert measure(session, session.load(paths["one"]), arguments(session)).ok
        return found


def test_hung_kernel_is_a_timeout_and_the_device_goes_on(paths):
    found = fail_once(paths, "endless")
    assert found.failure == "timeout"
    assert "the limit of 1 s passed" in found.error


def test_crashed_kernel_is_a_lost_device_and_the_device_goes_on(agent, paths):
    found = fail_once(paths, "crash")
    assert found.failure == "device"
    assert "went away while measuring: the connection ended" in found.error
    assert "ended by signal 11 (SIGSEGV): a kernel or the driver crashed" in agent.log.read_text()


def test_a_log_that_nobody_reads_stops_nothing(paths, tmp_path, monkeypatch):
    with ServingAgent(tmp_path / "agent", log_pipe=True) as unread:
        unread.use_tracker(monkeypatch)
        pipe = os.open(f"/proc/{unread.process.pid}/fd/2", os.O_WRONLY | os.O_NONBLOCK)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(pipe, b"x" * 4096)
        os.close(pipe)
        for _ in range(2):
            check(paths)


def test_plain_client_is_told_what_crashed(agent, paths):
    """TVM's own client, which has no deadlines, gets an answer in the place of the crashed session's."""
    remote = tvm.rpc.connect_tracker(*agent.tracker).request("bench")
    remote.upload(str(paths["crash"]))
    module = remote.load_module("crash.fpk")
    given = [tvm.runtime.tensor(np.zeros(small_kernel.LENGTH, "float32"), remote.cl()) for _ in range(2)]
    evaluate = module.time_evaluator("main", remote.cl(), number=1)  # one request: it waits for the kernel
    with pytest.raises(Exception, match="ended by signal 11"):
        evaluate(*given)
    check(paths)


def test_client_that_leaves_a_hung_kernel_frees_the_device(agent, paths):
    remote = open_device("rpc:bench", timeout_secs=WAIT_SECS)
    module, given = remote.load(paths["endless"]), arguments(remote)
    module["main"](*given)  # which is only enqueued
    remote.abort("the test left")
    check(paths)
    wait_until_idle(agent)


def test_requests_that_are_none_end_their_session_alone(agent, paths):
    draw = np.random.default_rng(0)
    for number in range(12):
        server, match_key = tracker.request(agent.tracker, "bench", WAIT_SECS)
        with socket.create_connection(server) as client:
            client.settimeout(WAIT_SECS)
            client.sendall(pack_name(f"client:{match_key}"))
            receive(client, len(pack_name("server:bench")), time.monotonic() + WAIT_SECS)
            size = [0, 3, 1 << 62, 40, 4000][number % 5]
            client.sendall(size.to_bytes(8, "little") + draw.bytes(min(size, 4000)))
    check(paths)


@pytest.mark.parametrize("seed", range(4 if sweep.EVERYTHING else 1))
def test_random_requests_do_no_harm(agent, paths, network_path, seed):
    """Each is answered, by an error mostly, and the session goes on: real codes, handles and names, any values."""
    files = {path.name: path.read_bytes() for path in (paths["one"], network_path)}
    client = RandomClient(agent.tracker, "bench", seed, files)
    for _ in range(20_000 if sweep.EVERYTHING else 3_000):
        client.step()
    client.close()
    assert client.errors > 0
    assert "ended by signal" not in agent.log.read_text().rsplit("session begins", 1)[1]
    check(paths)


@pytest.mark.long
def test_random_requests_and_a_network_with_sanitizers(tmp_path, paths, network_path, monkeypatch):
    """Of addresses and of undefined behaviour: whatever they find ends the session."""
    for name, settings in {"ASAN": "detect_leaks=0:allocator_may_return_null=1:handle_segv=0", "UBSAN": ""}.items():
        monkeypatch.setenv(f"{name}_OPTIONS", settings)
    flags = [*compiling.sanitizer_flags(tmp_path), "-O1", "-g", f"-I{compiling.RUNTIME}"]
    program = compiling.compile_program(tmp_path / PROGRAM, agent_sources(), flags)
    files = {path.name: path.read_bytes() for path in (paths["one"], network_path)}
    with ServingAgent(tmp_path / "work", program=program) as one:
        for seed in range(6):
            client = RandomClient(one.tracker, "bench", seed, files)
            for _ in range(10_000):
                client.step()
            client.close()
        remote = tvm.rpc.connect_tracker(*one.tracker).request("bench", session_timeout=WAIT_SECS)
        remote.upload(str(network_path))
        machine = VirtualMachine(remote.load_module(network_path.name), remote.cl())
        machine.set_input("run_32x32", tvm.runtime.tensor(np.zeros((1, 3, 32, 32), "float32"), remote.cl()))
        machine.invoke_stateful("run_32x32")
        assert all(np.isfinite(output.numpy()).all() for output in machine.get_outputs("run_32x32"))
        assert "ended by signal" not in one.log.read_text()


@pytest.mark.long
def test_hundred_kernels_that_crash_or_hang(agent, paths, monkeypatch):
    monkeypatch.setenv(VARIABLE, "close=0.2")
    check(paths)
    wait_until_idle(agent)
    process = psutil.Process(agent.process.pid)
    before, descriptors = process.memory_info().rss, process.num_fds()
    for number in range(100):
        found = fail_once(paths, "crash" if number % 2 else "endless")
        assert found.failure == ("device" if number % 2 else "timeout")
    wait_until_idle(agent)
    assert process.memory_info().rss <= before + GROWTH_BYTES
    assert process.num_fds() == descriptors
    check(paths)


def test_agent_without_opencl_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("FLEETPOSE_LIBOPENCL", str(tmp_path / "libNothing.so"))
    with ServingAgent(tmp_path / "work") as one:
        monkeypatch.setenv("TVM_TRACKER_PORT", str(one.tracker.port))
        with pytest.raises(DeviceUnreachable, match=r"OpenCL fails behind 'rpc:bench': no usable OpenCL: .*libNothing"):
            open_device("rpc:bench", timeout_secs=WAIT_SECS)
