"""What clients of the agent do wrong, and what drivers refuse: an error each time, and the same session goes on."""

import gc
import subprocess

import numpy as np
import pytest
import tvm
import tvm.rpc
from tvm.runtime.vm import VirtualMachine

from devices import open_device
from tests.agent_serving import ServingAgent, agent_program
from tests.runtime_c.running import Runner, expected_values
from tests.runtime_c.tiny_package import TinyPackage, doubling_package
from tests.serving import WAIT_SECS

pytestmark = pytest.mark.system_opencl

ENTRY, SHAPE = "run_4x8", (1, 1, 4, 8)
GIVEN = (np.arange(32, dtype=np.float32) / 8).reshape(SHAPE)


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    with ServingAgent(tmp_path_factory.mktemp("agent") / "work") as one:
        yield one


@pytest.fixture
def remote(agent):
    yield from connect(agent)


def connect(agent, key: str = "bench"):
    session = tvm.rpc.connect_tracker(*agent.tracker).request(key, session_timeout=600)
    yield session
    session.get_function("CloseRPCConnection")()


def load(remote, package: TinyPackage | None = None):
    remote.upload(bytearray((package or doubling_package()).to_bytes()), "doubling.fpk")
    return remote.load_module("doubling.fpk")


def assert_right(remote, machine) -> None:
    machine.set_input(ENTRY, tvm.runtime.tensor(GIVEN, remote.cl()))
    machine.invoke_stateful(ENTRY)
    assert machine.get_outputs(ENTRY).numpy().ravel().tolist() == expected_values()


def test_input_of_another_size_leaves_nothing_to_run(remote):
    machine = VirtualMachine(load(remote), remote.cl())
    short = tvm.runtime.tensor(GIVEN[:, :, :2].copy(), remote.cl())
    for wrong, says in (
        (lambda: machine.set_input(ENTRY, short), "takes 1 x 4 x 8 float32, not 64 bytes"),
        (lambda: machine.invoke_stateful(ENTRY), "no input was set for run_4x8"),
        (lambda: machine.save_function(ENTRY, "kept", short, include_return=False), "float32, not 64 bytes"),
        (lambda: machine["kept"](), "no input was set for run_4x8"),
    ):
        with pytest.raises(Exception, match=says):
            wrong()
    assert_right(remote, machine)


@pytest.mark.parametrize(("field", "value"), [("buffer", 0), ("buffer", 2)])
def test_parameters_in_one_buffer_are_refused(remote, field, value):
    package = doubling_package()
    package.records["entries"][0]["output_count"] = 2
    package.records["outputs"].append({**package.records["outputs"][0], field: value})
    with pytest.raises(Exception, match="are one buffer"):
        load(remote, package)
    assert_right(remote, VirtualMachine(load(remote), remote.cl()))


def test_names_that_errors_cut_off_are_still_text(remote):
    with pytest.raises(RuntimeError, match=r"aü{49}\? is no name of a file"):
        remote.download("a" + "ü" * 120)


def test_empty_files_come_back_empty(remote):
    remote.upload(bytearray(), "empty.bin")
    assert bytes(remote.download("empty.bin")) == b""


def test_files_of_a_session_are_1024_at_most(remote):
    names = [f"{number}.bin" for number in range(1024)]
    for name in names:
        remote.upload(bytearray(b"1"), name)
    for _ in range(2):  # what was refused before is not counted
        with pytest.raises(Exception, match="1024 files at a time"):
            remote.upload(bytearray(b"1"), "another.bin")
    remote.upload(bytearray(b"22"), names[0])  # in place of the other
    remote.remove("nothing.bin")
    with pytest.raises(Exception, match="1024 files at a time"):
        remote.upload(bytearray(b"1"), "another.bin")
    remote.remove(names[1])
    remote.upload(bytearray(b"1"), "another.bin")
    assert sorted(remote.listdir("").split(",")) == sorted([names[0], *names[2:], "another.bin"])


def test_refused_package_leaves_no_file_behind(agent, tmp_path, monkeypatch):
    agent.use_tracker(monkeypatch)
    (tmp_path / "damaged.fpk").write_bytes(doubling_package().to_bytes()[:-1])
    with open_device("rpc:bench", timeout_secs=WAIT_SECS) as session:
        with pytest.raises(RuntimeError, match="bytes"):
            session.load(tmp_path / "damaged.fpk")
        assert session.remote.listdir("") == ""


