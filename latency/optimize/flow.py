"""Flow: the stages in order, each done where its inputs are new, skipped where they are not; ends cleanly on a signal.

A stage's digest is of what is asked of it and of the content of the files it reads, so that a change is followed as far
as it reaches: another goal decides anew by the same measurements.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fleetpose.errors import DeviceUnreachable
from fleetpose.files import sha256
from fleetpose.interrupt import treat_sigterm_as_interrupt
from fleetpose.outlook import StageOutlook
from fleetpose.progress import Progress, Report, status
from latency.optimize import checking, judging, loss_calibration, making, measuring, modelling, reporting, sensing
from latency.optimize import job as files
from latency.optimize.job import Job
from latency.optimize.request import BUDGETED, Request
from latency.optimize.state import State, digest_of, folder_digest

#: (name, result in words, seconds) of a stage
StageRow = tuple[str, str, float]


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
        usual_secs: about how long it takes of resnet50_3 on two CPU cores, for the time left that is shown.
    """

    name: str
    work: Callable[[Job, Report], str]
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    always: bool = False
    usual_secs: float = 30.0


STAGES = (
    FlowStage("widen", measuring.widen, (), (files.WIDENING,), ("weights", "data", "seed"), usual_secs=30),
    FlowStage("tune", measuring.tune, (files.WIDENING,), (files.TUNED,),
          ("plan", "sparsities", "tune", "rounds", "seed", "budget"), usual_secs=300),
    FlowStage(
        "collect", measuring.collect, (files.TUNED, files.WIDENING), (files.RECORDS,),
        ("plan", "sparsities", "around", "rounds", "seed", "budget"), usual_secs=600,
    ),
    FlowStage("fit", modelling.fit_model, (files.RECORDS,), (files.PREDICTOR, files.FITTED), ("seed",), usual_secs=15),
    FlowStage(
        "sensitivity", sensing.measure_sensitivity, (files.PREDICTOR, files.TUNED, files.RECORDS), (files.SENSITIVITY,),
        ("goal", "caution", "frontier", "plan", "sparsities", "sensitivity", "weights", "data", "seed", "budget"),
        usual_secs=120,
    ),
    FlowStage(
        "losses", loss_calibration.calibrate_losses,
        (files.PREDICTOR, files.TUNED, files.RECORDS, files.SENSITIVITY), (files.LOSSES,),
        ("goal", "caution", "frontier", "plan", "sparsities", "weights", "data", "photographs", "reconstruction", "val",
         "seed", "budget"),
        usual_secs=120,
    ),
    FlowStage(
        "decide", modelling.decide_plan,
        (files.PREDICTOR, files.TUNED, files.RECORDS, files.SENSITIVITY, files.LOSSES), (files.PLAN,),
        ("goal", "caution", "plan", "sparsities", "rounds", "budget"),
    ),
    FlowStage("prune", making.prune_weights, (files.PLAN,), (files.PRUNED,),
          ("weights", "data", "photographs", "reconstruction", "recovery_minutes", "training_minutes", "seed"),
          usual_secs=40),
    FlowStage("build", making.build_artifacts, (files.PLAN, files.PRUNED, files.TUNED, files.WIDENING),
          (files.DENSE_SO, files.SPARSE_SO),
          ("weights", "seed"), usual_secs=60),
    FlowStage("verify", checking.verify_artifacts, (files.DENSE_SO, files.SPARSE_SO), (files.VERIFIED,), ("seed",),
          usual_secs=20),
    FlowStage("run", checking.run_photograph, (files.DENSE_SO, files.SPARSE_SO), (files.RUN,), ("image",),
          usual_secs=5),
    FlowStage("compare", checking.compare, (files.DENSE_SO, files.SPARSE_SO), (files.COMPARED,),
          ("image", "rounds", "sustained"),
          usual_secs=20),
    FlowStage("accuracy", judging.judge_accuracy, (files.PRUNED,), (files.ACCURACY,),
          ("weights", "val", "data", "photographs", "reconstruction", "recovery_minutes", "training_minutes", "image",
           "seed"),
          usual_secs=60),
    FlowStage("report", reporting.write_result, writes=(files.RESULT,), always=True, usual_secs=2),
)  # fmt: skip


