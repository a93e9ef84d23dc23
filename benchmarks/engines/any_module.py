"""A torch module of whatever kind, built by this project and loaded on the session's device."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import nn

from benchmarks.engines.job import EngineJob, PreparedEngine
from codegen.artifact.loaded import Artifact
from codegen.building.build import build
from codegen.building.target import BuildTarget
from codegen.building.traced import TracedNetwork, weights_facts
from devices.session import Session
from devices.timers import TimedCall
from models.frontend.trace import trace
from models.preprocess import Preprocessing
from models.zoo.described import complete
from models.zoo.outputs import look_at_outputs


def traced_module(name: str, module: nn.Module, shape: tuple[int, int, int]) -> TracedNetwork:
    """A module and its graph at one input shape (C, H, W), as the builder takes it."""
    said = {"preprocessing": Preprocessing((0.0, 0.0, 0.0), 1.0)}
    outputs = look_at_outputs(module, shape[1:], name, shape[0])
    spec = replace(complete(name, lambda: module, said, shape[1:], outputs), channels=shape[0])
    return TracedNetwork(spec, [trace(module, shape, name)], weights_facts(spec, None, 0))


def load_network(network: TracedNetwork, session: Session) -> Artifact:
    """Build a network for the session's device, in a folder that is gone afterwards, and load it there."""
    with tempfile.TemporaryDirectory(prefix="fleetpose-bench-") as folder:
        path = Path(folder) / "network.so"
        build(network, BuildTarget.of(session)).write(path)
        return Artifact(path, session)


def call_of(artifact: Artifact, x: np.ndarray) -> TimedCall:
    """One inference, its input on the device, from the first launch until the queue is empty."""
    return TimedCall(**artifact.call_arguments(x))


def prepare(job: EngineJob) -> PreparedEngine:
    """As an engine of `benchmarks.engines`, for modules that are not registered."""
    artifact = load_network(traced_module(job.model, job.network, job.tensor.shape[1:]), job.session)
    return PreparedEngine(call_of(artifact, job.tensor), lambda: list(artifact.run(job.tensor).values()))
