"""A frontier, stage by stage: what all plans share once, then each plan in a folder of its own, then all in one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fleetpose.errors import DeviceUnreachable
from fleetpose.files import write_json
from fleetpose.interrupt import treat_sigterm_as_interrupt
from fleetpose.outlook import StageOutlook
from fleetpose.progress import Progress, Report, status
from latency.optimize import checking, making
from latency.optimize import job as files
from latency.optimize.checking import breakdowns, comparison_facts, comparison_text, example, time_in_turn
from latency.optimize.flow import STAGES, FlowStage, StageRow, expected_secs, run_stage
from latency.optimize.frontier.gathering import FRONTIER, PICTURE, TABLE, write_frontier
from latency.optimize.frontier.speedups import speedups_of
from latency.optimize.job import COMPARED, DENSE_SO, SPARSE_SO, Job
from latency.optimize.request import BUDGETED
from latency.optimize.sensing import known_options
from latency.optimize.state import State
from latency.planning.choosing import Goal

BY_NAME = {stage.name: stage for stage in STAGES}
#: what all plans share
SHARED_STAGES = tuple(BY_NAME[name] for name in ("widen", "tune", "collect", "fit", "sensitivity", "losses"))
DENSE_STAGES = (
    replace(BY_NAME["build"], work=making.build_dense, reads=(files.TUNED, files.WIDENING), writes=(files.DENSE_SO,)),
    replace(BY_NAME["verify"], work=checking.verify_dense, reads=(files.DENSE_SO,)),
)
#: what each plan goes through before all are compared, and after it
PLAN_STAGES = (
    BY_NAME["decide"],
    BY_NAME["prune"],
    replace(BY_NAME["build"], work=making.build_planned, writes=(files.SPARSE_SO,)),
    replace(BY_NAME["verify"], work=checking.verify_planned),
    BY_NAME["run"],
)
LAST_STAGES = (BY_NAME["accuracy"], BY_NAME["report"])


def run_frontier(job: Job, state: State) -> tuple[list[StageRow], dict[float, Job]]:
    """Every stage that is not done: (name, result in words, seconds) of all; and the job of each speed-up.

    Raises:
        KeyboardInterrupt: SIGINT or SIGTERM came; what is done is kept, and a line says how to go on.
        DeviceUnreachable: with the same line.
    """
    with treat_sigterm_as_interrupt(), status("optimizing", StageOutlook({}, set())) as progress:
        running = _Frontier(job, state, progress)
        try:
            running.run()
        except KeyboardInterrupt:
            progress.say(f"interrupted at {progress.title}; the same command goes on from here")
            raise
        except DeviceUnreachable as error:
            raise DeviceUnreachable(
                f"{error}\n{progress.title}: what is done is kept; the same command goes on"
            ) from error
        return running.rows, running.points


class _Frontier:
    """One frontier at work.

    Attributes:
        points: the jobs of the plans by speed-up.
    """

    def __init__(self, job: Job, state: State, progress: Progress) -> None:
        self.job, self.state, self.progress = job, state, progress
        self._owned: list[tuple[float | None, StageRow]] = []
        self.points: dict[float, Job] = {}
        self.states: dict[float, State] = {}

    @property
    def rows(self) -> list[StageRow]:
        """Of the stages so far, those of plans with their folder before the name."""
        return [row for _, row in self._owned]

    def run(self) -> None:
        secs = expected_secs(self.job.request, self.state)
        self._expect({stage.name: secs[stage.name] for stage in SHARED_STAGES})
        for stage in SHARED_STAGES:
            self._run(stage)
        self._make_points()
        of_plans = {f"{self.points[value].request.folder.name} {stage.name}": secs[stage.name]
                for value in self.points for stage in (*PLAN_STAGES, *LAST_STAGES)}  # fmt: skip
        self._expect({"build": secs["build"] / 2, "verify": secs["verify"] / 2, "compare": secs["compare"], **of_plans,
                      "report": 5.0})  # fmt: skip
        for stage in DENSE_STAGES:
            self._run(stage)
        for value in self.points:
            for stage in PLAN_STAGES:
                self._run(stage, value)
        names = {value: point.request.folder.name for value, point in self.points.items()}
        self._run(self._compare_stage(names))
        for value in self.points:
            for stage in LAST_STAGES:
                self._run(stage, value)
        self._run(FlowStage("report", self._write, writes=(FRONTIER, PICTURE, TABLE), always=True))

    def _expect(self, secs: Mapping[str, float]) -> None:
        """The time left is that of these stages."""
        self.progress.outlook = StageOutlook(secs, set(BUDGETED))

    def _make_points(self) -> None:
        asked, budget = self.job.request.frontier, self.job.request.budget_minutes
        speedups = speedups_of(known_options(self.job), asked)
        each_minutes = None if budget is None else budget / len(speedups)  # plans share what one plan would have
        for value in speedups:
            folder = self.job.request.folder / f"{value:g}x"
            request = replace(self.job.request, frontier=(), goal=Goal(speedup=value), folder=folder,
                              budget_minutes=each_minutes)  # fmt: skip
            self.points[value] = replace(self.job, request=request, shared=self.job.request.folder, stages=[])
            self.points[value].__dict__["graph"] = self.job.graph  # traced once
            about = {"model": request.model, "input_size": list(request.input_size)}
            self.states[value] = State(folder, about, force=True)

    def _run(self, stage: FlowStage, value: float | None = None) -> None:
        """A stage of the whole, or of the plan of one speed-up."""
        job, state = (self.job, self.state) if value is None else (self.points[value], self.states[value])
        label = stage.name if value is None else f"{job.request.folder.name} {stage.name}"
        self.progress.turn_to(f"stage {label}")
        rows = [row for owner, row in self._owned if owner in (None, value)]
        _, said, secs = run_stage(job, state, stage, self.progress, rows, label)
        self._owned.append((value, (label, said, secs)))

    def _compare_stage(self, names: Mapping[float, str]) -> FlowStage:
        reads = (DENSE_SO, *(f"{name}/{SPARSE_SO}" for name in names.values()))
        writes = tuple(f"{name}/{COMPARED}" for name in names.values())
        return FlowStage("compare", self._compare, reads, writes, ("image", "rounds"), usual_secs=20)

    def _compare(self, job: Job, report: Report) -> str:
        """All networks and the reference kernel timed in turn, A B C, C B A, by wall clock."""
        report("all networks in turn")
        dense = job.artifact(DENSE_SO)
        planned = {point.request.folder.name: point.artifact(SPARSE_SO) for point in self.points.values()}
        tensor = example(job, dense)
        result, condition = time_in_turn(job, {"dense": dense, **planned}, tensor, report)
        said = list[str]()
        for point in self.points.values():
            name = point.request.folder.name
            facts = comparison_facts(result, condition, name)
            report(f"{name}: where the time goes")
            wall_ms = {which: facts[which]["ms"] for which in ("dense", "sparse")}
            facts.update(breakdowns(point, {"dense": dense, "sparse": planned[name]}, tensor, wall_ms))
            write_json(point.path(COMPARED), facts, force=True)
            said.append(f"{name} {facts['speedup']['median']:.2f} times as fast" if said else comparison_text(facts))
        job.unload()  # points share what is loaded
        return "; ".join(said)

    def _write(self, job: Job, report: Report) -> str:
        report("table and picture")
        return write_frontier(job, self.points)
