"""Readers of files from elsewhere that need no torch: whole samples, how they are changed, and the reading.

Annotations, tables, pictures and videos are in tests/fuzz/data_readers.py.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from codegen.artifact.manifest import FORMAT as MANIFEST
from codegen.artifact.manifest import Manifest
from codegen.artifact.reading import check_consistency, read_manifest
from codegen.precision.choice import LayerPrecision, Widening, widen
from codegen.tuning.database import Tuned, tuned_path
from devices.profile import PROFILE_DIR, load_profile
from fleetpose.codec import decode, encode, parse_json
from fleetpose.files import read_json
from latency.cost_model.calibration import Calibration
from latency.cost_model.intervals.conformal import Conformal
from latency.cost_model.intervals.pair_spread import PairSpread, PredictedKernel, fastest_kernel
from latency.cost_model.model import Inputs, Model, measured_ms
from latency.cost_model.physical import PhysicalModel
from latency.cost_model.predictor import Predictor
from latency.cost_model.ranges import Ranges
from latency.cost_model.trees import Trees, TreeSettings
from latency.dataset.hardware import Hardware
from latency.dataset.read import Dataset
from latency.dataset.sample import Sample
from latency.optimize.state import State
from latency.planning.losses import read_losses
from latency.records.identity import layer_id, network_id
from latency.records.read import read_records, to_line
from latency.records.record import Failure, RatioToDense, Record
from latency.report.result import NAME as RESULT
from latency.report.result import read_result
from latency.report.write import write_report
from models.graph.foreign.call import ForeignCall, ForeignTensor
from models.graph.layer import Layer, Step
from models.graph.network import Graph
from models.plans.cost import Cost, Outlook
from models.plans.explain import explain
from models.plans.plan import LayerChoice, Plan
from models.plans.sparsity import Sparsity
from models.prune.response.curves import FamilyCurves, read_divergence, to_json
from models.prune.response.journal import ResponseJournal
from runtime import package_format
from tests.fuzz.mutations import mutate_bytes, mutate_json, mutate_lines, mutate_records
from tests.fuzz.running import Reader
from tests.sample_manifest import sample_manifest
from tests.sample_result import sample_result

DEVICE = {"profile": "host", "name": "a CPU", "driver": "3.1", "compute_units": 2}
HALF = Sparsity.parse("columns:0.5:8x1")


def json_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


def convolution(name: str = "", channels: int = 16, kernel: int = 3) -> Layer:
    shape = (channels, 10, 12)
    padding = (kernel // 2, kernel // 2)
    return Layer(name, "conv", ("x",), (shape,), shape, (kernel, kernel), padding=padding, bias=True, module=name)


LAYERS = (convolution("a"), convolution("b", 16, 1))


def plan_samples() -> list[bytes]:
    cost = Cost(2.0, 1.5, 2.5)
    choices = (
        LayerChoice("a", HALF, "0.60 of the dense time", 0.4, cost, Cost(1.0, 0.8, 1.2)),
        LayerChoice("b", None, "no variant is faster"),
    )
    return [json_bytes(Plan("net", choices, Outlook(cost, Cost(1.0, 0.8, 1.2), 0.5, "by measured losses")).to_json())]


def read_plan_file(path: Path) -> object:
    plan = Plan.load(path, "net")
    plan.check(LAYERS)
    return explain(plan, LAYERS)


def widening_samples() -> list[bytes]:
    layers = {"a": LayerPrecision("sums", 4608, 31.5, 0.02), "b": LayerPrecision("", 16)}
    return [json_bytes({"format": "fleetpose.widening/1", **encode(Widening("net", layers, 8))})]


def read_widening(path: Path) -> object:
    return widen(Graph("net", "x", LAYERS[0].in_shapes[0], ("b",), LAYERS, {}), str(path)).widened


def record_samples() -> list[bytes]:
    layer = convolution()
    epilogue = Layer("", "conv", ("", ""), ((19, 23, 31), (38, 12, 16)), (38, 12, 16), (3, 3), (2, 2), (1, 1),
                     epilogue=(Step("add"), Step("leaky_relu", (0.1,))))  # fmt: skip
    foreign = ForeignCall("celu.default", '[{"operand": 0}, 0.5]', (ForeignTensor((1, 4, 5, 6)),), (1, 4, 5, 6))
    fallback = Layer("", "fallback", ("",), ((4, 5, 6),), (4, 5, 6), foreign=foreign)
    records = [
        *(_record(one, "dense") for one in (layer, epilogue, fallback)),
        _record(layer, "columns:0.5:8x1", ratio_to_dense=RatioToDense(0.4, 0.38, 0.43)),
        _record(layer, "columns:0.75:8x1", event_ms=None, wall_ms=None, event_iqr_ms=None, wall_iqr_ms=None, samples=0,
                failure=Failure("wrong", "it is wrong")),
        Record(network_id(DEVICE, "lwop", (64, 64), {}, "float32"), "network", "float32", grids=60, wall_ms=55.0,
               network="lwop", size=(64, 64), plan={"a.0": "pattern:0.75"}, device=DEVICE),
    ]  # fmt: skip
    return ["".join(map(to_line, records)).encode()]


def _record(layer: Layer, sparsity: str, **more: Any) -> Record:
    pitches = (32,) * (len(layer.in_shapes) + 1)
    values = {
        "schedule": {"schedule": "direct", "filters": 8}, "grids": 1, "networks": ("resnet50_3", "lwop"), "group": "g",
        "event_ms": 1.25, "wall_ms": 1.5, "event_iqr_ms": 0.0, "wall_iqr_ms": 0.25, "samples": 9, "device": DEVICE,
        "versions": {"python": "3"}, "conditions": {"load_1min": 0.5}, "drift": 1.01, "reference_ms": 0.4,
        "to_reference": 2.5, "date": "2025-01-01T00:00:00+00:00",
    }  # fmt: skip
    identity = layer_id(DEVICE, layer, pitches, sparsity, "float32")
    return Record(identity, "layer", "float32", layer, pitches, sparsity, **{**values, **more})


def read_dataset(path: Path) -> object:
    read_records(path)
    dataset = Dataset.read([path])
    return dataset.samples(), dataset.networks()


@cache
def small_predictor(bases: int = 0) -> Predictor:
    samples = [
        Sample(
            convolution("", 8 * number, 1 + 2 * (number % 2)), "direct" if number % 2 else "pointwise", ms=0.1 * number
        )
        for number in range(1, 31)
    ]
    others = tuple(small_predictor() for _ in range(bases))
    inputs = Inputs.of(samples, Hardware(), [base.ms for base in others])
    times, kernels = measured_ms(samples), [sample.kernel for sample in samples]
    baseline = PhysicalModel.fit(inputs.features, kernels, times, inputs.others)
    physical = baseline.predict(inputs.features, kernels, inputs.others)
    trees = Trees.fit(inputs.matrix(physical), np.log(times / physical), TreeSettings(depth=3, rounds=3, bags=1), 0)
    about = {
        "device": "a CPU",
        "gpu": "",
        "framework": "fleetpose",
        "clock": "wall",
        "shapes": ["a"],
        "reference_ms": 0.5,
    }
    pairs = [
        replace(sample, kernel=kernel, ms=sample.ms * factor, _keys={})
        for sample in samples
        for kernel, factor in (("direct", 1.0), ("winograd4", 0.8))
    ]
    return Predictor(
        Model(baseline, trees), Conformal.fit(np.linspace(-0.1, 0.1, 30), kernels), Ranges.of(inputs.features, kernels),
        Hardware(), about, others, Calibration((1.0, 0.0, 0.01, 0.0, 0.0), ("net",), {"net": 0.1}),
        PairSpread.fit(pairs, measured_ms(pairs) * np.linspace(0.9, 1.1, len(pairs))),
    )  # fmt: skip


def predictor_samples() -> list[bytes]:
    return [json_bytes(small_predictor(bases).to_json()) for bases in (0, 1)]


def read_predictor(path: Path) -> object:
    predictor = Predictor.load(path)
    samples = [Sample(convolution("", 24), "direct"), Sample(convolution("", 48, 1), "winograd4", HALF)]
    predictions = predictor.predict(samples)
    dense = [replace(samples[0], kernel=kernel, _keys={}) for kernel in ("direct", "winograd4")]
    kernels = [PredictedKernel(*pair) for pair in zip(dense, predictor.predict(dense), strict=True)]
    chosen = fastest_kernel(predictor.pair_spread, kernels)
    return predictions, chosen, predictor.shapes, predictor.metadata.get("framework")


def sensitivity_samples() -> list[bytes]:
    curves = FamilyCurves(
        {"a": {0.25: 0.01, 0.5: 0.05}, "b": {0.5: 0.1, 0.75: 0.3}}, {"a": {0.25: 0.01, 0.5: 0.05}}, 0.5,
        {"a": {0.25: 0.49, 0.5: 0.47}, "b": {0.5: 0.45, 0.75: 0.3}},
    )  # fmt: skip
    points = {"points": {"a": {"columns:0.5:8x1": 0.1}}, "measured": {"about": "2 photographs"}}
    content = to_json("net", {"columns:4x1": curves}, {"photographs": 2})
    return [json_bytes(content), json_bytes({**content, **points})]


def read_sensitivity_file(path: Path) -> object:
    losses = read_losses(path, "net", LAYERS, (("a", "backbone"), ("b", "neck")))
    return [losses.of(layer, HALF) for layer in LAYERS], read_divergence(path, "net")


def journal_samples() -> list[bytes]:
    lines = [{"seed": 0}, ["a", {"0.5": 1.0}], ["b", None], ["columns:0.5:4x1 in a", 0.5]]
    return [b"".join(json_bytes(line) + b"\n" for line in lines)]


def read_response_journal(path: Path) -> object:
    with ResponseJournal(path, {"seed": 0}) as journal:
        return [journal.read(key, dict[float, float] | None) for key in journal.values if " in " not in key]


def state_samples() -> list[bytes]:
    stages = {"tune": {"digest": "0" * 64, "outputs": {"tuned.jsonl": "1" * 64}, "said": "38 workloads", "secs": 3.5}}
    return [json_bytes({"format": "fleetpose.optimize/1", "model": "lwop", "input_size": [64, 64], "stages": stages})]


def read_state(path: Path) -> object:
    path.replace(path.with_name("state.json"))
    state = State(path.parent, {"model": "lwop", "input_size": [64, 64]})
    return state.done("tune", "0" * 64), state.secs_before("tune")


def tuned_samples() -> list[bytes]:
    lines = tuned_path("host").read_bytes().splitlines(keepends=True)
    return [b"".join(lines[:3]), b"".join(lines[-3:])]


def read_tuned(path: Path) -> object:
    tuned = Tuned.load(path)
    keys = [key for key, _ in tuned.rows]
    return [key.distance(other) for key in keys for other in keys], sorted(key.order() for key in keys)


def result_samples() -> list[bytes]:
    result = sample_result()
    result["layers"], result["curves"] = result["layers"][:6], result["curves"][:1]
    result["predictor"]["pairs"] = result["predictor"]["pairs"][:5]
    result["kernels"] = {which: kernels[:6] for which, kernels in result["kernels"].items()}
    return [json_bytes(result)]


def read_report(path: Path) -> object:
    path.replace(path.with_name(RESULT))
    return write_report(read_result(path.parent), path.parent)


def manifest_samples() -> list[bytes]:
    return [json_bytes(encode(sample_manifest()))]


def package_samples() -> list[bytes]:
    """A package of the sample's manifest, which is all that Python reads of one."""
    kinds = dict.fromkeys(range(package_format.STRINGS, package_format.CHECKS + 1), b"")
    manifest = json_bytes(encode(sample_manifest())) + b"\0"
    return [package_format.write_package({**kinds, package_format.STRINGS: b"\0", package_format.MANIFEST: manifest})]


