"""The agent's folder of compiled kernels within its limit, with the agent's sessions as they are."""

import os
import re
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tvm
import tvm.rpc
from tvm.runtime.vm import VirtualMachine

from tests.agent_serving import ServingAgent
from tests.runtime_c.running import expected_values
from tests.runtime_c.tiny_package import doubling_package

PAGE, PAGES = 4096, 16
ENTRY, SHAPE = "run_4x8", (1, 1, 4, 8)
OLD_SECS = 1_000_000_000
GONE_PROCESS = 2**22 + 1  # no process has that number


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The folder, of 16 pages at most."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.delenv("FLEETPOSE_CACHE", raising=False)
    monkeypatch.setenv("FLEETPOSE_CACHE_DIR", str(folder))
    monkeypatch.setenv("FLEETPOSE_CACHE_BYTES", str(PAGES * PAGE))
    return folder


def kept(folder):
    """The cache's own files; one may go while they are listed."""
    return [path for path in folder.iterdir() if re.fullmatch(r"kernel-[0-9a-f]{40}\.bin", path.name)]


def pages(folder):
    return sum(-(-path.stat().st_size // PAGE) for path in kept(folder))


def run_packages(agent, key, numbers):
    """Run packages, whose kernels differ by a number, in one session of the agent."""
    session = tvm.rpc.connect_tracker(*agent.tracker).request(key, session_timeout=600)
    try:
        for number in numbers:
            body = f"(__global const float* x, __global float* y) {{ y[INDEX] = x[INDEX] * 2; /* {key} {number} */ }}\n"
            session.upload(bytearray(doubling_package(bodies={"twice": body}).to_bytes()), "doubling.fpk")
            machine = VirtualMachine(session.load_module("doubling.fpk"), session.cl())
            given = (np.arange(32, dtype=np.float32) / 8).reshape(SHAPE)
            machine.set_input(ENTRY, tvm.runtime.tensor(given, session.cl()))
            machine.invoke_stateful(ENTRY)
            assert machine.get_outputs(ENTRY).numpy().ravel().tolist() == expected_values()
    finally:
        session.get_function("CloseRPCConnection")()


def test_oldest_used_kernels_go_and_nothing_else(cache, tmp_path):
    mine = [cache / f"kernel-{number:040x}.bin" for number in range(2 * PAGES)]
    for number, path in enumerate(reversed(mine)):
        path.write_bytes(bytes(100))
        os.utime(path, (OLD_SECS + number, OLD_SECS + number))
    others = ["kernel-notes.bin", f"kernel-{'A' * 40}.bin", f"kernel-{1:041x}.bin", f"kernel-{1:040x}.bin.txt",
              f"kernel-{1:040x}.bin.{os.getpid()}-7ffe", "large"]  # fmt: skip
    for name in others:
        (cache / name).write_bytes(bytes(PAGES * PAGE))
        os.utime(cache / name, (OLD_SECS, OLD_SECS))
    (cache / f"kernel-{'f' * 40}.bin").symlink_to(tmp_path)
    (cache / f"kernel-{2:040x}.bin.{GONE_PROCESS}-7ffe").write_bytes(bytes(PAGE))
    with ServingAgent(tmp_path / "work") as agent:
        run_packages(agent, "bench", [1])
    written = {path for path in kept(cache) if path not in mine and not path.is_symlink()}
    assert written, "what was just compiled stays"
    left = [path for path in mine if path.exists()]
    assert PAGES // 2 <= len(left) <= PAGES - len(written)
    assert left == mine[: len(left)], "those that were used last"
    names = {path.name for path in cache.iterdir()} - {path.name for path in (*mine, *written)}
    assert names == {*others, f"kernel-{'f' * 40}.bin"}
    assert "used longest ago, are removed: 0 MiB are kept" in agent.log.read_text()


def test_kernels_that_are_used_again_are_young(cache, tmp_path):
    with ServingAgent(tmp_path / "work") as agent:
        for _ in range(3):  # noted, kept (unless the driver keeps them itself), used
            before = time.time() - 1
            run_packages(agent, "bench", [1])
            assert kept(cache)
            assert all(path.stat().st_mtime > before for path in kept(cache))
            for path in kept(cache):
                os.utime(path, (OLD_SECS, OLD_SECS))


def test_several_sessions_keep_the_limit_together(cache, tmp_path):
    with ServingAgent(tmp_path / "one", "one") as first, ServingAgent(tmp_path / "two", "two") as second:
        with ThreadPoolExecutor(2) as pool:
            runs = [
                pool.submit(run_packages, agent, key, range(20)) for agent, key in ((first, "one"), (second, "two"))
            ]
            for run in runs:
                run.result()
        run_packages(first, "one", range(40, 44))
    assert PAGES // 2 <= pages(cache) <= PAGES + 2 * PAGES // 8


@pytest.mark.parametrize("text", ["", "256 MiB", "-1", "9" * 30])
def test_limit_that_is_no_number_is_the_usual_one(cache, tmp_path, monkeypatch, text):
    monkeypatch.setenv("FLEETPOSE_CACHE_BYTES", text)
    for number in range(2 * PAGES):
        (cache / f"kernel-{number:040x}.bin").write_bytes(b"1")
    with ServingAgent(tmp_path / "work") as agent:
        run_packages(agent, "bench", [1])
    assert len(kept(cache)) > 2 * PAGES
    assert ("is no number of bytes; 256 MiB are kept" in agent.log.read_text()) == (text != "")
