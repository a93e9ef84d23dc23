"""`python -m tests.writing HOW CASE GIVEN FOLDER COUNT`: a command again and again, in processes forked from this one.

HOW is "prepare" (make what cases are given; CASE "device": also an artifact for this machine), "kill" (at random
moments), "fill" (on a disk that is full at several places, which this process mounts), or "name" (in folders whose
names are not UTF-8). Prints a JSON report: how many were tried, and what was wrong.
"""

from __future__ import annotations

import getpass
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from fleetpose import cli
from tests.writing.cases import CASES, SPARSITIES, TINY, Case
from tests.writing.whole import hidden_files, torn_files

KILLS, PLACES = 20, 10
PAGE = 4096
SIGNS = ("Traceback", "not foreseen", "LLVM ERROR", "enforce fail", "Exception ignored")
FULL = "No space left on device"
#: torch's folder among temporary files, which it keeps
TORCHS = {f"torchinductor_{getpass.getuser()}"}


class Run:
    """A command in a forked process: its words go to a file."""

    def __init__(self, case: Case, given: Path, out: Path, words: Path, temporary: Path) -> None:
        self.words = words
        module = importlib.import_module(case.module)
        self.pid = os.fork()
        if self.pid == 0:
            os.environ["TMPDIR"] = str(temporary)
            said = os.open(words, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            for number in (1, 2):
                os.dup2(said, number)
            sys.exit(cli.run(module.main, module.make_parser(), [str(flag) for flag in case.flags(given, out)]))

    def ended(self, within_secs: float) -> int | None:
        """The status, negative for a signal, if it ends in time."""
        until = time.monotonic() + within_secs
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() >= until:
                return None
            time.sleep(0.002)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    @property
    def said(self) -> str:
        return self.words.read_text(errors="replace")


def register_networks() -> None:
    from tests.scatter import overlook_scatter
    from tests.small_network import register_small
    from tests.tiny_pose import register_tiny

    register_tiny()
    register_small()
    overlook_scatter()


def begin(case: Case, out: Path) -> None:
    """Make the folder to write to, with what has to be there before."""
    if not out.exists():
        out.mkdir(parents=True)
        case.begin(out)


class Report:
    """What was tried, and what was wrong."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.problems: list[str] = []

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def whole(self, case: Case, run: Run, out: Path, reference: Path | None) -> None:
        """Take in a run that has to do all there is to do."""
        status = run.ended(600)
        if status != 0:
            self.problems.append(f"status {status}: {run.said[-1500:]}")
        self.problems += torn_files(out) + hidden_files(out)
        self.problems += [f"{name} is missing" for name in case.outputs if not (out / name).is_file()]
        if reference is not None:
            unequal = [name for name in case.equal if not same(out / name, reference / name)]
            self.problems += [f"{name} is not what an uninterrupted run writes" for name in unequal]


def same(path: Path, other: Path) -> bool:
    return path.is_file() and other.is_file() and path.read_bytes() == other.read_bytes()


def kill_at_random(case: Case, given: Path, folder: Path, kills: int) -> Report:
    """Kill the command, go on with it in the same folder, or begin anew where it is done."""
    report, moments = Report(), random.Random(case.module)
    temporary, words, whole, out = (folder / name for name in ("tmp", "words", "whole", "out"))
    temporary.mkdir()

    def start(where: Path) -> Run:
        begin(case, where)
        return Run(case, given, where, words, temporary)

    began = time.monotonic()
    report.whole(case, start(whole), whole, None)
    secs = time.monotonic() - began
    attempts = 0
    while report.counts.get("killed", 0) < kills and attempts < 4 * kills:
        attempts += 1
        run = start(out)
        moment = secs * (moments.uniform(0, 1) if moments.random() < 0.7 else moments.uniform(0.85, 1.05))
        if run.ended(moment) is None:
            run.kill()
            report.count("killed")
            report.problems += torn_files(out)
        if all((out / name).is_file() for name in case.outputs):
            report.count("done before the kill")
            report.whole(case, start_over(case, given, out, words, temporary), out, whole)
            shutil.rmtree(out)
    report.whole(case, start(out), out, whole)
    report.problems += leftovers(temporary)
    return report


def start_over(case: Case, given: Path, out: Path, words: Path, temporary: Path) -> Run:
    """The command once more where its outputs are there, which it may replace, so that leftovers are swept."""
    forced = Case(case.module, lambda *folders: (*case.flags(*folders), *_force(case)), case.outputs, case.equal)
    return Run(forced, given, out, words, temporary)


def _force(case: Case) -> tuple[str, ...]:
    parser = importlib.import_module(case.module).make_parser()
    return ("--force",) if "--force" in parser.format_help() and "optimize" not in case.module else ()


def size_of(folder: Path) -> int:
    """Bytes of the pages of all files below a folder."""
    return sum(-(-path.stat().st_size // PAGE) * PAGE for path in folder.rglob("*") if path.is_file())


def leftovers(temporary: Path) -> list[str]:
    """What lies among temporary files 10 s after the last process ended; what children of it remove takes a moment."""
    until = time.monotonic() + 10
    while (left := set(os.listdir(temporary)) - TORCHS) and time.monotonic() < until:
        time.sleep(0.1)
    return [f"temporary {name} is left" for name in sorted(left)]


def fill_disk(case: Case, given: Path, folder: Path, places: int) -> Report:
    """The command on a disk that is full at so many places, and again when it has become larger."""
    report = Report()
    disk, words = folder / "disk", folder / "words"
    temporary, out, whole = folder / "tmp", disk / "out", folder / "whole"
    for path in (disk, temporary):
        path.mkdir()
    begin(case, whole)
    before = size_of(whole)
    report.whole(case, Run(case, given, whole, words, temporary), whole, None)
    needed = size_of(whole) - before
    for place in range(places):
        mount(disk, 64 << 20)
        begin(case, out)
        (disk / "filler").write_bytes(bytes(PAGE))  # a tmpfs has one page at least, in which small outputs would fit
        mount(disk, before + needed * place // places // PAGE * PAGE + PAGE, again=True)
        report_of_full(report, case, Run(case, given, out, words, temporary), out)
        mount(disk, before + 4 * needed + (16 << 20), again=True)
        if not all((out / name).is_file() for name in case.outputs):
            report.whole(case, Run(case, given, out, words, temporary), out, whole)
        subprocess.run(["umount", disk], check=True)
    for kilobytes in (4, 64, 512):  # and only what is temporary on it
        shutil.rmtree(folder / "elsewhere", ignore_errors=True)
        begin(case, folder / "elsewhere")
        mount(disk, kilobytes << 10)
        run = Run(case, given, folder / "elsewhere", words, disk)
        report_of_full(report, case, run, folder / "elsewhere")
        subprocess.run(["umount", "-l", disk], check=True)
    report.problems += leftovers(temporary)
    return report


def name_badly(case: Case, given: Path, folder: Path, _count: int) -> Report:
    """The command with a folder of what is given, and one to write to, whose names are not UTF-8."""
    report, bad = Report(), folder / os.fsdecode(b"f\xe9e")
    bad.mkdir()
    for path in given.iterdir():
        (bad / path.name).symlink_to(path)
    begin(case, bad / "out")
    run = Run(case, bad, bad / "out", folder / "words", folder)
    if case.flags is CASES["video"].flags:
        status = run.ended(600)
        if status != 2 or "has a name that is not UTF-8; rename it" not in run.said:
            report.problems.append(f"status {status}: {run.said[-1500:]}")
    else:
        report.whole(case, run, bad / "out", None)
    return report


def report_of_full(report: Report, case: Case, run: Run, out: Path) -> None:
    """Take in a run on a disk that may be too small."""
    status, name = run.ended(600), f"python -m {case.module.removesuffix('.__main__')}: "
    said = [line for line in run.said.splitlines() if line.startswith(name)]
    if status == 2 and len(said) == 1 and FULL in said[0]:
        report.count("refused in one line")
    elif status == 0:
        report.count("fitted")
    else:
        report.problems.append(f"status {status}: {run.said[-1500:]}")
    report.problems += [f"says {sign!r}: {run.said[-1500:]}" for sign in SIGNS if sign in run.said]
    report.problems += torn_files(out) + hidden_files(out)


def mount(folder: Path, size: int, again: bool = False) -> None:
    how = f"{'remount,' if again else ''}size={size}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", how, "none", folder], check=True)


def prepare(given: Path, device: bool) -> Report:
    """Make what the cases are given; by forked processes, so that this one stays without threads.

    device: also an artifact for this machine's.
    """
    from tests.tiny_pose import write_coco

    report, words, temporary = Report(), given / "words", given / "tmp"
    temporary.mkdir()
    register_networks()
    write_coco(given / "coco")
    pid = os.fork()
    if pid == 0:
        _save_weights_and_plan(given)
        sys.exit(0)
    if os.waitpid(pid, 0)[1]:
        report.problems.append("no weights, plan or video")
        return report
    for name, out in (("collect", "t.jsonl"), ("fit", "m.predictor"), ("sensitivity", "s.json")):
        begin(CASES[name], given / name)
        report.whole(CASES[name], Run(CASES[name], given, given / name, words, temporary), given / name, None)
        shutil.copy(given / name / out, given)
    if device:
        built = Case("codegen.build", _build_here, ("pose.so", "pose.json"))
        report.whole(built, Run(built, given, given, words, temporary), given, None)
    return report


def _build_here(given: Path, out: Path) -> tuple[object, ...]:
    return "--model", TINY, "--weights", given / "w.safetensors", "--device", "host", "-o", out / "pose.so"


def _save_weights_and_plan(given: Path) -> None:
    import numpy as np

    from codegen.artifact.video import VideoWriter
    from models.frontend.trace import trace
    from models.plans.plan import Plan
    from models.plans.sparsity import Sparsity
    from models.resolve import create_model
    from models.zoo.weights import save_weights

    network = create_model(TINY, seed=3)
    save_weights(network, given / "w.safetensors")
    graph = trace(network, (3, 64, 64), TINY)
    Plan.of(TINY, graph.layers, {"neck": Sparsity.parse(SPARSITIES[0])}).save(given / "plan.json")
    writer, noise = VideoWriter(given / "noise.avi", (48, 64), 25.0, follow_clock=False), np.random.default_rng(0)
    for _ in range(30):
        writer.write(noise.integers(0, 256, (48, 64, 3), np.uint8), 0.0)
    writer.finish()


def main() -> int:
    how, name, given, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
    folder.mkdir(parents=True, exist_ok=True)
    count = int(sys.argv[5])
    if how == "prepare":
        report = prepare(given, name == "device")
    else:
        importlib.import_module(CASES[name].module)
        if CASES[name].networks:
            register_networks()  # before forking, so that the imports are shared
        work: Any = {"kill": kill_at_random, "fill": fill_disk, "name": name_badly}[how]
        report = work(CASES[name], given, folder, count or {"kill": KILLS, "fill": PLACES}.get(how, 1))
    print(json.dumps({"counts": report.counts, "problems": report.problems}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
