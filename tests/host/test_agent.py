"""The agent, by TVM's own client alone: files, remote arrays, packages, times."""

import json
import socket
import struct
import subprocess
import time

import numpy as np
import psutil
import pytest
import tvm
import tvm.rpc
from tvm.runtime.vm import VirtualMachine

import fleetpose
from codegen.building.build import build
from codegen.building.target import BuildTarget
from codegen.building.traced import trace_network
from devices import open_device
from devices.conditions import conditions
from devices.diagnosis import small_kernel
from devices.info import DeviceInfo
from devices.profile import load_profile
from devices.rpc import tracker
from devices.rpc.wire import pack_name, receive
from models.graph.reference import run_graph
from tests.agent_serving import ServingAgent, agent_program
from tests.serving import WAIT_SECS
from tests.small_network import register_small

pytestmark = pytest.mark.system_opencl


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    with ServingAgent(tmp_path_factory.mktemp("agent") / "work") as one:
        yield one


@pytest.fixture(scope="module")
def kernel_path(tmp_path_factory):
    return small_kernel.build(tmp_path_factory.mktemp("kernel") / "small.fpk")


@pytest.fixture
def remote(agent):
    session = tvm.rpc.connect_tracker(*agent.tracker).request("bench", session_timeout=600)
    yield session
    session.get_function("CloseRPCConnection")()  # an error that a test has caught may still hold it


def tensors(remote, count=2):
    return [tvm.runtime.tensor(np.zeros(small_kernel.LENGTH, "float32"), remote.cl()) for _ in range(count)]


def test_files_are_sent_listed_fetched_and_removed(remote):
    content = np.random.default_rng(0).bytes(300_000)
    remote.upload(bytearray(content), "one.bin")
    remote.upload(bytearray(b"2"), "two.bin")
    assert sorted(remote.listdir("/").split(",")) == ["one.bin", "two.bin"]
    assert bytes(remote.download("one.bin")) == content
    remote.remove("one.bin")
    assert remote.listdir("") == "two.bin"


def test_files_stay_in_the_sessions_folder(agent, remote):
    remote.upload(bytearray(b"escaped"), "../../escaped.bin")
    assert remote.listdir("/") == "escaped.bin"
    assert not (agent.folder.parent / "escaped.bin").exists()
    for name in ("..", "a/", ".", "x" * 300):
        with pytest.raises(Exception, match="no name of a file"):
            remote.upload(bytearray(b"1"), name)
    with pytest.raises(Exception, match=r"cannot read .*nothing\.bin"):
        remote.download("nothing.bin")


@pytest.mark.long
def test_files_of_a_session_have_a_limit(remote):
    half = bytearray((1 << 29) + 1)
    remote.upload(half, "first.bin")
    remote.upload(half, "first.bin")  # in place of the other
    with pytest.raises(Exception, match="1024 MiB in all"):
        remote.upload(half, "second.bin")
    remote.remove("first.bin")
    remote.upload(bytearray(b"2"), "second.bin")


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "int32", "uint8"])
@pytest.mark.parametrize("kind", ["cl", "cpu"])
def test_remote_arrays_come_back_as_they_went(remote, dtype, kind):
    device = getattr(remote, kind)()
    given = np.arange(24).reshape(2, 3, 4).astype(dtype)
    assert (tvm.runtime.tensor(given, device).numpy() == given).all()
    empty = tvm.runtime.empty((2, 3, 4), dtype, device)
    tvm.runtime.tensor(given, device).copyto(empty)
    assert (empty.numpy() == given).all()


def test_images_come_back_as_they_went(remote):
    given = np.random.default_rng(1).standard_normal((5, 7, 4)).astype(np.float32)
    image = tvm.runtime.tensor(given, remote.cl(), mem_scope="global.texture")
    assert (image.numpy() == given).all()
    buffer = tvm.runtime.empty(given.shape, "float32", remote.cl())
    image.copyto(buffer)
    assert (buffer.numpy() == given).all()
    with pytest.raises(Exception, match="one texel of 4 channels"):
        tvm.runtime.tensor(given[:, :, :3].copy(), remote.cl(), mem_scope="global.texture")
    with pytest.raises(Exception, match=r"memory scope .* is not supported"):
        tvm.runtime.tensor(given, remote.cl(), mem_scope="global.elsewhere")