def test_agent_outlives_whoever_reads_its_log(tmp_path):
    with ServingAgent(tmp_path / "work", log_pipe=True) as one:
        one.process.stdout.close()
        one.process.stderr.close()
        for _ in range(2):  # each of which is a line of the log
            for remote in connect(one):
                assert remote.listdir("") == ""
        assert one.process.poll() is None


def test_agent_removes_folders_of_sessions_alone(tmp_path):
    folder, elsewhere = tmp_path / "work", tmp_path / "elsewhere"
    gone = 2**22 + 1  # no process has that number
    for path in (elsewhere, folder / f"session-{gone}", folder / f"session-{gone}-notes", folder / "session-x"):
        path.mkdir(parents=True)
        (path / "file").write_text("kept?")
    with ServingAgent(folder) as one:
        (folder / f"session-{one.process.pid}").symlink_to(elsewhere)
        for remote in connect(one):
            remote.upload(bytearray(b"1"), "one.bin")
    assert not (folder / f"session-{gone}").exists()
    for path in (elsewhere, folder / f"session-{gone}-notes", folder / "session-x"):
        assert [file.name for file in path.iterdir()] == ["file"]


def test_usual_folder_has_to_be_the_users_own(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "fleetpose-agent").symlink_to(tmp_path / "elsewhere")
    command = [str(agent_program()), "--tracker", "127.0.0.1:1", "--key", "k", "--give-up-secs", "1"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "fleetpose-agent is no folder of this user's; name one: --folder DIR" in done.stderr
    (tmp_path / "fleetpose-agent").unlink()
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert (tmp_path / "fleetpose-agent").is_dir()


@pytest.mark.parametrize(("texel", "lanes"), [((1 << 62) + 1, 4), (2, 1), (-4, 1)])
def test_textures_of_no_texel_are_refused(remote, texel, lanes):
    dtype = f"float32x{lanes}" if lanes > 1 else "float32"
    with pytest.raises(Exception, match=r"one texel of 4 channels|not supported"):
        tvm.runtime.empty((2, texel), dtype, remote.cl(), mem_scope="global.texture")


@pytest.mark.slow
def test_each_call_of_the_driver_fails_once_and_the_next_try_is_right(agent, tmp_path, monkeypatch):
    """A part of what a call makes may stay, and the next call makes the rest."""
    monkeypatch.setenv("FLEETPOSE_LIBOPENCL", str(Runner(tmp_path).layer))
    assert sum(is_refused(agent, tmp_path / "work", monkeypatch, number) for number in range(1, 40)) > 10


def test_times_that_run_backwards_are_refused(agent, tmp_path, monkeypatch):
    monkeypatch.setenv("FLEETPOSE_LIBOPENCL", str(Runner(tmp_path).layer))
    monkeypatch.setenv("FAULTS", "backwards")
    with ServingAgent(tmp_path / "work", "backwards", tracker=agent.tracker) as serving:
        for remote in connect(serving, "backwards"):
            machine = VirtualMachine(load(remote), remote.cl())
            remote.get_function("fleetpose.opencl.profile_start")()
            with pytest.raises(Exception, match="ended before it started"):
                measure_launches(remote, machine)
            assert_right(remote, machine)


def measure_launches(remote, machine) -> str:
    assert_right(remote, machine)
    return remote.get_function("fleetpose.opencl.profile_stop")()


def is_refused(agent, folder, monkeypatch, number: int) -> bool:
    """Whether a session is told that its driver refused that call; the second try is right then."""
    monkeypatch.setenv("FAIL_CALL", str(number))
    machine = None
    with ServingAgent(folder, "refusing", tracker=agent.tracker) as refusing:
        for remote in connect(refusing, "refusing"):
            try:
                machine = VirtualMachine(load(remote), remote.cl())
                assert_right(remote, machine)
            except RuntimeError as error:
                assert "CL_OUT_OF" in str(error)  # noqa: PT017 - or nothing was refused
            else:
                return False
            assert_right(remote, machine or VirtualMachine(load(remote), remote.cl()))
    gc.collect()  # errors hold sessions in circles, of which TVM counts 32 at most
    return True
