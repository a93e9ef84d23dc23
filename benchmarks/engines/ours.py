"""This project: the deployable shared object over loopback RPC on this machine's OpenCL."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.engines.job import EngineJob, PreparedEngine
from codegen.artifact.loaded import Artifact
from codegen.building.build import build
from codegen.building.target import BuildTarget
from codegen.building.traced import trace_network
from devices.timers import TimedCall


def prepare(job: EngineJob) -> PreparedEngine:
    """Build for the session's device at the job's input size, and load it there.

    Timed from the first launch until the queue is empty, by the serving process; the input is on the device.
    """
    height, width = job.tensor.shape[2:]
    with tempfile.TemporaryDirectory(prefix="fleetpose-bench-") as folder:
        path = Path(folder) / "network.so"
        network = trace_network(job.model, sizes=[(height, width)])
        if job.plan:
            network = network.under(job.plan, prune=True)
        build(network, BuildTarget.of(job.session)).write(path)
        artifact = Artifact(path, job.session)
    return PreparedEngine(
        TimedCall(**artifact.call_arguments(job.tensor)), lambda: list(artifact.run(job.tensor).values())
    )
