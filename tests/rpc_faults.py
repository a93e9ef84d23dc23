"""Whole sessions over a network with one fault each, drawn by a seed, and what comes of them.

    python -m tests.rpc_faults --runs 300 --seed 0        # counts by kind and outcome

It holds where the result is right, or the error is DeviceUnreachable; anything else is a finding.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from devices.diagnosis import small_kernel
from devices.rpc import connection, tracker
from devices.rpc.connection import RpcConnection, run_within
from devices.rpc.loopback import KEY, Loopback
from devices.rpc_session import RpcSession
from fleetpose.errors import DeviceUnreachable
from tests.agent_serving import ServingAgent
from tests.faulty_network import DOWN, KINDS, UP, Fault, FaultyNetwork

STEPS = ("connect", "upload", "load", "run", "fetch")
HANG_SECS = 60.0
OPEN_SECS = 20.0
SHORT_LIMITS = "connect=2,handshake=2,answer=1,load=2,call=2,close=1"
TENSOR_BYTES = 1 << 18


class OfferedAgent(ServingAgent):
    """An agent under the key of a loopback pair."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, KEY)
        self.address = self.tracker

    def close(self) -> None:
        self.kill()


class Conversation:
    """Whole sessions with one device, each of them through networks of its own."""

    def __init__(self, folder: Path, agent: bool = False) -> None:
        """Args:
        agent: the device is behind the agent, not behind a server of `devices`.
        """
        self.pair = OfferedAgent(folder / "agent") if agent else Loopback()
        self.kernel = small_kernel.build(folder / f"small{'.fpk' if agent else '.so'}")

    def session(self, tracking: FaultyNetwork, serving: list[FaultyNetwork], fault: Fault | None) -> RpcSession:
        def connect() -> RpcConnection:
            server, match_key = tracker.request(tracker.Address(*tracking.address), KEY, OPEN_SECS)
            serving.append(FaultyNetwork(server, fault))
            return RpcConnection(tracker.Address(*serving[-1].address), match_key, OPEN_SECS)

        return RpcSession("rpc:faulty", connect, None)

    def hold(self, fault: Fault | None, on_tracker: bool = False) -> tuple[str, dict[str, dict[str, int]]]:
        """One session: "right", "wrong" or "unreachable: ...", and how many bytes had passed after each step."""
        import tvm

        marks: dict[str, dict[str, int]] = {}
        serving: list[FaultyNetwork] = []
        with contextlib.ExitStack() as stack:
            tracking = stack.enter_context(FaultyNetwork(self.pair.address, fault if on_tracker else None))
            stack.callback(lambda: [one.close() for one in serving])

            def mark(step: str) -> None:
                marks[step] = (tracking if on_tracker else serving[0]).passed

            try:
                with self.session(tracking, serving, None if on_tracker else fault) as session:
                    mark("connect")
                    with session.guard("uploading"):
                        session.remote.upload(bytearray(self.kernel.read_bytes()), f"again{self.kernel.suffix}")
                    mark("upload")
                    module = session.load(self.kernel)
                    mark("load")
                    with session.guard("running"):
                        error = small_kernel.error_on(session, module)
                    mark("run")
                    given = np.arange(TENSOR_BYTES // 4, dtype=np.float32)
                    with session.guard("fetching"):
                        fetched = tvm.runtime.tensor(given, device=session.device).numpy()
                    mark("fetch")
                    return ("right" if error == 0 and (fetched == given).all() else "wrong"), marks
            except DeviceUnreachable as gone:
                return f"unreachable: {gone}", marks

    def close(self) -> None:
        self.pair.close()


def choose(seed: int, marks: dict[str, dict[str, int]], tracker_bytes: dict[str, int]) -> tuple[Fault, bool, str]:
    """A fault by seed: a kind, a step, a direction and a byte of these; whether it is on the way to the tracker."""
    draw = random.Random(seed)
    kind, direction = KINDS[seed % len(KINDS)], draw.choice((UP, DOWN))
    step = draw.choice(("tracker", *STEPS))
    if step == "tracker":
        return Fault(kind, direction, draw.randrange(tracker_bytes[direction])), True, step
    number = STEPS.index(step)
    first = marks[STEPS[number - 1]][direction] if number else 0
    return Fault(kind, direction, draw.randrange(first, marks[step][direction])), False, step


def run_seeds(seeds: Sequence[int], agent: bool = False) -> Iterator[dict[str, object]]:
    """One finding for each seed: its fault, its outcome, and how long that took. agent: as for `Conversation`."""
    os.environ["FLEETPOSE_RPC_LIMITS"] = "answer=20"
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        conversation = Conversation(Path(folder), agent)
        try:
            outcome, marks = conversation.hold(None)  # compiles, too
            assert outcome == "right", outcome
            _, on_tracker = conversation.hold(None, on_tracker=True)
            os.environ["FLEETPOSE_RPC_LIMITS"] = SHORT_LIMITS
            for seed in seeds:
                fault, tracked, step = choose(seed, marks, on_tracker["connect"])
                start = time.monotonic()
                outcome = _outcome(conversation, fault, tracked)
                secs = round(time.monotonic() - start, 2)
                yield {**vars(fault), "seed": seed, "step": step, "outcome": outcome, "secs": secs}
        finally:
            conversation.close()


def _outcome(conversation: Conversation, fault: Fault, tracked: bool) -> str:
    try:
        return run_within(lambda: conversation.hold(fault, tracked)[0], HANG_SECS, "the session")
    except TimeoutError as error:
        return f"hang: {error}"
    except Exception:
        return f"traceback: {traceback.format_exc()}"


def holds(finding: dict[str, object]) -> bool:
    """Whether the outcome is one of the two that are promised."""
    outcome = str(finding["outcome"])
    return outcome == "right" or outcome.startswith("unreachable: ")


def main() -> int:
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--runs", type=int, default=300)
    flags.add_argument("--seed", type=int, default=0, help="the first one")
    flags.add_argument("--plain", action="store_true", help="as with TVM's own servers, which know no checksums")
    flags.add_argument("--agent", action="store_true", help="with the agent in the place of a server of devices")
    flags.add_argument("--json", action="store_true", help="a line for each run")
    arguments = flags.parse_args()
    if arguments.plain:
        connection.CHUNKED = "-unknown=1"
    counts: collections.Counter[tuple[object, str]] = collections.Counter()
    good = True
    for finding in run_seeds(range(arguments.seed, arguments.seed + arguments.runs), arguments.agent):
        held = holds(finding)
        good = good and held
        counts[finding["kind"], str(finding["outcome"]).partition(":")[0]] += 1
        if arguments.json or not held:
            print(json.dumps(finding), flush=True)
    if not arguments.json:
        for (kind, outcome), count in sorted(counts.items(), key=str):
            print(f"{kind:8} {outcome:12} {count}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