def test_device_says_what_it_is(remote):
    device = remote.cl()
    assert device.exist
    (listed,) = json.loads(remote.get_function("fleetpose.opencl.devices")())
    assert device.device_name == listed["name"]
    assert device.max_threads_per_block == listed["max_work_group"]
    assert device.multi_processor_count == listed["compute_units"]
    assert device.compute_version == listed["version"].split()[1]
    assert listed["cache_bytes"] == device.l2_cache_size_bytes > 0
    assert (min(listed["image2d_width"], listed["image2d_height"]) > 0) == listed["image2d"]
    info = DeviceInfo.from_listed(listed)
    assert (info.cache_bytes, info.image2d_width) == (listed["cache_bytes"], listed["image2d_width"])
    assert not remote.device("opencl", 1).exist
    assert not remote.device("cuda", 0).exist


def test_package_is_loaded_run_and_timed(remote, kernel_path):
    remote.upload(str(kernel_path))
    module = remote.load_module("small.fpk")
    given, result = tensors(remote)
    module["main"](given, result)
    assert (result.numpy() == 1).all()
    times = module.time_evaluator("main", remote.cl(), number=5, repeat=4)(given, result)
    assert len(times.results) == 4
    assert all(secs > 0 for secs in times.results)
    stops = json.loads(remote.get_function("fleetpose.opencl.timer_samples")())
    assert [stop["kernels"] for stop in stops] == [5] * 4
    assert [stop["event_secs"] / 5 for stop in stops] == pytest.approx(times.results)
    assert all(stop["wall_secs"] >= stop["event_secs"] for stop in stops)
    assert json.loads(remote.get_function("fleetpose.opencl.timer_samples")()) == []


def test_time_evaluator_runs_until_the_least_time(remote, kernel_path):
    remote.upload(str(kernel_path))
    module = remote.load_module("small.fpk")
    module.time_evaluator("main", remote.cl(), number=1, repeat=1, min_repeat_ms=2)(*tensors(remote))
    stops = json.loads(remote.get_function("fleetpose.opencl.timer_samples")())
    assert stops[-1]["event_secs"] >= 0.002
    assert all(stop["event_secs"] < 0.002 for stop in stops[:-1])


def test_profile_names_every_kernel(remote, kernel_path):
    remote.upload(str(kernel_path))
    module = remote.load_module("small.fpk")
    given, result = tensors(remote)
    remote.get_function("fleetpose.opencl.profile_start")()
    for _ in range(3):
        module["main"](given, result)
    launches = json.loads(remote.get_function("fleetpose.opencl.profile_stop")())
    assert [launch["kernel"] for launch in launches] == ["main_kernel"] * 3
    assert all(launch["queued_secs"] <= launch["start_secs"] < launch["end_secs"] for launch in launches)
    with pytest.raises(Exception, match="no profile runs"):
        remote.get_function("fleetpose.opencl.profile_stop")()


def test_errors_are_words_and_the_session_goes_on(remote, kernel_path, tmp_path):
    remote.upload(str(kernel_path))
    module = remote.load_module("small.fpk")
    given, result = tensors(remote)
    small = tvm.runtime.empty((10,), "float32", remote.cl())
    for wrong, says in (
        (lambda: module["main"](given), "takes 2 arguments, not 1"),
        (lambda: module["main"](given, small), "argument 1 of main has 40 bytes, and 4000 are read or written"),
        (lambda: module["main"](given, 3), "no tensor on the OpenCL device"),
        (lambda: remote.load_module("nothing.fpk"), "there is no such file"),
        (lambda: module.time_evaluator("mian", remote.cl())(given, result), "cannot find function mian"),
        (lambda: remote.download_linked_module("x.tar"), "linked to nothing"),
    ):
        with pytest.raises(Exception, match=says):
            wrong()
    with pytest.raises(AttributeError):
        module["mian"]
    damaged = bytearray(kernel_path.read_bytes())
    damaged[-1] ^= 1
    remote.upload(damaged, "damaged.fpk")
    with pytest.raises(Exception, match="checksum"):
        remote.load_module("damaged.fpk")
    module["main"](given, result)
    assert (result.numpy() == 1).all()


