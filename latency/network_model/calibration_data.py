"""Calibrating: a network's record beside those of its layers, which is what a calibration is fitted to.

A network's terms are made of the measured times of its layers; what has no record is predicted.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from codegen.kernels.workload import Workload
from codegen.lowering.sizes import trace_sizes
from codegen.tuning.database import tuned_for
from fleetpose.errors import UsageError
from latency.cost_model.calibration import terms_of
from latency.cost_model.predictor import Predictor
from latency.cost_model.search import CrossValidation
from latency.dataset.observations import sample_of_record
from latency.network_model.forecast import Forecaster, profile_of
from latency.network_model.measured_networks import MeasuredNetwork
from latency.profiling.space import Group, network_workloads
from latency.records.record import Record
from models.plans.sparsity import Sparsity, parse_variant

log = logging.getLogger("latency.network_model.calibration_data")


def measured_networks(
    networks: Sequence[Record], layers: Sequence[Record], predictor: Predictor, found: CrossValidation, clock: str
) -> list[MeasuredNetwork]:
    """The terms of measured networks.

    Those that cannot be traced here, because no model of that name is registered, are left out with a log line.

    Args:
        layers: records of layers, those of the networks among them.
        found: the cross-validation of `predictor`, for held-out predictions.
        clock: of the layers' times, as for `latency.dataset.observations.sample_of_record`.
    """
    profile = profile_of(predictor)
    forecasters = {
        dtype: Forecaster(predictor, profile, tuned_for(profile).choice, dtype)
        for dtype in {record.dtype for record in networks}
    }
    by_id = {record.id: record for record in layers}
    unseen = {sample.key: float(ms) for sample, ms in zip(found.samples, found.predicted, strict=True)}
    made = []
    for record in networks:
        try:
            made.append(_measured(record, by_id, unseen, forecasters[record.dtype], clock))
        except UsageError as error:
            log.warning("network %s is not calibrated on: %s", record.network, error)
    return made


def _measured(
    record: Record, by_id: Mapping[str, Record], unseen: Mapping[str, float], forecaster: Forecaster, clock: str
) -> MeasuredNetwork:
    assert record.size is not None
    (graph,) = trace_sizes(record.network, None, 0, [record.size])
    sparsities = {name: each for name, text in record.plan.items() if (each := parse_variant(text)) is not None}
    steps = forecaster.steps(graph, sparsities)
    workloads = network_workloads(graph, forecaster.profile, forecaster.dtype)
    found = _records_of(workloads, sparsities, record, by_id)
    rows = [None, *found, *[None] * len(graph.outputs)]  # the copies at the ends have none
    times, held_out, covered = [], [], 0.0
    for step, layer in zip(steps, rows, strict=True):
        sample = sample_of_record(layer, clock) if layer else None
        ms = sample.ms if sample and sample.ms is not None else step.prediction.ms
        covered += ms if sample else 0.0
        times.append(ms)
        held_out.append(unseen.get(sample.key, step.prediction.ms) if sample else step.prediction.ms)
    launches, written = sum(step.launches for step in steps), float(sum(step.written for step in steps))
    terms, without = (terms_of(np.array(each), launches, written) for each in (times, held_out))
    return MeasuredNetwork(record, terms, without, covered / sum(times))


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
