"""Forecast: what each layer of a network is predicted to take under the schedule it would be built with, and the sum.

A network's time is that of every kernel it launches: its layers', the members of joins that are copied, and the copies
between the user's tensors and planes at its ends. There is one layout in between, so a layer made sparse costs its
neighbours nothing. This module predicts; `latency.decide` chooses.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from codegen.kernels.choice import ScheduleChoice
from codegen.kernels.workload import Workload
from codegen.lowering.network import Options, lower_network
from codegen.tuning.database import load_tuned
from codegen.tuning.tasks import GBYTES_PER_SEC
from devices.profile import ITEM_BYTES, Profile, load_profile
from fleetpose.errors import UsageError
from latency.cost_model.intervals.pair_spread import PredictedKernel, fastest_kernel
from latency.cost_model.predictor import Prediction, Predictor
from latency.dataset.candidates import of_workload
from latency.dataset.runtimes import kernel_class
from latency.dataset.sample import OWN, Sample
from latency.dataset.tvm_kernels import TVM, WINOGRAD_GRIDS
from latency.network_model.totals import Part, Total, total
from latency.profiling.prepare import Choose, Recipe
from latency.profiling.space import Group, network_workloads
from models.graph.layer import Layer, Shape
from models.graph.network import Graph
from models.plans.log_spread import LogSpread
from models.plans.sparsity import Sparsity

#: the copies at a network's ends are no layers and are not fitted: they are taken to move at the device's memory rate,
#: give or take this factor
COPY_FACTOR = 2.0


@dataclass(frozen=True)
class PredictedStep:
    """One layer of a network with its predicted time.

    Attributes:
        layer, op: its name and operation; "input" and "output N" for the copies at the ends.
        kernel: the schedule and its configuration, for people: "winograd F8V2"; the class of a foreign runtime's.
        sparsity: None is dense.
        prediction: milliseconds of all its kernels, interval, doubts.
        launches: kernels it launches; of a network on a GPU 0 of a layer that runs in another one's launches.
        written: elements it writes.
        key: equal where the same kernels run the same workload.
        kernel_class: class of the kernel, as `Sample.kernel`; "" of copies.
        likely: probability that the kernel is faster than those it was chosen among by prediction; None where none was.
    """

    layer: str
    op: str
    kernel: str
    sparsity: Sparsity | None
    prediction: Prediction
    launches: int
    written: int
    key: Hashable
    kernel_class: str = ""
    likely: float | None = None

    @property
    def part(self) -> Part:
        """As part of a network's total."""
        time = self.prediction
        return Part(time.ms, time.low, time.high, self.launches, self.written, self.key)