@pytest.fixture(scope="module")
def network_path(agent, tmp_path_factory):
    """A network of everything at two input sizes as a package, and the traced network."""
    network = trace_network(register_small(), None, 0, [(32, 32), (24, 40)])
    path = tmp_path_factory.mktemp("network") / "network.fpk"
    build(network, BuildTarget(load_profile("host"), host="agent")).write(path)
    return path, network


def test_network_runs_in_tvms_virtual_machine(remote, network_path):
    path, network = network_path
    remote.upload(str(path))
    machine = VirtualMachine(remote.load_module(path.name), remote.cl())
    for graph in network.graphs:
        entry = "run_{}x{}".format(*graph.input_shape[1:])
        given = np.random.default_rng(2).standard_normal((1, *graph.input_shape)).astype(np.float32)
        tensor = tvm.runtime.tensor(given, remote.cl())
        machine.set_input(entry, tensor)
        machine.invoke_stateful(entry)
        outputs = machine.get_outputs(entry)
        machine.invoke_stateful(entry)  # what was fetched before stays what it was
        right = run_graph(graph, given)
        for output, expected in zip(outputs, right, strict=True):
            assert output.numpy() == pytest.approx(expected, abs=1e-4)
        machine.save_function(entry, f"timed_{entry}", tensor, include_return=False)
        assert machine.time_evaluator(f"timed_{entry}", remote.cl(), number=2, repeat=2)().mean > 0
    with pytest.raises(Exception, match="no entry run_1x1"):
        machine.invoke_stateful("run_1x1")


def test_network_is_a_function_by_its_input_size(remote, network_path):
    path, network = network_path
    graph = network.graphs[0]
    remote.upload(str(path))
    module = remote.load_module(path.name)
    given = np.random.default_rng(3).standard_normal((1, *graph.input_shape)).astype(np.float32)
    outputs = [tvm.runtime.empty((1, *graph.shape(name)), "float32", remote.cl()) for name in graph.outputs]
    module["run_{}x{}".format(*graph.input_shape[1:])](tvm.runtime.tensor(given, remote.cl()), *outputs)
    right = run_graph(graph, given)
    for output, expected in zip(outputs, right, strict=True):
        assert output.numpy() == pytest.approx(expected, abs=1e-4)


def test_conditions_are_those_of_devices_conditions(remote):
    here, there = conditions(), json.loads(remote.get_function("fleetpose.conditions")())
    assert set(here) <= set(there)
    assert {name: there[name] for name in ("machine", "cpus")} == {name: here[name] for name in ("machine", "cpus")}
    assert abs(there["time_unix_secs"] - time.time()) < WAIT_SECS
    assert there["memory_available_bytes"] == pytest.approx(here["memory_available_bytes"], rel=0.5)


def test_a_session_ends_at_the_clients_timeout(agent):
    remote = tvm.rpc.connect_tracker(*agent.tracker).request("bench", session_timeout=1)
    function = remote.get_function("fleetpose.conditions")
    assert function()
    time.sleep(1.5)
    with pytest.raises(Exception, match="1 s are over"):
        function()


