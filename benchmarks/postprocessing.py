"""From maps to people, three ways, on crowds whose truth is known: `python -m benchmarks.postprocessing`.

Each crowd is rendered as the maps of a perfect network (`benchmarks.synthetic_people`): clean, and with noise and
hidden joints. Timed is the processor's time from maps of 46 x 46 cells in memory to people in pixels of the 368 x 368
input, in this process on one thread, after a first call that is not counted; decoders take turns, Python's and those of
the C runtime, which is compiled for it. The paper's figures are of its own implementations on a desktop CPU and not of
these maps: they stand beside ours for scale only.
"""

from __future__ import annotations

import os

# Before NumPy: its BLAS reads this once.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse  # noqa: E402
import platform  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from dataclasses import asdict, dataclass, replace  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import cv2  # noqa: E402
import numpy as np  # noqa: E402

from benchmarks.runtime_pose import PoseLibrary, RuntimePose, compile_pose_library, maps_of  # noqa: E402
from benchmarks.synthetic_people import RENDERERS, Account, compare, crowd, hide  # noqa: E402
from fleetpose import cli  # noqa: E402
from fleetpose.errors import UsageError  # noqa: E402
from fleetpose.progress import status  # noqa: E402
from models.pose.decoding.decoders import decoder  # noqa: E402
from models.pose.person import Person  # noqa: E402
from models.preprocess import Placement  # noqa: E402

CELLS, PIXELS = (46, 46), (368, 368)
#: Half a cell.
TOLERANCE_PIXELS = 4.0
#: Section 2.1 of "Towards Fast and Accurate Multi-Person Pose Estimation on Mobile Devices" (IJCAI-21).
PAPER_MS = {"associative_embedding": 2000.0, "keypoint_regression": 200.0, "paf": 20.0}


@dataclass(frozen=True)
class Scene:
    """What is rendered. noise: standard deviation on every map. hidden: share of the joints that are not there."""

    people: int
    noise: float = 0.0
    hidden: float = 0.0

    @property
    def kind(self) -> str:
        return "clean" if not (self.noise or self.hidden) else f"noise {self.noise:g}, {self.hidden:.0%} hidden"


@dataclass(frozen=True)
class Contender:
    """A decoder in a language.

    prepare: maps by name -> a call that decodes them and reads nothing, and one that answers the people.
    """

    decoder: str
    language: str
    prepare: Callable[[dict[str, np.ndarray]], tuple[Callable[[], object], Callable[[], list[Person]]]]


def contenders(library: PoseLibrary) -> list[Contender]:
    """Every decoder that crowds are rendered for, in Python and in C."""
    placement = Placement(PIXELS, PIXELS, PIXELS)
    result = []
    for name in RENDERERS:
        pose = RuntimePose(library, name)
        pose.place(placement)

        def in_python(maps: dict[str, np.ndarray], name: str = name) -> Any:
            return (lambda: decoder(name).decode(maps, PIXELS),) * 2

        def in_c(maps: dict[str, np.ndarray], pose: RuntimePose = pose) -> Any:
            records = maps_of(maps)
            return lambda: pose.decoded(records), lambda: pose.decode(maps)

        result += [Contender(name, "Python", in_python), Contender(name, "C", in_c)]
    return result


def measure(scene: Scene, rivals: list[Contender], crowds: int, rounds: int, seed: int) -> list[dict[str, Any]]:
    """One row per contender: medians over all crowds and rounds, and what was found in all crowds together."""
    secs: list[list[float]] = [[] for _ in rivals]
    accounts: list[list[Account]] = [[] for _ in rivals]
    for number in range(crowds):
        random = np.random.default_rng([seed, scene.people, number])
        people = hide(random, crowd(random, scene.people, CELLS), scene.hidden)
        truth = Placement(PIXELS, PIXELS, PIXELS).cells_to_image(people, CELLS)
        maps = {
            name: {
                title: np.ascontiguousarray(values)
                for title, values in render(people, CELLS, scene.noise, random).items()
            }
            for name, render in RENDERERS.items()
        }
        calls = [rival.prepare(maps[rival.decoder]) for rival in rivals]
        for index, (_, find_people) in enumerate(calls):
            accounts[index].append(compare(find_people(), truth, TOLERANCE_PIXELS))
        for _ in range(rounds):
            for index, (decode, _) in enumerate(calls):
                started = time.process_time()
                decode()
                secs[index].append(time.process_time() - started)
    return [_row(rival, scene, secs[index], accounts[index]) for index, rival in enumerate(rivals)]


