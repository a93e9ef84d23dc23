"""Collector: brings a file of records up to a wanted set of layers and networks, from wherever an earlier run stopped.

What has a record is not measured again, failures included. A run's records are written as soon as it is over, so that
whatever ends the process loses at most the runs that were being timed.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from devices.session import Session
from devices.timing.measure import device_of
from fleetpose.errors import DeviceUnreachable
from fleetpose.progress import Report, no_report
from latency.profiling.bench import Outcome
from latency.profiling.device_pool import DevicePool, Feed
from latency.profiling.interleaved_run import RunSettings
from latency.profiling.network_timing import NetworkVariant, network_record
from latency.profiling.outcomes import layer_records
from latency.profiling.prepare import Recipe
from latency.profiling.reference_kernel import Pace, ReferenceKernel
from latency.profiling.space import Group, runs
from latency.records.journal import Journal
from latency.records.record import Record

log = logging.getLogger("latency.profiling.collector")

#: puts runs that wait into the order they are to be done in; may change or drop some
Order = Callable[[list[Group]], list[Group]]


@dataclass
class Collector:
    """What is measured on, how, and where to.

    Attributes:
        journal: the file of records, open.
        recipe, settings: how layers are compiled and timed.
        report: told what is being done, the variants done and all variants.
        budget_secs: no run is begun later than this after the start; None: no end.
        order: puts the runs into the order they are done in (default: as they come).
        least: layers' times that the file is to have whatever the budget.
        measured: records written.
        failed: those of them that are failures, by kind.
    """

    journal: Journal
    recipe: Recipe
    settings: RunSettings
    report: Report = no_report
    budget_secs: float | None = None
    order: Order | None = None
    least: int = 0
    measured: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    started: float = field(default_factory=time.monotonic)
    _total: int = 0

    def layers(self, groups: Sequence[Group], session: Session, others: Sequence[Callable[[], Session]] = ()) -> None:
        """Time what is left of `groups`, on the session's device and those that `others` open.

        Raises DeviceUnreachable where no device is left, KeyboardInterrupt as it came.
        """
        waiting = runs(self.groups_left(groups, session))
        self._total = self.measured + self.count_left(groups, session)
        if self.order is not None:
            waiting = self.order(waiting)
        feed = Feed(waiting, self.expired)

        def keep(group: Group, outcomes: list[Outcome], pace: Pace, used: Session) -> None:
            self._keep(layer_records(group, outcomes, pace, used), group.workload.label)

        DevicePool(feed, self.recipe, self.settings, keep, self._say).run(session, others)

    def networks(self, wanted: Sequence[NetworkVariant], session: Session) -> None:
        """Time the networks that have no record yet. Raises DeviceUnreachable where the device is gone."""
        waiting = [network for network in wanted if network.identity(session) not in self.journal]
        self._total = self.measured + len(waiting)
        if not waiting:
            return
        if not session.alive():
            session.reconnect()
        reference = ReferenceKernel(session, self.settings.patience, self._say, host=self.settings.host)
        for network in waiting:
            if self.expired():
                return
            self._say(f"{network.graph.name}, the whole network")
            record = network_record(session, network, self.recipe, self.settings, reference)
            self._keep([record], network.graph.name)

    def groups_left(self, groups: Sequence[Group], session: Session) -> list[Group]:
        """The groups with the variants that have no record; the dense one, which ratios need, stays with them."""
        device, waiting = device_of(session), []
        for group in groups:
            missing = [variant for variant in group.sparsities if group.identity(variant, device) not in self.journal]
            if missing:
                sparse = [variant for variant in missing if variant is not None]
                waiting.append(replace(group, sparsities=(None, *sparse)))
        return waiting

    def count_left(self, groups: Sequence[Group], session: Session) -> int:
        """Variants without a record."""
        device = device_of(session)
        return sum(
            group.identity(variant, device) not in self.journal for group in groups for variant in group.sparsities
        )

    def expired(self) -> bool:
        """Whether the time is over, and the least is done."""
        if self.budget_secs is None or time.monotonic() - self.started < self.budget_secs:
            return False
        return sum(record.ok and record.kind == "layer" for record in self.journal.records) >= self.least

    def _keep(self, records: list[Record], what: str) -> None:
        written = self.journal.append(records)
        self.measured += len(written)
        for record in written:
            if record.failure is not None:
                self.failed[record.failure.kind] += 1
                log.info("%s %s: %s: %s", what, record.sparsity, record.failure.kind, record.failure.reason)
        self._say(what)

    def _say(self, message: str, *_: int) -> None:
        self.report(message, self.measured, self._total)


@dataclass(frozen=True)
class Collection:
    """What a collection came to.

    Attributes:
        records: how many the file has now.
        measured: how many of them are new.
        failed: how many of the new ones are failures, by kind.
        left: variants and networks that have no record yet.
        stopped: what ended it before its time: KeyboardInterrupt or DeviceUnreachable; None where nothing did.
    """

    records: int
    measured: int
    failed: Mapping[str, int]
    left: int
    stopped: BaseException | None = None


def collect(
    collector: Collector,
    session: Session,
    groups: Sequence[Group],
    networks: Sequence[NetworkVariant] = (),
    others: Sequence[Callable[[], Session]] = (),
) -> Collection:
    """Time networks and layers that have no record yet; what stops this early is in the answer, not raised.

    Args:
        collector: how they are timed, and the open file of records.
        session: an open session; its device is what the records are of.
        others: open one further session each, of devices that share the work on layers.
    """
    stopped: BaseException | None = None
    try:
        collector.networks(networks, session)  # few, and no calibration without them: first, if time is short
        collector.layers(groups, session, others)
    except (KeyboardInterrupt, DeviceUnreachable) as error:
        stopped = error
    left = collector.count_left(groups, session)
    left += sum(network.identity(session) not in collector.journal for network in networks)
    return Collection(len(collector.journal.records), collector.measured, dict(collector.failed), left, stopped)