def test_other_versions_of_the_protocol_are_refused_in_words(agent):
    server, match_key = tracker.request(agent.tracker, "bench", WAIT_SECS)
    with socket.create_connection(server) as client:
        client.sendall(pack_name(f"client:{match_key}"))
        receive(client, len(pack_name("server:bench")), time.monotonic() + WAIT_SECS)
        body = struct.pack("<iQ", 2, 5) + b"0.7.0" + struct.pack("<i", 0)
        client.sendall(struct.pack("<Q", len(body)) + body)
        size, code = struct.unpack("<Qi", receive(client, 12, time.monotonic() + WAIT_SECS))
        said = receive(client, size - 4, time.monotonic() + WAIT_SECS)
    assert code == 5
    assert b"version 0.7.0" in said


def test_agent_says_its_version_and_refuses_what_it_cannot_read():
    done = subprocess.run([str(agent_program()), "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"fleetpose-agent {fleetpose.__version__}\n")
    for flags in (["--key", "a b"], ["--tracker", "host"], ["--port", "0"], ["--what", "1"], ["--key"], []):
        done = subprocess.run([str(agent_program()), *flags], capture_output=True, text=True)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "usage: fleetpose-agent" in done.stderr
    with tracker.bind("127.0.0.1", None) as taken:
        port = taken.getsockname()[1]
        flags = ["--tracker", "127.0.0.1:1", "--key", "x", "--port", str(port)]
        done = subprocess.run([str(agent_program()), *flags], capture_output=True, text=True)
        assert done.returncode == 2
        assert f"cannot listen on 127.0.0.1:{port}" in done.stderr


def test_agent_tells_the_tracker_a_forwarded_port(tmp_path):
    with ServingAgent(tmp_path / "work", "forwarded", "--forward-port", "5001") as one:
        server, _ = tracker.request(one.tracker, "forwarded", WAIT_SECS)
        assert server == ("127.0.0.1", 5001)


def test_agent_ends_where_no_tracker_is_for_as_long_as_it_is_told_to_wait(tmp_path):
    with ServingAgent(tmp_path / "work", "lonely", "--give-up-secs", "1") as agent:
        assert tracker.request(agent.tracker, "lonely", WAIT_SECS)
        assert agent.process.poll() is None
        agent.end_tracker()
        assert agent.process.wait(timeout=WAIT_SECS) == 0
        assert "no tracker for 1 s; the agent ends" in agent.log.read_text()


def test_agent_is_a_device_of_tvms_own_tracker(tmp_path, kernel_path):
    from tvm.rpc.tracker import Tracker

    tracking = Tracker("127.0.0.1", port=9300, port_end=9400, silent=True)
    try:
        address = tracker.Address(tracking.host, tracking.port)
        with ServingAgent(tmp_path / "work", "pixel", tracker=address):
            for _ in range(2):  # it is on offer again after a session
                client = tvm.rpc.connect_tracker(*address)
                remote = client.request("pixel", session_timeout=600)
                remote.upload(str(kernel_path))
                given, result = tensors(remote)
                remote.load_module("small.fpk")["main"](given, result)
                assert (result.numpy() == 1).all()
                assert "server:pixel" in client.text_summary()
                remote.get_function("CloseRPCConnection")()
    finally:
        tracking.terminate()


def test_agent_ends_with_its_session_and_leaves_no_session_behind(tmp_path, monkeypatch):
    with ServingAgent(tmp_path / "work") as one:
        one.use_tracker(monkeypatch)
        session = open_device("rpc:bench", timeout_secs=WAIT_SECS)
        family = one.sessions()
        assert len(family) == 1
        assert one.terminate() == 0
        _, alive = psutil.wait_procs(family, timeout=WAIT_SECS)
        assert alive == []
        session.close()
        assert not [path for path in one.folder.iterdir() if path.name.startswith("session")]


def test_session_ends_with_a_killed_agent(tmp_path, monkeypatch):
    with ServingAgent(tmp_path / "work") as one:
        one.use_tracker(monkeypatch)
        session = open_device("rpc:bench", timeout_secs=WAIT_SECS)
        family = one.sessions()
        one.process.kill()
        _, alive = psutil.wait_procs(family, timeout=WAIT_SECS)
        assert alive == []
        session.close()