def mutate_package(content: bytes, random: Random) -> bytes:
    """Its bytes, or its manifest with the checksums made right."""
    if random.random() < 0.5:
        return mutate_bytes(content, random)
    sections = package_format.read_sections(content)
    manifest = mutate_json(sections[package_format.MANIFEST].rstrip(b"\0"), random)
    return package_format.write_package({**sections, package_format.MANIFEST: manifest + b"\0"})


def read_manifest_file(path: Path) -> object:
    manifest = decode(Manifest, read_json(path, "manifest", MANIFEST), str(path))
    check_consistency(manifest, str(path))
    return manifest.sizes


def json_samples() -> list[bytes]:
    return [json_bytes({"a": [1, 2.5, None, {"b": "c"}], "d": {"e": [[], {}]}}), '[["ä", true], 1e3, -7]'.encode()]


def profile_samples() -> list[bytes]:
    return [path.read_bytes() for path in sorted(PROFILE_DIR.glob("*.toml"))]


def in_folder(read: Callable[[Path], object]) -> Callable[[Path], object]:
    """The reading of a file that has a name of its own, in a folder of its own."""

    def read_there(path: Path) -> object:
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            return read(path.rename(Path(folder) / path.name))

    return read_there


READERS = {
    "JSON": Reader(".json", json_samples, mutate_json, lambda path: parse_json(path.read_bytes())),
    "plan": Reader(".json", plan_samples, mutate_json, read_plan_file),
    "widening": Reader(".json", widening_samples, mutate_json, read_widening),
    "records": Reader(".jsonl", record_samples, mutate_records, read_dataset),
    "predictor": Reader(".predictor", predictor_samples, mutate_json, read_predictor),
    "sensitivity": Reader(".json", sensitivity_samples, mutate_json, read_sensitivity_file),
    "journal": Reader(".journal", journal_samples, mutate_lines, read_response_journal),
    "state": Reader(".json", state_samples, mutate_json, in_folder(read_state)),
    "tuned data": Reader(".jsonl", tuned_samples, mutate_lines, read_tuned),
    "result": Reader(".json", result_samples, mutate_json, in_folder(read_report)),
    "manifest": Reader(".json", manifest_samples, mutate_json, read_manifest_file),
    "package": Reader(".fpk", package_samples, mutate_package, lambda path: read_manifest(path).sizes),
    "profile": Reader(".toml", profile_samples, mutate_bytes, load_profile),
}
