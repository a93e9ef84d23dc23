"""Many mutations in one child process, which is begun again where it crashes or hangs; counted."""

from __future__ import annotations

import os
import random
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fleetpose.errors import FleetposeError
from tests.fuzz.mutations import Mutation

#: seconds of computing that a reader has for one file, and bytes of memory for what it makes of it
BOUND_SECS, BOUND_BYTES = 20.0, 12 << 30
#: seconds for each of these that may pass meanwhile
BUSY = 10
#: letters of an error beside the file's path; none is as long where 80 letters of the input are quoted
LONGEST = 4_500


@dataclass(frozen=True)
class Reader:
    """A reader of files.

    Attributes:
        suffix: of the files.
        samples: whole files' contents, made once.
        mutate: changes one of them.
        read: reads a file, and looks at what it read; FleetposeError is a refusal.
    """

    suffix: str
    samples: Callable[[], list[bytes]]
    mutate: Mutation
    read: Callable[[Path], object]


@dataclass
class Tally:
    """What became of mutated files. `read`: they were still whole; `refused`: in words.

    The other four are faults, as "seed: what was said".
    """

    tried: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: dict[str, list[str]] = field(default_factory=lambda: {kind: [] for kind in FAULTS})

    @property
    def held(self) -> int:
        return self.outcomes["read"] + self.outcomes["refused"]

    def add(self, other: Tally) -> None:
        """Count another's files too."""
        self.tried += other.tried
        self.outcomes += other.outcomes
        for kind, said in other.faults.items():
            self.faults[kind] += said

    def note(self, index: int, outcome: str, said: str) -> None:
        self.tried += 1
        if outcome in self.faults:
            self.faults[outcome].append(f"{index}: {said}")
        else:
            self.outcomes[outcome] += 1


#: an exception that is no refusal; an error of several lines or pages; the end of the process; no end
FAULTS = ("tracebacks", "long errors", "crashes", "hangs")


def mutated(reader: Reader, samples: list[bytes], seed: int, index: int) -> bytes:
    """The file of a number."""
    rng = random.Random(f"{seed} {index}")
    return reader.mutate(samples[index % len(samples)], rng)


def fuzz(reader: Reader, count: int, seed: int = 0, start: int = 0) -> Tally:
    """What a reader does with `count` mutated files."""
    tally, samples, index = Tally(), reader.samples(), start
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        while index < start + count:
            index = _run_child(reader, samples, seed, range(index, start + count), Path(folder), tally)
    return tally


def _run_child(reader: Reader, samples: list[bytes], seed: int, indices: range, folder: Path, tally: Tally) -> int:
    """Let a child go through files until it ends; the number of the next file."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receive)
        _child(reader, samples, seed, indices, folder, send)
    os.close(send)
    index, buffer, spent, began = indices.start, b"", _cpu_secs(child), time.monotonic()
    try:
        while True:
            if select.select([receive], [], [], 1.0)[0]:
                part = os.read(receive, 1 << 16)
                if not part:
                    break
                *lines, buffer = (buffer + part).split(b"\n")
                for line in lines:
                    outcome, _, said = line.decode(errors="replace").partition("\t")
                    tally.note(index, outcome, said)
                    index += 1
                spent, began = _cpu_secs(child), time.monotonic()
            elif _cpu_secs(child) - spent > BOUND_SECS or time.monotonic() - began > BUSY * BOUND_SECS:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                tally.note(index, "hangs", f"no end within {BOUND_SECS:g} s")
                return index + 1
    finally:
        os.close(receive)
    _, status = os.waitpid(child, 0)
    if index < indices.stop:
        tally.note(index, "crashes", f"the process ended with status {os.waitstatus_to_exitcode(status)}")
        return index + 1
    return index


def _cpu_secs(process: int) -> float:
    """Seconds that a process has computed: on a busy machine that tells one that hangs from one that waits."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _child(reader: Reader, samples: list[bytes], seed: int, indices: range, folder: Path, send: int) -> None:
    """Never returns."""
    try:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (BOUND_BYTES, BOUND_BYTES))
        sys.stdout, sys.stderr = open(os.devnull, "w"), open(os.devnull, "w")  # noqa: SIM115
        for index in indices:
            path = folder / f"file{reader.suffix}"
            path.write_bytes(mutated(reader, samples, seed, index))
            outcome, said = _outcome(reader, path)
            os.write(send, f"{outcome}\t{said}".replace("\n", " ")[:1_500].encode(errors="replace") + b"\n")
    except BaseException as error:  # of what changes files, not of a reader
        os.write(send, f"crashes\tthe fuzzer itself: {error!r}".replace("\n", " ")[:300].encode() + b"\n")
    finally:
        os._exit(0)


def _outcome(reader: Reader, path: Path) -> tuple[str, str]:
    try:
        reader.read(path)
    except FleetposeError as error:
        text = str(error.args[0]).replace(str(path), "")
        return ("refused", "") if len(text) < LONGEST and "\n" not in text.strip() else ("long errors", text[:300])
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "/site-packages/" not in frame.filename]
        place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno} > {Path(where.filename).name}:{where.lineno}"
        return "tracebacks", f"{type(error).__name__} at {place}: {str(error)[:200]}"
    return "read", ""
