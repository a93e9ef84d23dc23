"""Flow: the stages in order, each done where its inputs are new, skipped where they are not; ends cleanly on a signal.

A stage's digest is of what is asked of it and of the content of the files it reads, so that a change is followed as far
as it reaches: another goal decides anew by the same measurements.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fleetpose.errors import DeviceUnreachable
from fleetpose.files import sha256
from fleetpose.interrupt import treat_sigterm_as_interrupt
from fleetpose.progress import Report, status
from latency.optimize import checking, making, measuring, modelling, reporting
from latency.optimize import job as files
from latency.optimize.job import Job
from latency.optimize.request import SHARES
from latency.optimize.state import State, digest_of, folder_digest


@dataclass(frozen=True)
class FlowStage:
    """One stage.

    Attributes:
        name: for people, and in the state.
        work: does it, from wherever an earlier run stopped, and answers its result in words.
        reads: files of the folder that it reads.
        writes: files of the folder that it writes.
        asks: what of the request it depends on.
        always: whether the stage is done again each time, since it is quick and is of everything.
    """

    name: str
    work: Callable[[Job, Report], str]
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    always: bool = False


STAGES = (
    FlowStage("tune", measuring.tune, (), (files.TUNED,), ("plan", "sparsities", "tune", "rounds", "seed", "budget")),
    FlowStage(
        "collect", measuring.collect, (files.TUNED,), (files.RECORDS,),
        ("plan", "sparsities", "around", "rounds", "seed", "budget"),
    ),
    FlowStage("fit", modelling.fit_model, (files.RECORDS,), (files.PREDICTOR, files.FITTED), ("seed",)),
    FlowStage(
        "decide", modelling.decide_plan, (files.PREDICTOR, files.TUNED), (files.PLAN,),
        ("goal", "plan", "sparsities", "sensitivity", "rounds", "budget"),
    ),
    FlowStage("prune", making.prune_weights, (files.PLAN,), (files.PRUNED,),
          ("weights", "data", "photographs", "training_minutes", "seed")),
    FlowStage("build", making.build_artifacts, (files.PLAN, files.PRUNED, files.TUNED),
          (files.DENSE_SO, files.SPARSE_SO),
          ("weights", "seed")),
    FlowStage("verify", checking.verify_artifacts, (files.DENSE_SO, files.SPARSE_SO), (files.VERIFIED,), ("seed",)),
    FlowStage("run", checking.run_photograph, (files.DENSE_SO, files.SPARSE_SO), (files.RUN,), ("image",)),
    FlowStage("compare", checking.compare, (files.DENSE_SO, files.SPARSE_SO), (files.COMPARED,), ("image", "rounds")),
    FlowStage("accuracy", checking.judge, (files.PRUNED,), (files.ACCURACY,), ("weights", "val", "seed")),
    FlowStage("report", reporting.write_result, writes=(files.RESULT,), always=True),
)  # fmt: skip


def run(job: Job, state: State) -> list[tuple[str, str, float]]:
    """Every stage that is not done: (name, result in words, seconds) of all.

    Raises:
        KeyboardInterrupt: SIGINT or SIGTERM came; what is done is kept, and a line says how to go on.
        DeviceUnreachable: with the same line.
    """
    rows: list[tuple[str, str, float]] = []
    with treat_sigterm_as_interrupt():
        for number, stage in enumerate(STAGES, 1):
            where = f"stage {number} of {len(STAGES)}, {stage.name}"
            try:
                rows.append(_stage(job, state, stage, where, rows))
            except KeyboardInterrupt:
                print(f"interrupted at {where}; the same command goes on from here", file=sys.stderr)
                raise
            except DeviceUnreachable as error:
                raise DeviceUnreachable(f"{error}\n{where}: what is done is kept; the same command goes on") from error
    return rows


def _stage(
    job: Job, state: State, stage: FlowStage, where: str, rows: Sequence[tuple[str, str, float]]
) -> tuple[str, str, float]:
    digest = digest_of(inputs_of(job, stage))
    entry = None if stage.always else state.done(stage.name, digest)
    if entry is not None:
        print(f"{where}: done before: {entry.said}", file=sys.stderr)
        return stage.name, entry.said, entry.secs
    earlier = state.secs_spent(stage.name, digest)
    budget = job.request.secs(stage.name) if stage.name in SHARES and stage.name != "prune" else None
    started = time.monotonic() - earlier
    job.deadline, job.stages = None if budget is None else started + budget, list(rows)
    try:
        with status(where) as progress:
            said = stage.work(job, _report(progress, started, budget))
    except BaseException:
        state.keep(stage.name, digest, time.monotonic() - started)
        raise
    secs = time.monotonic() - started
    state.keep(stage.name, digest, secs, said, stage.writes)
    print(f"{where}: {said} [{secs:.0f} s]", file=sys.stderr)
    return stage.name, said, secs


def _report(progress: Report, started: float, budget: float | None) -> Report:
    """Tells how much of a stage is done: of its work or of its time, whichever is further."""

    def report(message: str, done: int = 0, total: int = 0) -> None:
        part = done / total if total else 0.0
        if budget:
            part = max(part, (time.monotonic() - started) / budget)
        progress(message, round(1000 * min(part, 1.0)), 1000 if part else 0)

    return report


def inputs_of(job: Job, stage: FlowStage) -> dict[str, Any]:
    """What a stage's result depends on, as JSON values."""
    request = job.request
    inputs: dict[str, Any] = {**job.about(), "files": {} if stage.always else job.digests(*stage.reads)}
    for name in stage.asks:
        if name == "budget":
            inputs[name] = request.secs(stage.name)
        elif name in ("plan", "sensitivity", "weights", "image"):
            path = getattr(request, name)
            inputs[name] = None if path is None else sha256(path)
        elif name == "data":
            inputs[name] = [folder_digest(folder) for folder in request.data]
        elif name == "val":
            inputs[name] = None if request.val is None else folder_digest(request.val)
        elif name == "goal":
            inputs[name] = vars(request.goal)
        else:
            value = getattr(request, name)
            inputs[name] = list(map(str, value)) if isinstance(value, tuple) else value
    return inputs
