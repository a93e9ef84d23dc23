"""Measured networks: records of whole networks, and the Calibration that fits them; knows neither torch nor TVM.

`latency.network_model.calibration_data` puts a network's record beside those of its layers. How far off a total is for
a network that
was not measured is judged by leaving each one out in turn, its layers predicted by models without their shapes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from latency.cost_model.calibration import Calibration
from latency.profiling.normalise import normalise_records
from latency.records.read import read_records
from latency.records.record import Record


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


def network_records(
    paths: Sequence[Path | str], where: Mapping[str, Sequence[str]], reference_ms: float | None = None
) -> tuple[list[Record], ...]:
    """The records with a time of whole networks, and of layers, in files of records; tables have none.

    Args:
        where: column -> values; of networks those of device, profile, spec, network and dtype are looked at.
        reference_ms: pace that times are brought to (`latency.profiling.normalise`); the usual one of each file
            without.
    """
    networks: list[Record] = []
    layers: list[Record] = []
    for path in map(Path, paths):
        if path.suffix == ".csv":
            continue
        for record in normalise_records(read_records(path), reference_ms):
            if record.ok and record.kind == "layer":
                layers.append(record)
            elif record.ok and record.wall_ms is not None and _passes(record, where):
                networks.append(record)
    return networks, layers


def _passes(record: Record, where: Mapping[str, Sequence[str]]) -> bool:
    values = {"device": record.device.get("name", ""), "network": record.network, "dtype": record.dtype}
    values |= {name: record.device.get(name, "") for name in ("profile", "spec")}
    return all(str(values[name]) in wanted for name, wanted in where.items() if name in values)


def calibrated(networks: Sequence[MeasuredNetwork]) -> Calibration | None:
    """The calibration of measured networks, with its errors on those left out; None of no network."""
    if not networks:
        return None
    terms, ms = np.array([each.terms for each in networks]), np.array([each.ms for each in networks])
    names = [each.record.network for each in networks]
    made = Calibration.fit_form(terms, ms, names)
    errors = {}
    for name in sorted(set(names)) if len(set(names)) > 1 else ():
        out = np.array(names) == name
        others = Calibration.fit_form(terms[~out], ms[~out], [each for each in names if each != name])
        predicted = others.predict(np.array([each.held_out for each in networks])[out])
        logs = np.log(ms[out] / predicted)
        errors[name] = float(logs[np.argmax(np.abs(logs))])
    return replace(made, networks=tuple(dict.fromkeys(names)), errors=errors)


def account(networks: Sequence[MeasuredNetwork], calibration: Calibration) -> list[dict[str, float | str]]:
    """What a calibration says of the networks it was fitted to, for reports: errors are fractions."""
    rows: list[dict[str, float | str]] = []
    for each in networks:
        predicted = float(calibration.predict(each.terms[None])[0])
        error = calibration.errors.get(each.record.network)
        held_out = {} if error is None else {"held_out_error": math.exp(-error) - 1}
        rows.append(
            {
                "network": each.label,
                "measured_ms": each.ms,
                "sum_ms": float(each.terms[0]),
                "calibrated_ms": predicted,
                "error": predicted / each.ms - 1,
                **held_out,
                "layers_measured": each.covered,
            }
        )
    return rows