class Forecaster:
    """A predictor asked about our own kernels, each workload once.

    Args:
        predictor: fitted on our own records.
        profile: the device's.
        choose: the schedule of a workload, such as `codegen.tuning.database.Tuned.choice`.
        dtype: element type of activations and weights.
    """

    def __init__(self, predictor: Predictor, profile: Profile, choose: Choose, dtype: str = "float32") -> None:
        profile.lanes_of(dtype)  # refuse a type that the device does not have
        self.predictor, self.profile, self.dtype = predictor, profile, dtype
        self.recipe = Recipe(profile, choose)
        self._known: dict[Workload, tuple[ScheduleChoice, Sample, Prediction] | None] = {}

    def learn(self, workloads: Iterable[Workload]) -> None:
        """Predict all of these at one go, which is quicker than one by one."""
        fresh = [workload for workload in dict.fromkeys(workloads) if workload not in self._known]
        kernels: list[tuple[Workload, ScheduleChoice, Sample]] = []
        for workload in fresh:
            self._known[workload] = None
            for variant, choice in self.recipe.choices(Group(workload, (workload.sparsity,))):
                kernels.append((workload, choice, of_workload(variant, choice, self.profile.name)))
        predictions = self.predictor.predict([sample for *_, sample in kernels])
        for (workload, choice, sample), prediction in zip(kernels, predictions, strict=True):
            self._known[workload] = (choice, sample, prediction)

    def step(self, name: str, workload: Workload) -> PredictedStep | None:
        """A layer's predicted time; None where no schedule runs it."""
        self.learn([workload])
        known = self._known[workload]
        if known is None:
            return None
        choice, sample, prediction = known
        layer = workload.layer
        return PredictedStep(
            name, layer.op, str(choice), workload.sparsity, prediction, sample.grids, prod(layer.out_shape), workload,
            sample.kernel,
        )  # fmt: skip

    def spread_between(self, step: PredictedStep, other: PredictedStep) -> LogSpread | None:
        """What the logarithm of the ratio of two ways to compute a layer may be off by; None where the predictor knows
        of single times only."""
        spreads = self.predictor.pair_spread
        outside = max(step.prediction.outside, other.prediction.outside)
        return None if spreads is None else spreads.of(step.kernel_class, other.kernel_class, outside)

    def steps(self, graph: Graph, sparsities: Mapping[str, Sparsity] | None = None) -> list[PredictedStep]:
        """Every layer of a network in launch order, the copies at its ends included.

        Args:
            sparsities: of the layers that are not dense, by name.

        Raises:
            UsageError: a layer that no schedule runs.
        """
        chosen = sparsities or {}
        workloads = [
            (name, replace(workload, sparsity=chosen.get(name)))
            for name, workload in network_workloads(graph, self.profile, self.dtype)
        ]
        self.learn(workload for _, workload in workloads)
        steps = [self.copy("input", graph.input_shape)]
        for name, workload in workloads:
            step = self.step(name, workload)
            if step is None:
                raise UsageError(f"layer {name}: no schedule runs {workload.label} on {self.profile.name}")
            steps.append(step)
        return steps + [self.copy(f"output {number}", graph.shape(name)) for number, name in enumerate(graph.outputs)]

    def copy(self, name: str, shape: Shape) -> PredictedStep:
        """The copy of a tensor at the network's input or outputs, at the device's memory rate."""
        elements = prod(shape)
        moved = elements * (ITEM_BYTES["float32"] + ITEM_BYTES[self.dtype])
        ms = 1e-6 * moved / (self.profile.peak_gbytes_per_sec or GBYTES_PER_SEC)
        kind = "import" if name == "input" else "export"
        prediction = Prediction(ms, ms / COPY_FACTOR, ms * COPY_FACTOR)
        return PredictedStep(name, kind, kind, None, prediction, 1, elements, (kind, shape))

    def network(self, graph: Graph, sparsities: Mapping[str, Sparsity] | None = None) -> list[PredictedStep]:
        """As `steps`, each with the launches that a build of the whole network makes for it: on a GPU layers share
        launches, and hand each other work. Their times add up as before."""
        steps = self.steps(graph, sparsities)
        if self.profile.gpu == "cpu":
            return steps
        launches = self._launches(graph, sparsities or {})
        # copies into a join bear its name, and so does what is left of it: the first step of a name has them all
        return [replace(step, launches=launches.pop(step.layer, 0)) for step in steps]

    def _launches(self, graph: Graph, sparsities: Mapping[str, Sparsity]) -> dict[str, int]:
        """Kernels launched for each layer of a network as it is built, by name; 0 of one in another's launches."""
        options = Options(self.dtype, sparsities, self.recipe.choose)
        launches: dict[str, int] = {}
        for code in lower_network([graph], self.profile, options).entries[0].layers:
            name = code.layer.removesuffix(" (unpack)").removesuffix(" (pack)")
            launches[name] = launches.get(name, 0) + (0 if code.with_previous else len(code.kernels))
        return launches

    def total(self, steps: Sequence[PredictedStep]) -> Total:
        """The whole network's time."""
        return total([step.part for step in steps], self.predictor.calibration)


