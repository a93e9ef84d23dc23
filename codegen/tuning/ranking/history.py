"""History: the trials a tuning learns from and adds to, and the candidates that it is to time by them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from codegen.kernels.choice import ScheduleChoice
from codegen.tuning.contest import Contest
from codegen.tuning.ranking.ranker import Ranker
from codegen.tuning.ranking.trials import Trials, join_trials, read_trials, rounded_ms, trials_path, write_trials
from codegen.tuning.tasks import Task


@dataclass
class TrialHistory:
    """Trials of one device.

    Attributes:
        path: the file that a tuning adds to.
        known: the trials of all workloads, the newest last, those that come with the package among them.
    """

    path: Path
    known: list[Trials]

    @classmethod
    def of(cls, tuned: Path, shipped: Path) -> TrialHistory:
        """The history beside a file of tuned data, and what stands beside the data that come with the package.

        Raises UsageError for a file that cannot be read.
        """
        path = trials_path(tuned)
        paths = dict.fromkeys((trials_path(shipped), path))
        return cls(path, join_trials(trials for file in paths for trials in read_trials(file)))

    def choose(self, task: Task, count: int, lanes: int) -> list[ScheduleChoice]:
        """The default and the others that promise most, `count` of all; `lanes` are elements of a vector."""
        if count >= len(task.choices):
            return [*task.choices]
        order = Ranker.learn(self.known, lanes).order(task.key, task.choices)
        return [task.choices[number] for number in order[:count]]

    def add(self, task: Task, contest: Contest) -> None:
        """Keep what a contest timed, in the file too. Raises UsageError where that cannot be written."""
        choices = tuple(trial.choice.to_dict() for trial in contest.trials)
        times = rounded_ms([trial.secs if trial.failure is None else None for trial in contest.trials])
        trials = Trials(task.key, choices, times, len(task.layers))
        self.known = join_trials([*self.known, trials])
        write_trials(self.path, [*read_trials(self.path), trials])
