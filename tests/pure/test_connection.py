"""Waits that end, tracker addresses, and what is left of TVM's error texts."""

import threading

import pytest

from devices.rpc.connection import reason, run_within
from devices.rpc.tracker import Address, bind
from fleetpose.errors import UsageError


def test_run_within_gives_the_value_or_the_exception():
    assert run_within(lambda: 42, 5.0, "answering") == 42
    with pytest.raises(KeyError, match="lost"):
        run_within(lambda: {}["lost"], 5.0, "looking")


def test_run_within_ends_a_wait():
    with pytest.raises(TimeoutError, match=r"waiting took more than 0\.05 s"):
        run_within(threading.Event().wait, 0.05, "waiting")


def test_reason_leaves_what_matters():
    text = (
        "RPCError: Error caught from RPC call:\nCL_BUILD_PROGRAM_FAILURE in kernel k\n  line 3: unknown type\n\n"
        "/project/src/runtime/rpc/rpc_endpoint.cc:478: RPCError"
    )
    assert reason(RuntimeError(text)) == "CL_BUILD_PROGRAM_FAILURE in kernel k\n  line 3: unknown type"
    assert reason(RuntimeError(text), lines=1) == "CL_BUILD_PROGRAM_FAILURE in kernel k"
    assert reason(ValueError()) == "ValueError"


def test_address_is_host_and_port():
    assert Address.parse("10.0.0.7:9190") == ("10.0.0.7", 9190)
    assert str(Address("phone", 1)) == "phone:1"


@pytest.mark.parametrize("text", ["", "host", "host:", ":1", "host:port", "host:0", "host:65536", "host:-1"])
def test_address_refuses_other_texts(text):
    with pytest.raises(UsageError, match="is not HOST:PORT"):
        Address.parse(text)


@pytest.mark.parametrize(
    ("host", "port", "expected"), [(None, None, None), ("h", None, ("h", 9190)), ("h", "7", ("h", 7))]
)
def test_the_trackers_address_from_the_environment(monkeypatch, host, port, expected):
    for name, value in (("TVM_TRACKER_HOST", host), ("TVM_TRACKER_PORT", port)):
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    assert Address.from_environment() == expected


def test_a_free_port_is_never_given_twice():
    held = [bind("127.0.0.1", None) for _ in range(20)]
    ports = {one.getsockname()[1] for one in held}
    for one in held:
        one.close()
    assert len(ports) == 20
