"""Layers of a result: what each was measured and predicted to take, dense and sparse, and what was decided why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from codegen.kernels.choice import ScheduleChoice
from codegen.kernels.workload import Workload
from codegen.schedules import RULES
from devices.timing.measure import device_of
from latency.network_model.forecast import Forecaster, PredictedStep
from latency.optimize.job import RECORDS, Job
from latency.profiling.normalise import normalise_records
from latency.profiling.space import Group, network_workloads, variants_of
from latency.records.read import read_records
from latency.records.record import Record
from models.graph.layer import Layer
from models.plans.cost import Cost
from models.plans.plan import LayerChoice, Plan
from models.plans.sparsity import Sparsity, variant_text
from models.zoo.blocks import block_of

#: layers whose curve of speed-up against ratio is kept, and the fractions of zeros a curve is of
CURVES, CURVE_ZEROS = 6, (0.2, 0.35, 0.5, 0.6, 0.67, 0.75, 0.8, 0.875, 0.9)


class Layers:
    """The layers of one result.

    Args:
        forecaster: of the device, with the schedules that were built.
        plan: what was decided.
    """

    def __init__(self, job: Job, forecaster: Forecaster, plan: Plan) -> None:
        self.job, self.forecaster, self.plan, self.graph = job, forecaster, plan, job.graph
        pace = forecaster.predictor.metadata.get("reference_ms")
        records = normalise_records(read_records(job.path(RECORDS)), pace)
        self._records = {record.id: record for record in records if record.ok}
        self._device = device_of(job.lease.session)
        self._workloads: dict[str, list[Workload]] = {}
        for name, workload in network_workloads(self.graph, job.profile):
            self._workloads.setdefault(name, []).append(workload)

    @cached_property
    def _steps(self) -> dict[str, PredictedStep]:
        """Dense, predicted; joins, which are several copies, are left out."""
        steps = self.forecaster.steps(self.graph)
        return {step.layer: step for step in steps if len(self._workloads.get(step.layer, ())) == 1}

    def rows(self) -> list[dict[str, Any]]:
        """Every layer of the network, in order."""
        choices = {choice.layer: choice for choice in self.plan.choices}
        return [self._row(layer, choices.get(layer.name)) for layer in self.graph.layers]

    def _row(self, layer: Layer, choice: LayerChoice | None) -> dict[str, Any]:
        sparsity = choice.sparsity if choice else None
        dense, sparse = self.record(layer.name, None), self.record(layer.name, sparsity) if sparsity else None
        block = block_of(layer.module or layer.name, self.job.request.spec.blocks)
        return {
            "name": layer.name,
            "op": layer.op,
            "kernel": list(layer.kernel),
            "in_shape": list((layer.in_shapes or (layer.out_shape,))[0]),
            "out_shape": list(layer.out_shape),
            "groups": layer.groups,
            "macs": layer.macs,
            "params": layer.params,
            **_measurement_facts("dense", dense, choice.dense if choice else None),
            **_measurement_facts("sparse", sparse, choice.sparse if choice and sparsity else None),
            "variant": variant_text(sparsity) if sparsity else None,
            "zeros": 1 - sparsity.kept_fraction(layer.weight_shape) if sparsity else 0.0,
            "measured_ratio": _ratio(dense, sparse, choice) if sparsity else None,
            **self._prediction_facts(layer.name, sparsity),
            "break_even": choice.break_even if choice else None,
            "probability_faster": choice.faster if choice else None,
            "decision": "sparse" if sparsity else "dense",
            "reason": choice.reason if choice else f"a {layer.op} has no weights",
            "block": block or None,
            "fastest_tried": self._fastest(layer) if choice else None,
        }

    def _prediction_facts(self, name: str, sparsity: Sparsity | None) -> dict[str, Any]:
        dense = self._steps.get(name)
        sparse = None
        if dense is not None and sparsity is not None:
            sparse = self.forecaster.step(name, replace(self._workloads[name][0], sparsity=sparsity))
        speedup = None
        if dense and sparse:
            spread = self.forecaster.spread_between(sparse, dense)
            speedup = sparse.prediction.speedup_over(dense.prediction, spread)
        return {
            "predicted_ratio": speedup.times if speedup else None,
            "predicted_interval": speedup.interval if speedup else None,
            "predicted_dense_ms": dense.prediction.ms if dense else None,
            "predicted_sparse_ms": sparse.prediction.ms if sparse else None,
        }

    def _fastest(self, layer: Layer) -> dict[str, Any] | None:
        """Of the variants that were collected, the fastest beside dense, chosen or not."""
        options = [
            (1 / record.ratio_to_dense.median, record)
            for sparsity in self._variants(layer)
            if sparsity is not None and (record := self.record(layer.name, sparsity)) and record.ratio_to_dense
        ]
        if not options:
            return None
        ratio, record = max(options, key=lambda option: option[0])
        return {"variant": record.sparsity, "ms": _ms(record), "measured_ratio": ratio}

    def record(self, name: str, sparsity: Sparsity | None) -> Record | None:
        """What was collected of a layer under a sparsity; None where nothing was, and for joins."""
        workloads = self._workloads.get(name, [])
        if len(workloads) != 1:
            return None
        return self._records.get(Group(workloads[0], ()).identity(sparsity, self._device))

    def curves(self) -> list[dict[str, Any]]:
        """Speed-up against dense / kept ratio of the costliest layers that were timed under several variants."""
        costly = sorted(self._steps.values(), key=lambda step: -step.prediction.ms)
        layers = [self.graph.layer(step.layer) for step in costly if step.op == "conv"]
        curves = [curve for layer in layers if (curve := self._curve(layer)) is not None]
        return curves[:CURVES]

    def _curve(self, layer: Layer) -> dict[str, Any] | None:
        chosen = self.plan[layer.name].sparsity
        known = [sparsity for sparsity in self._variants(layer) if sparsity and self.record(layer.name, sparsity)]
        families = [(sparsity.pattern, sparsity.block) for sparsity in ([chosen] if chosen else known)]
        if not families:
            return None
        family = max(families, key=families.count)
        alike = [sparsity for sparsity in [*known, chosen] if sparsity and (sparsity.pattern, sparsity.block) == family]
        ratios, speedups = self._line(layer, alike[0])
        if not ratios:
            return None
        measured = [
            {"ratio": 1 / sparsity.kept_fraction(layer.weight_shape), "speedup": 1 / record.ratio_to_dense.median}
            for sparsity in dict.fromkeys(alike)
            if (record := self.record(layer.name, sparsity)) and record.ratio_to_dense
        ]
        shown = f"{family[0]}:{family[1][0]}x{family[1][1]}"
        return {"layer": layer.name, "family": shown, "ratios": ratios, "speedups": speedups, "measured": measured}

    def _line(self, layer: Layer, alike: Sparsity) -> tuple[list[float], list[float]]:
        """Predicted (ratios, speed-ups) of a family."""
        least = 0.56 if alike.pattern == "pattern" else 0.0
        wanted = [replace(alike, zeros=zeros) for zeros in CURVE_ZEROS if zeros >= least]
        workload, dense = self._workloads[layer.name][0], self._steps[layer.name].prediction.ms
        points = {}
        for sparsity in wanted:
            if sparsity.applies_to(layer):
                continue
            step = self.forecaster.step(layer.name, replace(workload, sparsity=sparsity))
            if step is not None:
                points[1 / sparsity.kept_fraction(layer.weight_shape)] = dense / step.prediction.ms
        return list(points), list(points.values())

    def _variants(self, layer: Layer) -> Sequence[Sparsity | None]:
        variants = variants_of(layer, self.job.request.sparsities, self.job.profile) if layer.op == "conv" else ()
        chosen = self.plan[layer.name].sparsity if layer.op == "conv" else None
        return tuple(dict.fromkeys((*variants, chosen)))


def _measurement_facts(kind: str, record: Record | None, cost: Cost | None) -> dict[str, Any]:
    """Schedule, milliseconds and quartiles: as measured for the decision where that was needed, else as recorded."""
    schedule: str | None
    if cost is not None and cost.measured:
        schedule, ms = cost.kernel, cost.ms
        iqr = list(cost.interval) if cost.interval else None
    elif record is not None:
        schedule, ms = _schedule(record.schedule), _ms(record)
        spread = (record.wall_iqr_ms if record.event_ms is None else record.event_iqr_ms) or 0.0
        iqr = [max(0.0, ms - spread / 2), ms + spread / 2]
    else:
        return {f"{kind}_schedule": cost.kernel if cost else None, f"{kind}_ms": None, f"{kind}_iqr_ms": None}
    return {f"{kind}_schedule": schedule, f"{kind}_ms": ms, f"{kind}_iqr_ms": iqr}


def _ratio(dense: Record | None, sparse: Record | None, choice: LayerChoice | None) -> float | None:
    """Measured dense / sparse time, both of one interleaved run."""
    if choice and choice.dense and choice.sparse and choice.dense.measured and choice.sparse.measured:
        return choice.dense.ms / choice.sparse.ms
    if sparse is not None and sparse.ratio_to_dense is not None:
        return 1 / sparse.ratio_to_dense.median
    return _ms(dense) / _ms(sparse) if dense and sparse else None


def _ms(record: Record) -> float:
    """By events where the device has them."""
    ms = record.wall_ms if record.event_ms is None else record.event_ms
    assert ms is not None
    return ms


def _schedule(stored: Mapping[str, Any]) -> str | None:
    try:
        return str(ScheduleChoice.from_dict(stored, RULES)) if stored else None
    except ValueError:
        return str(stored.get("schedule"))
