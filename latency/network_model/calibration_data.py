"""Measured networks: records of whole networks beside those of their layers, and the Calibration that fits them.

A network's terms are made of the measured times of its layers; what has no record is predicted. How far off a total is
for a network that was not measured is judged by leaving each one out in turn, its layers predicted by models without
their shapes.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from codegen.kernels.workload import Workload
from codegen.lowering.sizes import trace_sizes
from codegen.tuning.database import load_tuned
from devices.profile import Profile
from fleetpose.errors import UsageError
from latency.cost_model.calibration import Calibration, terms_of
from latency.cost_model.predictor import Predictor
from latency.cost_model.search import CrossValidation
from latency.dataset.observations import sample_of_record
from latency.network_model.forecast import Forecaster, profile_of
from latency.profiling.space import Group, network_workloads
from latency.records.record import Record
from models.graph.network import Graph
from models.plans.sparsity import Sparsity, parse_variant
from models.resolve import check_named_by_file

log = logging.getLogger("latency.network_model.calibration_data")


@dataclass(frozen=True)
class MeasuredNetwork:
    """One measured network.

    Attributes:
        record: its time, on the wall clock.
        terms: (TERMS) from its layers' measured times; `held_out`: from predictions by models without their shapes.
        covered: share of the layers' time that is measured.
    """

    record: Record
    terms: np.ndarray
    held_out: np.ndarray
    covered: float

    @property
    def ms(self) -> float:
        """Measured milliseconds of an inference."""
        assert self.record.wall_ms is not None
        return self.record.wall_ms

    @property
    def label(self) -> str:
        """For people: "lwop 368x368, 12 layers sparse"."""
        assert self.record.size is not None
        height, width = self.record.size
        sparse = f", {len(self.record.plan)} layers sparse" if self.record.plan else ""
        return f"{self.record.network} {height}x{width}{sparse}"


def measured_networks(
    networks: Sequence[Record],
    layers: Sequence[Record],
    predictor: Predictor,
    validation: CrossValidation,
    clock: str,
    graphs: Sequence[Graph] = (),
    profile: Profile | None = None,
) -> list[MeasuredNetwork]:
    """The terms of measured networks.

    Those that cannot be traced here, because no model of that name is registered, are left out with a log line.

    Args:
        layers: records of layers, those of the networks among them.
        validation: the cross-validation of `predictor`, for held-out predictions.
        clock: of the layers' times, as for `latency.dataset.observations.sample_of_record`.
        graphs: of networks that were traced before; others are traced.
        profile: the device's, where it is none that comes with the package.
    """
    profile = profile or profile_of(predictor)
    forecasters = {
        dtype: Forecaster(predictor, profile, load_tuned(profile).choice, dtype)
        for dtype in {record.dtype for record in networks}
    }
    by_id = {record.id: record for record in layers}
    traced = {(graph.name, graph.input_shape[1:]): graph for graph in graphs}
    unseen = {sample.key: float(ms) for sample, ms in zip(validation.samples, validation.predicted, strict=True)}
    measured = []
    for record in networks:
        try:
            assert record.size is not None
            check_named_by_file(record.network, "a record of it")
            graph = traced.get((record.network, record.size)) or trace_sizes(record.network, None, 0, [record.size])[0]
            measured.append(_terms_of_network(record, graph, by_id, unseen, forecasters[record.dtype], clock))
        except UsageError as error:
            log.warning("network %s is not calibrated on: %s", record.network, error)
    return measured


def _terms_of_network(
    record: Record,
    graph: Graph,
    by_id: Mapping[str, Record],
    unseen: Mapping[str, float],
    forecaster: Forecaster,
    clock: str,
) -> MeasuredNetwork:
    sparsities = {name: variant for name, text in record.plan.items() if (variant := parse_variant(text)) is not None}
    steps = forecaster.network(graph, sparsities)
    workloads = network_workloads(graph, forecaster.profile, forecaster.dtype)
    measured = _records_of(workloads, sparsities, record, by_id)
    rows = [None, *measured, *[None] * len(graph.outputs)]  # the copies at the ends have none
    times, held_out, covered = [], [], 0.0
    for step, layer in zip(steps, rows, strict=True):
        sample = sample_of_record(layer, clock) if layer else None
        ms = sample.ms if sample and sample.ms is not None else step.prediction.ms
        covered += ms if sample else 0.0
        times.append(ms)
        held_out.append(unseen.get(sample.key, step.prediction.ms) if sample else step.prediction.ms)
    launches, written = sum(step.launches for step in steps), float(sum(step.written for step in steps))
    terms, unseen_terms = (terms_of(np.array(ms), launches, written) for ms in (times, held_out))
    return MeasuredNetwork(record, terms, unseen_terms, covered / sum(times))


def _records_of(
    workloads: Sequence[tuple[str, Workload]],
    sparsities: Mapping[str, Sparsity],
    record: Record,
    by_id: Mapping[str, Record],
) -> list[Record | None]:
    """The record of each layer of a network, by the device of the network's; None of what was not timed."""
    return [
        by_id.get(Group(workload, ()).identity(sparsities.get(name), record.device)) for name, workload in workloads
    ]


def calibrate(networks: Sequence[MeasuredNetwork]) -> Calibration | None:
    """The calibration of measured networks, with its errors on those left out; None of no network."""
    if not networks:
        return None
    terms, ms = np.array([network.terms for network in networks]), np.array([network.ms for network in networks])
    names = [network.record.network for network in networks]
    calibration = Calibration.fit_form(terms, ms, names)
    errors = {}
    for name in sorted(set(names)) if len(set(names)) > 1 else ():
        out = np.array(names) == name
        others = Calibration.fit_form(terms[~out], ms[~out], [other for other in names if other != name])
        predicted = others.predict(np.array([network.held_out for network in networks])[out])
        logs = np.log(ms[out] / predicted)
        errors[name] = float(logs[np.argmax(np.abs(logs))])
    return replace(calibration, networks=tuple(dict.fromkeys(names)), errors=errors)


def account(networks: Sequence[MeasuredNetwork], calibration: Calibration) -> list[dict[str, float | str]]:
    """What a calibration says of the networks it was fitted to, for reports: errors are fractions."""
    rows: list[dict[str, float | str]] = []
    for network in networks:
        predicted = float(calibration.predict(network.terms[None])[0])
        error = calibration.errors.get(network.record.network)
        held_out = {} if error is None else {"held_out_error": math.exp(-error) - 1}
        rows.append(
            {
                "network": network.label,
                "measured_ms": network.ms,
                "sum_ms": float(network.terms[0]),
                "calibrated_ms": predicted,
                "error": predicted / network.ms - 1,
                **held_out,
                "layers_measured": network.covered,
            }
        )
    return rows
