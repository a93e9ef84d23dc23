"""Logs of AutoTVM: one JSON object a line, a configuration of a task and its times or why it has none.

Both versions that `tvm.autotvm.record.encode` wrote with `protocol="json"` (python/tvm/autotvm/record.py) are read:

    0.1  {"i": [target, task, arguments, {}, workload, {"i", "t": template, "c", "e": entity}], "r": result, "v": 0.1}
    0.2  {"input": [target, task, arguments, {}], "config": {"index", "code_hash", "entity"}, "result": result,
          "version": 0.2, "tvm_version": ...}

A result is [seconds of each run, number of an error, seconds of the whole trial, when]. An entity is a list of [knob,
"sp" | "re" | "an" | "ot", value]. Lines that begin with # are comments. The other protocol, "pickle", is refused.
"""

from __future__ import annotations

import logging
import re
import statistics
from collections import Counter
from dataclasses import dataclass
from typing import Any

from fleetpose.codec import check_entries, decode, parse_json
from fleetpose.codec.text import LINE, NotJson
from fleetpose.errors import DataError, UsageError, quoted
from latency.dataset.content import data_lines
from latency.dataset.foreign.autotvm_tasks import OtherTask, read_task
from latency.dataset.foreign.measured_on import MeasuredOn
from latency.dataset.foreign.measurement import ForeignFile, ForeignMeasurement
from latency.dataset.rows import LEAST_MS, MOST_MS
from latency.dataset.tvm_kernels import FAILURES, tvm_sample

log = logging.getLogger("latency.dataset.foreign.autotvm")

WHAT = "a log of AutoTVM"
#: the name of the machine in a target's text, where it is one
_MODEL = re.compile(r'(?:-model=|"model": *")([\w.+-]{1,60})')
#: times that a run needs to have for its spread to be known
FEWEST_RUNS = 3


@dataclass(frozen=True)
class LoggedTrial:
    """One line: what was tried, its configuration and its result."""

    target: str
    task: str
    template: str
    arguments: list[Any]
    entity: list[Any]
    result: list[Any]


def read_autotvm(content: bytes, path: str, origin: MeasuredOn) -> ForeignFile:
    """The measurements of a log; a torn last line is left out, with a log line.

    Raises:
        UsageError: a line that is none of AutoTVM's, by its number, or nobody says which GPU it was.
    """
    measurements, left_out = [], Counter[str]()
    for number, line in data_lines(content):
        try:
            measurements.append(_measurement(read_trial(line), path, origin))
        except OtherTask as other:
            left_out[str(other)] += 1
        except (DataError, ValueError) as error:
            if isinstance(error, NotJson) and not line.endswith(b"\n") and measurements:
                log.warning("%s: its last line is torn and left out", path)
                break
            raise UsageError(f"{path}, line {number}: {' '.join(str(error).split())}") from error
    return ForeignFile(path, WHAT, tuple(measurements), left_out=left_out)


def read_trial(line: bytes) -> LoggedTrial:
    """What a line says, of either version. Raises DataError; NotJson for what is not even JSON."""
    entries = decode(dict[str, Any], parse_json(line, LINE))
    if isinstance(entries.get("v"), str):
        raise DataError(
            "it is of TVM's auto_scheduler (Ansor), whose logs are not read; AutoTVM's and MetaSchedule's are"
        )
    if "i" in entries:
        check_entries(entries, {"i": list[Any], "r": list[Any]}, needed=("i", "r"))
        if len(entries["i"]) != 6:
            raise DataError(f"its input has {len(entries['i'])} parts, not 6")
        target, task, arguments, _, _, config = entries["i"]
        config = check_entries(config, {"e": list[Any], "t": str}, "its configuration", ("e",))
        template, entity, result = config.get("t", ""), config["e"], entries["r"]
    else:
        kinds = {"input": list[Any], "config": dict[str, Any], "result": list[Any]}
        check_entries(entries, kinds, needed=tuple(kinds))
        if len(entries["input"]) < 3:
            raise DataError(f"its input has {len(entries['input'])} parts, not 4")
        target, task, arguments = entries["input"][:3]
        check_entries(entries["config"], {"entity": list[Any]}, "its configuration", ("entity",))
        template, entity, result = "", entries["config"]["entity"], entries["result"]
    if not isinstance(arguments, list):
        raise DataError(f"its arguments are {quoted(arguments)}, not a list")
    return LoggedTrial(
        decode(str, target, "its target"), decode(str, task, "its task"), template, arguments, entity, result
    )


def _measurement(trial: LoggedTrial, path: str, origin: MeasuredOn) -> ForeignMeasurement:
    """Raises OtherTask for what is no convolution on OpenCL, DataError for what is damaged."""
    if "opencl" not in trial.target:
        raise OtherTask("kernels for other targets than OpenCL")
    work = read_task(trial.task, trial.template, trial.arguments)
    config = read_entity(trial.entity)
    seconds, failure = _result(trial.result)
    of = origin.named(path, WHAT, model_of(trial.target))
    schedule = f"{trial.task}:{trial.template}" if trial.template else trial.task
    sample = tvm_sample(
        work.layer, kind=work.kind, schedule=schedule, dtype=work.dtype, config=config, ms=_mean_ms(seconds),
        device=of.device, gpu=of.gpu, layout=work.layout, memory=work.memory, spread=_spread(seconds),
    )  # fmt: skip
    return ForeignMeasurement(sample, schedule, work.kind, work.dtype, config, failure)


def model_of(target: str) -> str:
    """The machine that a target's text names by -model; "" where it names none."""
    match = _MODEL.search(target)
    return match[1] if match and match[1] != "unknown" else ""


def read_entity(entity: list[Any]) -> dict[str, str]:
    """Knobs by name as tables have them: "1x32" for [-1, 1, 32], of which the outermost part follows from the others.

    Raises DataError for what is no entity.
    """
    knobs: dict[str, str] = {}
    for entry in entity:
        name, kind, value = decode(tuple[str, str, Any], entry, "a knob")
        if not re.fullmatch(r"\w{1,60}", name):
            raise DataError(f"{quoted(name)} is no name of a knob")
        if kind == "sp":
            knobs[name] = "x".join(map(str, decode(list[int], value, f"knob {name}")[1:]))
        elif kind in ("re", "an"):
            knobs[name] = "x".join(f"{part!s:.20}" for part in decode(list[Any], value, f"knob {name}"))
        else:
            knobs[name] = f"{value!s:.40}"
    return knobs


def _result(result: list[Any]) -> tuple[list[float], str]:
    """The seconds of each run and why there are none, in words. Raises DataError for what is no result."""
    if len(result) < 2:
        raise DataError(f"its result has {len(result)} parts, not 4")
    number = decode(int, result[1], "the number of its error")
    if number:
        return [], FAILURES.get(number, FAILURES[8])
    seconds = decode(list[float], result[0], "its times")
    if not seconds:
        return [], FAILURES[8]
    for value in seconds:
        if not LEAST_MS <= value * 1e3 <= MOST_MS:
            raise DataError(f"a time of {value:g} s; a time is {LEAST_MS / 1e3:g} to {MOST_MS / 1e3:g} s")
    return seconds, ""


def _mean_ms(seconds: list[float]) -> float | None:
    """Milliseconds, as AutoTVM itself compares configurations: the mean."""
    return statistics.fmean(seconds) * 1e3 if seconds else None


def _spread(seconds: list[float]) -> float | None:
    """Interquartile range / median; None of few runs."""
    if len(seconds) < FEWEST_RUNS:
        return None
    low, middle, high = statistics.quantiles(seconds, n=4)
    return (high - low) / middle