def _row(rival: Contender, scene: Scene, secs: list[float], accounts: list[Account]) -> dict[str, Any]:
    total = {key: sum(asdict(account)[key] for account in accounts) for key in asdict(accounts[0])}
    return {
        "decoder": rival.decoder,
        "language": rival.language,
        "crowd": scene.people,
        "kind": scene.kind,
        "noise": scene.noise,
        "hidden": scene.hidden,
        "median_ms": 1e3 * statistics.median(secs),
        "min_ms": 1e3 * min(secs),
        "paper_ms": PAPER_MS[rival.decoder],
        "crowds": len(accounts),
        **total,
    }


def print_rows(rows: list[dict[str, Any]]) -> None:
    header = ("people", "maps", "decoder", "language", "median ms", "min ms", "paper ms")
    header += ("whole", "joints found", "guessed", "false people")
    table = [
        (
            *(row["crowd"], row["kind"], row["decoder"], row["language"]),
            *(f"{row['median_ms']:.2f}", f"{row['min_ms']:.2f}", f"{row['paper_ms']:.0f}"),
            *(f"{row['whole']}/{row['people']}", f"{row['found']}/{row['joints']}"),
            *(row["guessed"], row["false_people"]),
        )
        for row in rows
    ]
    cli.print_table(header, table)


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("benchmarks.postprocessing", "Time and correctness of the three groupings on known crowds.")
    parser.add_argument("--people", nargs="+", type=int, default=[1, 5, 20, 30, 50], help="sizes of the crowds")
    parser.add_argument("--noise", type=float, default=0.02, help="of the noisy maps; a standard deviation")
    parser.add_argument("--hidden", type=float, default=0.1, help="share of joints hidden in the noisy maps")
    parser.add_argument("--crowds", type=int, default=5, help="crowds of each size")
    parser.add_argument("--rounds", type=int, default=20, help="timed decodings of each crowd")
    parser.add_argument("--seed", type=int, default=0, help="of the crowds")
    return parser


def main(arguments: argparse.Namespace) -> int:
    if min(*arguments.people, arguments.crowds, arguments.rounds) < 1 or max(arguments.people) > 1000:
        raise UsageError("--people takes 1 to 1000; --crowds and --rounds are at least 1")
    if arguments.seed < 0:
        raise UsageError(f"--seed {arguments.seed} is negative")
    if not 0 <= arguments.hidden < 1 or not 0 <= arguments.noise < 1:
        raise UsageError("--hidden and --noise are at least 0 and below 1")
    cv2.setNumThreads(1)
    clean = [Scene(people) for people in arguments.people]
    noisy = [replace(scene, noise=arguments.noise, hidden=arguments.hidden) for scene in clean]
    rows = []
    with status("benchmark") as progress, tempfile.TemporaryDirectory() as folder:
        rivals = contenders(PoseLibrary(compile_pose_library(Path(folder) / "libpose.so")))
        for done, scene in enumerate([*clean, *noisy]):
            progress(f"{scene.people} people, {scene.kind}", done, 2 * len(clean))
            rows += measure(scene, rivals, arguments.crowds, arguments.rounds, arguments.seed)
    if arguments.json:
        cli.print_json({"processor": platform.processor() or platform.machine(), "threads": 1, "rows": rows})
        return 0
    print_rows(rows)
    print("Joints are right within 4 px of 368. Guessed: hidden joints that a decoder placed all the same.")
    print(
        "Embedding and regression look at the best 30 people, as published, so in larger crowds they miss the others."
    )
    print("The paper's ms are its own, on a desktop CPU, for scale only.")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