def predict_network(
    graph: Graph,
    predictor: Predictor,
    sparsities: dict[str, Sparsity] | None = None,
    profile: str | None = None,
    tuned: str | None = None,
    dtype: str = "float32",
) -> tuple[list[PredictedStep], Total]:
    """Every layer of a network with its predicted time, and the whole.

    Args:
        sparsities: of the layers that are not dense, by name.
        profile: profile name or file, where the predictor's own is not by name; must be the same.
        tuned: tuned data to choose schedules by, or "none"; by default the profile's own.

    Raises:
        UsageError: a predictor of a foreign runtime asked about zeros, which it knows nothing of; a layer that no
            schedule runs; another profile; a type that the device does not have.
    """
    if not is_own(predictor):
        if sparsities:
            raise UsageError(f"the predictor is of {runtime_of(predictor)}, which makes no use of zeros")
        steps = foreign_steps(predictor, graph, dtype)
        return steps, total([step.part for step in steps], predictor.calibration)
    device = profile_of(predictor, profile)
    forecaster = Forecaster(predictor, device, load_tuned(device, tuned).choice, dtype)
    steps = forecaster.network(graph, sparsities)
    return steps, forecaster.total(steps)


def profile_of(predictor: Predictor, flag: str | None = None) -> Profile:
    """The profile of a predictor's device: its own by name, or the --profile flag's, which has to be the same.

    Raises UsageError for a predictor of another runtime's kernels, and for a profile of another name.
    """
    name = predictor.hardware.profile
    if not is_own(predictor) or not name:
        raise UsageError(
            f"the predictor is of {runtime_of(predictor)}, not of this project's kernels; "
            f"time these with latency.collect and fit to them"
        )
    profile = load_profile(flag or name)
    if profile.name != name:
        raise UsageError(f"the predictor is of profile {name!r}, not of {profile.name!r}")
    return profile


def is_own(predictor: Predictor) -> bool:
    """Whether a predictor is of our own kernels."""
    return predictor.metadata.get("framework", OWN) == OWN


def runtime_of(predictor: Predictor) -> str:
    """Whose kernels a predictor is of, for people."""
    about = predictor.metadata
    return f"{about.get('framework', OWN)} on {about.get('gpu') or about.get('device') or 'an unnamed device'}"


def foreign_steps(predictor: Predictor, graph: Graph, dtype: str = "float32") -> list[PredictedStep]:
    """Every layer of a dense network as a foreign runtime would run it, by a predictor of that runtime.

    Args:
        dtype: of TVM's kernels; tables of other runtimes do not say theirs.
    """
    layers = [layer for layer in graph.layers if layer.op != "constant"]
    options = [_foreign_samples(layer, predictor, dtype) for layer in layers]
    predictions = iter(predictor.predict([sample for samples in options for sample in samples]))
    steps = []
    for layer, samples in zip(layers, options, strict=True):
        times = [next(predictions) for _ in samples]
        kernels = [PredictedKernel(*pair, pair[1].outside) for pair in zip(samples, times, strict=True)]
        best, likely = fastest_kernel(predictor.pair_spread, kernels)
        kernel, written = samples[best].kernel, prod(layer.out_shape)
        step = PredictedStep(layer.name, layer.op, kernel, None, times[best], 1, written, samples[best].key)
        steps.append(replace(step, kernel_class=kernel, likely=likely))
    return steps


def _foreign_samples(layer: Layer, predictor: Predictor, dtype: str) -> list[Sample]:
    """A layer under each kernel that the runtime would choose among, or has chosen by its published rules."""
    framework, gpu = predictor.metadata["framework"], predictor.metadata.get("gpu", "")
    usual = Sample(layer.blank, kernel_class(layer, framework, gpu), framework=framework, gpu=gpu)
    if framework != TVM:
        return [usual]
    direct = replace(usual, dtype=dtype, _keys={})
    if not layer.winograd_legal:
        return [direct]
    return [direct, replace(direct, kernel="winograd4", grids=WINOGRAD_GRIDS, _keys={})]


def uniform(graph: Graph, sparsity: Sparsity) -> dict[str, Sparsity]:
    """One sparsity for every convolution that can have it. Raises UsageError where none can."""
    sparsities = {layer.name: sparsity for layer in graph.layers if sparsity.applies_to(layer) is None}
    if not sparsities:
        raise UsageError(f"no convolution of {graph.name} can be {sparsity}")
    return sparsities
