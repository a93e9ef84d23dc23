"""Half an hour of sessions, good and bad ones: memory, descriptors and threads of all processes stay what they were.

FLEETPOSE_SOAK_MINUTES says for how long.
"""

import contextlib
import gc
import os
import random
import socket
import statistics
import time

import numpy as np
import psutil
import pytest
import tvm

from devices.diagnosis import small_kernel
from devices.rpc import tracker
from devices.rpc.connection import RpcConnection
from devices.rpc.limits import VARIABLE
from devices.rpc_session import RpcSession
from fleetpose.errors import DeviceUnreachable
from tests.faulty_network import DOWN, KINDS, UP, Fault, FaultyNetwork
from tests.serving import WAIT_SECS, Serving

SOAK_SECS = 60 * float(os.environ.get("FLEETPOSE_SOAK_MINUTES", "30"))
KEY = "soaked"
PAGES = 24 << 20  # bytes that allocators may keep more of than at the beginning


def measure(processes):
    """Resident bytes, descriptors and threads of each process."""
    return [(one.memory_info().rss, one.num_fds(), one.num_threads()) for one in processes]


class Client:
    """Sessions of every kind with one device."""

    def __init__(self, address, kernel_path):
        self.address, self.kernel_path = address, kernel_path
        self.draw = random.Random(0)
        self.counts = {"right": 0, "unreachable": 0}

    def hold(self, faulty):
        networks = []

        def connect():
            server, match_key = tracker.request(self.address, KEY, WAIT_SECS)
            networks.append(FaultyNetwork(server, self._fault() if faulty else None))
            return RpcConnection(tracker.Address(*networks[-1].address), match_key, WAIT_SECS)

        try:
            with RpcSession(f"rpc:{KEY}", connect, None) as session:
                module = session.load(self.kernel_path)
                given = np.arange(1 << 16, dtype=np.float32)
                with session.guard("running"):
                    assert small_kernel.error_on(session, module) == 0
                    assert (tvm.runtime.tensor(given, device=session.device).numpy() == given).all()
            self.counts["right"] += 1
        except DeviceUnreachable:
            assert faulty
            self.counts["unreachable"] += 1
        finally:
            for network in networks:
                network.close()

    def _fault(self):
        return Fault(self.draw.choice(KINDS), self.draw.choice((UP, DOWN)), self.draw.randrange(20_000))

    def disturb(self):
        """Connections that say nothing or nonsense."""
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for _ in range(20):
                one = stack.enter_context(socket.create_connection(self.address))
                one.sendall(self.draw.randbytes(self.draw.randrange(0, 30)))


@pytest.mark.long
def test_nothing_grows(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, "answer=5,load=20,call=5,close=1")
    with tracker.bind("127.0.0.1", None) as probe:
        address = tracker.Address("127.0.0.1", probe.getsockname()[1])
    serving = Serving("--with-tracker", "--tracker", str(address), "--key", KEY)
    try:
        client = Client(address, small_kernel.build(tmp_path / "small.so"))
        processes = [psutil.Process(), *serving.family()]
        samples = []
        start = time.monotonic()
        while time.monotonic() - start < SOAK_SECS:
            client.hold(faulty=False)
            client.hold(faulty=True)
            client.disturb()
            gc.collect()
            time.sleep(0.1)  # threads that are ending end
            samples.append(measure(processes))
    finally:
        serving.kill()
    quarter = max(len(samples) // 4, 1)
    print(f"{len(samples)} rounds, {client.counts}")
    for number, process in enumerate(("client", "server", "tracker")):
        first, last = (
            [statistics.median(sample[number][part] for sample in part_of) for part in range(3)]
            for part_of in (samples[quarter : 2 * quarter], samples[-quarter:])
        )
        print(f"{process}: bytes, descriptors, threads {first} -> {last}")
        assert last[0] <= first[0] + PAGES
        assert last[1] <= first[1] + 2
        assert last[2] <= first[2] + 2
    assert client.counts["unreachable"] > 0