def run(job: Job, state: State) -> list[StageRow]:
    """Every stage that is not done: (name, result in words, seconds) of all.

    Raises:
        KeyboardInterrupt: SIGINT or SIGTERM came; what is done is kept, and a line says how to go on.
        DeviceUnreachable: with the same line.
    """
    rows: list[StageRow] = []
    outlook = StageOutlook(expected_secs(job.request, state), set(BUDGETED))
    with treat_sigterm_as_interrupt(), status("optimizing", outlook) as progress:
        for number, stage in enumerate(STAGES, 1):
            where = f"stage {number} of {len(STAGES)}, {stage.name}"
            progress.turn_to(where)
            try:
                rows.append(run_stage(job, state, stage, progress, rows))
            except KeyboardInterrupt:
                progress.say(f"interrupted at {where}; the same command goes on from here")
                raise
            except DeviceUnreachable as error:
                raise DeviceUnreachable(f"{error}\n{where}: what is done is kept; the same command goes on") from error
    return rows


def expected_secs(request: Request, state: State) -> dict[str, float]:
    """About how long each stage takes: what it took before in this folder, else its budget, else what is usual."""
    measured = request.plan is None and request.sensitivity is None
    idle = {
        "tune": not request.tune,
        "sensitivity": not measured,
        "losses": not measured,
        "decide": request.plan is not None,
        "accuracy": request.val is None,
    }
    secs = {}
    for stage in STAGES:
        budget = request.secs(stage.name) if stage.name in BUDGETED else None
        usual = stage.usual_secs if budget is None else budget
        if idle.get(stage.name):
            usual = 1.0
        elif stage.name == "prune":
            usual = stage.usual_secs + 60 * request.learning.minutes
        before = state.secs_before(stage.name)
        secs[stage.name] = usual if before is None else min(before, budget or before)
    return secs


def run_stage(
    job: Job,
    state: State,
    stage: FlowStage,
    progress: Progress,
    rows: Sequence[StageRow],
    label: str | None = None,
) -> StageRow:
    """One stage, or what is known of it where it is done.

    Args:
        rows: of the stages before it.
        label: what the outlook of the progress calls it (default: its name).
    """
    where, outlook, label = progress.title, progress.outlook, label or stage.name
    assert outlook is not None
    digest = digest_of(inputs_of(job, stage))
    entry = None if stage.always else state.done(stage.name, digest)
    if entry is not None:
        outlook.skip(label)
        progress.say(f"{where}: done before: {entry.said}")
        return stage.name, entry.said, entry.secs
    earlier = state.secs_spent(stage.name, digest)
    budget = job.request.secs(stage.name) if stage.name in BUDGETED and stage.name != "prune" else None
    started = time.monotonic() - earlier
    job.deadline, job.stages = None if budget is None else started + budget, list(rows)
    outlook.begin(label, earlier)
    try:
        said = stage.work(job, _report(progress, started, budget))
    except BaseException:
        state.keep(stage.name, digest, time.monotonic() - started)
        raise
    outlook.end()
    secs = time.monotonic() - started
    state.keep(stage.name, digest, secs, said, [job.file_name(name) for name in stage.writes])
    progress.say(f"{where}: {said} [{secs:.0f} s]")
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
        elif name == "sensitivity":
            path = request.sensitivity_file
            inputs[name] = str(request.sensitivity) if path is None else sha256(path)
        elif name in ("plan", "weights", "image"):
            path = getattr(request, name)
            inputs[name] = None if path is None else sha256(path)
        elif name == "data":
            inputs[name] = [folder_digest(folder) for folder in request.data]
        elif name == "val":
            inputs[name] = None if request.val is None else folder_digest(request.val)
        elif name in ("goal", "caution"):
            inputs[name] = vars(getattr(request, name))
        else:
            value = getattr(request, name)
            inputs[name] = list(map(str, value)) if isinstance(value, tuple) else value
    return inputs
