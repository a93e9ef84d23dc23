"""The script for Termux: the agent in it, started as a person would, and offered at the tracker that it names."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from devices.rpc import tracker
from devices.rpc.tracker import Address
from devices.rpc.tracker_service import serve_tracker
from fleetpose import cli
from tests.agent_serving import agent_program


def run_command(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "devices.android", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_script_offers_the_phone_at_the_tracker(tmp_path):
    listening = tracker.bind("127.0.0.1", None)
    address = Address("127.0.0.1", listening.getsockname()[1])
    threading.Thread(target=serve_tracker, args=(listening,), daemon=True).start()
    agent, script = agent_program(), tmp_path / "pixel.sh"
    flags = ("--tracker", address, "--key", "pixel", "--agent", agent, "-o", script)
    done = run_command("termux", *flags)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"export TVM_TRACKER_HOST=127.0.0.1 TVM_TRACKER_PORT={address.port}" in done.stdout
    assert run_command("termux", *flags).returncode == 2
    home = tmp_path / "home"
    home.mkdir()
    environment = {**os.environ, "HOME": str(home)}
    process = subprocess.Popen(["sh", script.name], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    try:
        while "pixel" not in [key for key, _ in tracker.servers(address)]:
            assert process.poll() is None
            time.sleep(0.05)
        assert (home / "fleetpose" / "fleetpose-agent").read_bytes() == agent.read_bytes()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def test_script_needs_an_address_in_numbers(capsys):
    from devices.android.__main__ import main, make_parser

    words = ["termux", "--tracker", "laptop:9190", "-o", "x.sh"]
    assert cli.run(main, make_parser(), words) == 2
    assert "give the address as numbers" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["two words", "a:b", "ü", 'a"b', "a\\b", "k" * 64, ""])
@pytest.mark.parametrize("verb", ["termux", "setup"])
def test_keys_that_the_agent_would_refuse_are_refused_before(capsys, verb, key):
    from devices.android.__main__ import main, make_parser

    words = [verb, "--key", key, *(("--tracker", "10.0.0.1:9190", "-o", "x.sh") if verb == "termux" else ())]
    assert cli.run(main, make_parser(), words) == 2
    assert "must be one word" in capsys.readouterr().err
