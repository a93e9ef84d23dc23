"""Job: what every stage of an optimization works on: the request, the device, the traced network, the files' names."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from codegen.artifact.loaded import Artifact
from codegen.lowering.hosts import artifact_suffix, host_for
from codegen.lowering.sizes import trace_sizes
from codegen.precision.choice import Widening
from codegen.tuning.database import Tuned
from devices.profile import Profile
from devices.session import Session
from devices.timing.measure import device_of
from fleetpose.files import sha256
from latency.optimize.request import Request
from latency.profiling.interleaved_run import RunSettings
from latency.profiling.prepare import Recipe
from latency.profiling.reference_kernel import Patience
from models.graph.network import Graph
from models.plans.plan import Plan
from models.resolve import create_model
from models.zoo.weights import weights_digest

#: told what is being done, and how much of how much is done where that is known

WIDENING, TUNED, RECORDS = "widening.json", "tuned.jsonl", "timings.jsonl"
PREDICTOR, FITTED, PLAN = "model.predictor", "fit.json", "plan.json"
PRUNED, DENSE_SO, SPARSE_SO = "pruned.safetensors", "dense.so", "pose.so"
VERIFIED, PEOPLE, RUN, COMPARED, ACCURACY = "verify.json", "people.png", "run.json", "compare.json", "accuracy.json"
RESULT, SENSITIVITY, LOSSES = "result.json", "sensitivity.json", "losses.json"
#: files of the folder of a frontier that its points share
SHARED = (WIDENING, TUNED, RECORDS, PREDICTOR, FITTED, SENSITIVITY, LOSSES, DENSE_SO)


class Lease:
    """The device, opened when it is first asked for and again after it was given back.

    Args:
        opened: opens a session that this lease closes.
        session: an open session of the caller's, who closes it, instead.
    """

    def __init__(self, opened: Callable[[], Session] | None = None, session: Session | None = None) -> None:
        self._opened, self._session, self._owned = opened, session, session is None

    @property
    def session(self) -> Session:
        """The open session. Raises DeviceUnreachable."""
        if self._session is None:
            assert self._opened is not None
            self._session = self._opened()
        elif not self._session.alive():
            self._session.reconnect()
        return self._session

    def give_back(self) -> None:
        """Let others have the device while it is not needed."""
        if self._owned and self._session is not None:
            self._session.close()
            self._session = None


@dataclass
class Job:
    """One optimization.

    Attributes:
        request: what is asked for.
        lease: the device.
        deadline: of the stage at hand, on `time.monotonic`; None: it has no end.
        stages: (name, result in words, seconds) of the stages before it.
        shared: the folder that has the files SHARED, of a point of a frontier; None: its own.
        dense_evaluations: of the dense network by COCO folder, so that points of a frontier evaluate it once.
    """

    request: Request
    lease: Lease
    deadline: float | None = None
    stages: list[tuple[str, str, float]] = field(default_factory=list)
    shared: Path | None = None
    dense_evaluations: dict[Path, Any] = field(default_factory=dict)
    _recipe: tuple[str, Recipe] | None = None
    _graph: tuple[str, Graph] | None = None
    _loaded: dict[Path, tuple[tuple[Any, ...], Artifact]] = field(default_factory=dict)

    def path(self, name: str) -> Path:
        """A file of the folder, or of the one that is shared."""
        folder = self.shared if self.shared is not None and name in SHARED else self.request.folder
        return folder / self.file_name(name)

    def file_name(self, name: str) -> str:
        """What a file is called here: artifacts are packages for a device that loads nothing else."""
        path = Path(name)
        return str(path.with_suffix(artifact_suffix(self.host))) if path.name in (DENSE_SO, SPARSE_SO) else name

    @cached_property
    def device(self) -> dict[str, Any]:
        """What the device says of itself."""
        return device_of(self.lease.session)

    @cached_property
    def profile(self) -> Profile:
        """The device's profile. Raises UsageError where the device does not compute in what is asked for."""
        profile = self.lease.session.profile
        profile.lanes_of(self.request.dtype)
        return profile

    @cached_property
    def host(self) -> str:
        """The processor that serves the device."""
        return host_for(self.profile, self.lease.session, self.request.host)

    @property
    def graph(self) -> Graph:
        """The traced network, and what of its layers is float32, once that is known; one value while it stays so."""
        if not self.path(WIDENING).exists():
            return self.traced
        digest = sha256(self.path(WIDENING))
        if self._graph is None or self._graph[0] != digest:
            choice = Widening.load(self.path(WIDENING), self.traced.name)
            self._graph = digest, choice.on(self.traced)
        return self._graph[1]

    @cached_property
    def traced(self) -> Graph:
        """The network at the input size that is served, with the weights it is given."""
        request = self.request
        return trace_sizes(request.model, request.weights, request.seed, [request.input_size])[0]

    @property
    def weights_identity(self) -> str:
        """Digest of the weights, a file's or those that the network brings; "" of random ones, which the seed tells."""
        path = self.request.weights
        return self.own_weights or (sha256(path) if path is not None else "")

    @cached_property
    def own_weights(self) -> str | None:
        """Digest of the weights that a network from outside the registry brings; None where a file has them."""
        request = self.request
        if not request.spec.own_weights or request.weights is not None:
            return None
        return weights_digest(create_model(request.model, None, request.seed))

    @property
    def plan(self) -> Plan:
        """The plan, once it is decided."""
        return Plan.load(self.path(PLAN))

    @property
    def settings(self) -> RunSettings:
        """How layers are timed."""
        request = self.request
        patience = Patience(wait_secs=request.wait_secs, cooling=request.cooling)
        return RunSettings(request.rounds, seed=request.seed, patience=patience, host=self.host)

    def recipe(self) -> Recipe:
        """How layers are compiled: by the tuned data of the folder; one recipe as long as these stay the same."""
        digest = sha256(self.path(TUNED))
        if self._recipe is None or self._recipe[0] != digest:
            tuned = Tuned.load(self.path(TUNED).absolute())
            names = tuple(self.request.spec.outputs)
            self._recipe = digest, Recipe(self.profile, tuned.choice, self.request.seed, self.host, output_names=names)
        return self._recipe[1]

    def artifact(self, name: str) -> Artifact:
        """An artifact of the folder on the device: sent there once, as long as file and connection stay the same."""
        path, session = self.path(name), self.lease.session
        facts = path.stat()
        state = (facts.st_mtime_ns, facts.st_size, session.remote)
        if path not in self._loaded or self._loaded[path][0] != state:
            self._loaded[path] = state, Artifact(path, session)
        return self._loaded[path][1]

    def unload(self) -> None:
        """Let the device have the memory of its artifacts back."""
        self._loaded.clear()

    def secs_left(self) -> float | None:
        """Until the deadline; None: no end."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def digests(self, *names: str) -> dict[str, str]:
        """SHA-256 of files of the folder, by name."""
        return {name: sha256(self.path(name)) for name in names}

    def about(self) -> dict[str, Any]:
        """What every stage on the device depends on."""
        request, device = self.request, self.device
        named = {name: device.get(name, "") for name in ("profile", "name", "driver")}
        network = {"model": request.model, "structure": self.traced.structure, "own_weights": self.own_weights}
        return {
            **network,
            "size": list(request.input_size),
            "dtype": request.dtype,
            "host": self.host,
            "device": named,
        }
