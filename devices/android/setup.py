"""`setup`: phones made ready side by side, looked at, given a profile, and what to type next."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from devices.adb.phone import AdbPhone
from devices.android.agent import clear_quietly
from devices.android.background_tracker import HOST, ensure_tracker
from devices.android.drafting import choose_profile, draft_profile
from devices.android.facts import TARGET_HOST
from devices.android.offering import CheckedPhone, OfferedPhone, check_phone, offer_phone
from devices.android.probing import ReachedPeaks, measure_peaks
from devices.android.running import end_unused_tracker
from devices.doctor import healthy
from devices.opening import open_device
from devices.profile import load_profile
from fleetpose.disk.temporaries import WorkFolder
from fleetpose.errors import FleetposeError, reason
from fleetpose.files import atomic_output
from fleetpose.progress import Report
from runtime.agent import build_agent

log = logging.getLogger("devices.android.setup")


@dataclass(frozen=True)
class SetupRequest:
    """What `setup` is told.

    Attributes:
        key: to offer all phones under; None: one for each model.
        tracker_port: of this machine's tracker, which is started where none listens.
        agent: an executable to take in place of the one that is built for Android's arm64.
        out: where the draft of a profile goes; None: beside, by the GPU's model. Nothing is replaced unless `force`.
    """

    key: str | None
    tracker_port: int
    agent: Path | None = None
    out: Path | None = None
    force: bool = False


@dataclass(frozen=True)
class ReadyPhone:
    """A phone that was set up: what is known of it, and where its profile is: a name, or a file that was written."""

    offered: OfferedPhone
    checked: CheckedPhone
    profile: str | None
    drafted: bool
    secs: float

    @property
    def healthy(self) -> bool:
        """Whether every check that matters was passed."""
        return healthy(self.checked.findings)


@dataclass(frozen=True)
class SetupOutcome:
    """What became of each phone: those that are ready, and of the others what was wrong."""

    ready: list[ReadyPhone]
    failures: list[FleetposeError]

    @property
    def status(self) -> int:
        """The command's exit status: that of the first phone that could not be set up, or 1 where a check failed."""
        if self.failures:
            return self.failures[0].exit_status
        return 0 if all(phone.healthy for phone in self.ready) else 1


def set_up(phones: Sequence[AdbPhone], request: SetupRequest, report: Report) -> SetupOutcome:
    """Make phones ready to measure, side by side; one that cannot be costs the others nothing.

    Raises UsageError where no tracker can be started. A tracker that was started for nothing is ended again.
    """
    begun = time.monotonic()
    started = ensure_tracker(request.tracker_port)
    os.environ |= {"TVM_TRACKER_HOST": HOST, "TVM_TRACKER_PORT": str(request.tracker_port)}
    ready, failures = [], []
    try:
        for answer in _offer_all(phones, request, report):
            if isinstance(answer, FleetposeError):
                failures.append(answer)
                continue
            report(f"{answer.phone}: checking")
            try:
                ready.append(_check(answer, request, begun))
            except FleetposeError as error:
                clear_quietly(answer.phone, request.tracker_port)
                failures.append(error)
    except BaseException:  # Ctrl-C, which the threads of the phones do not see, among others
        for phone in phones:
            clear_quietly(phone, request.tracker_port)
        ready.clear()
        raise
    finally:
        if started and not ready:
            end_unused_tracker(request.tracker_port)
    return SetupOutcome(ready, failures)


def _check(offered: OfferedPhone, request: SetupRequest, begun: float) -> ReadyPhone:
    """Look at a phone that is on offer, and choose its profile. Raises DeviceUnreachable where it is there no more."""
    checked = check_phone(offered.key)
    if not healthy(checked.findings):
        offered.phone.shell("true")  # what is wrong with a phone that is not there is just that
    profile, drafted = keep_profile(offered.key, checked, request)
    return ReadyPhone(offered, checked, profile, drafted, time.monotonic() - begun)


def _offer_all(
    phones: Sequence[AdbPhone], request: SetupRequest, report: Report
) -> list[OfferedPhone | FleetposeError]:
    """Offer every phone, each in a thread; what was wrong in place of those that could not be."""
    with tempfile.TemporaryDirectory() as folder:
        program = _program(request, Path(folder))

        def offer(phone: AdbPhone) -> OfferedPhone | FleetposeError:
            try:
                return offer_phone(
                    phone, program, request.key, request.tracker_port,
                    any_processor=request.agent is not None, report=report,
                )  # fmt: skip
            except FleetposeError as error:
                return error

        with ThreadPoolExecutor(max(len(phones), 1), "phone") as pool:
            return list(pool.map(offer, phones))


def _program(request: SetupRequest, folder: Path) -> Callable[[], Path]:
    """What answers the agent's executable, built once, when the first phone asks for it."""
    if request.agent is not None:
        given = request.agent
        return lambda: given
    lock = threading.Lock()
    built: list[Path] = []

    def program() -> Path:
        with lock:
            if not built:
                built.append(build_agent(TARGET_HOST, folder))
            return built[0]

    return program


def keep_profile(key: str, checked: CheckedPhone, request: SetupRequest) -> tuple[str | None, bool]:
    """The profile of a phone's GPU, and whether it is a draft: the name, or the file that has it.

    A file that is there already is taken as it is: somebody may have measured what it says.
    """
    if checked.info is None or not checked.info.name:
        return None, False
    choice = choose_profile(checked.info)
    if choice.draft is None:
        return choice.name, False
    path = request.out or Path(f"{choice.name}.toml")
    if request.force or not path.exists():
        text = draft_profile(checked.info, _peaks(key, choice.draft))
        with atomic_output(path, force=True) as part:
            part.write_text(text, encoding="utf-8")
    return str(path), True


def _peaks(key: str, draft: str) -> ReachedPeaks:
    """What small kernels reach on a phone whose profile is a draft; nothing where they do not run."""
    with WorkFolder() as folder:
        (folder / "draft.toml").write_text(draft, encoding="utf-8")
        profile = load_profile(folder / "draft.toml")
    try:
        with open_device(f"rpc:{key}", profile) as session:
            return measure_peaks(session, profile.fp16)
    except (FleetposeError, RuntimeError) as error:
        log.warning("no peaks of rpc:%s were measured: %s", key, reason(error, 1))
        return ReachedPeaks()
