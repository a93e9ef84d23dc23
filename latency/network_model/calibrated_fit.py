"""From a data set to a predictor of layers that also knows whole networks: fitted, adapted and calibrated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from latency.cost_model.adaptation.transfer import Gain, gain
from latency.cost_model.fitting import FitOptions, Fitted, fit_predictor
from latency.cost_model.predictor import Predictor
from latency.dataset.foreign.measurement import NetworkRun
from latency.dataset.observations import hardware_of
from latency.dataset.read import Dataset
from latency.network_model.run_calibration import calibrate_on_runs, runs_with_layers

if TYPE_CHECKING:
    from devices.profile import Profile
    from latency.network_model.calibration_data import MeasuredNetwork
    from models.graph.network import Graph


@dataclass(frozen=True)
class CalibratedFit:
    """A fitted predictor and what it rests on.

    Attributes:
        fitted: the predictor with its cross-validation.
        worth: what the predictors of other devices were worth; None where there were none.
        networks: the measured networks that the predictor is calibrated on.
        runs: those that another tool measured, where it is calibrated on these.
    """

    fitted: Fitted
    worth: Gain | None = None
    networks: tuple[MeasuredNetwork, ...] = ()
    runs: tuple[NetworkRun, ...] = ()


def fit_dataset(
    dataset: Dataset,
    options: FitOptions,
    bases: Sequence[Predictor] = (),
    clock: str = "auto",
    every_op: bool = False,
    graphs: Sequence[Graph] = (),
    profile: Profile | None = None,
) -> CalibratedFit:
    """Fit a predictor to measurements, and calibrate it on the networks among them.

    Args:
        bases: predictors of other devices to adapt.
        clock: one of latency.dataset.observations.CLOCKS.
        every_op: of CSV tables, not only convolutions.
        graphs: of networks among the measurements that were traced before; others are traced.
        profile: the device's, where it is none that comes with the package.

    Raises:
        UsageError: too few rows, several devices, or none; measurements by a profile of another name.
    """
    reference_ms = dataset.reference_ms
    samples = dataset.samples(clock, every_op, reference_ms)
    about = {
        **dataset.device(samples),
        "data": dataset.hash,
        "date": dataset.date,  # not that of the fit, so that equal measurements make equal files
        "where": list(dataset.where),
        "clock": clock,
        "reference_ms": reference_ms,
        "bases": [base.metadata.get("device", "") for base in bases],
    }
    fitted = fit_predictor(samples, hardware_of(samples, profile), options, bases, about)
    worth = gain(fitted, bases) if fitted.scratch else None  # nothing to compare with where samples are few
    records, layers = dataset.networks(reference_ms)
    if not records:
        runs = runs_with_layers(dataset)
        predictor = replace(fitted.predictor, calibration=calibrate_on_runs(runs))
        return CalibratedFit(replace(fitted, predictor=predictor), worth, runs=tuple(runs))
    from latency.network_model.calibration_data import calibrate, measured_networks  # which takes torch and TVM

    networks = measured_networks(records, layers, fitted.predictor, fitted.best, clock, graphs, profile)
    predictor = replace(fitted.predictor, calibration=calibrate(networks))
    return CalibratedFit(replace(fitted, predictor=predictor), worth, tuple(networks))
