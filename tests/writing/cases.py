"""The commands that write, each on something small, and what their outputs have to be."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.sample_result import sample_result

#: as tests.tiny_pose and tests.small_network register them
TINY, SMALL = "tiny_pose_of_the_tests", "small_of_the_tests"
SPARSITIES = ("columns:0.5:4x1", "columns:0.75:4x1", "columns:0.875:4x1")
MALI = ("--device", "null", "--profile", "mali-g76")


@dataclass(frozen=True)
class Case:
    """A command that writes.

    Attributes:
        module: what follows `python -m`.
        flags: its flags, by the folder of what is given and by the folder that it writes to.
        outputs: files that are there in the end.
        equal: those of them that are the same bytes each time, however often it was interrupted.
        begin: puts into the folder what has to be there before.
        networks: whether the command needs the tests' networks, and with them torch.
    """

    module: str
    flags: Callable[[Path, Path], tuple[object, ...]]
    outputs: tuple[str, ...]
    equal: tuple[str, ...] = ()
    begin: Callable[[Path], None] = lambda folder: None
    networks: bool = True


def _train(given: Path, out: Path) -> tuple[object, ...]:
    return ("--model", TINY, "--data", given / "coco", "--crop", 64, "--batch", 4, "--device", "cpu", "--steps", 40,
            "--checkpoint-secs", 0, "-o", out / "w.safetensors")  # fmt: skip


def _prune(given: Path, out: Path) -> tuple[object, ...]:
    return ("--model", TINY, "--weights", given / "w.safetensors", "--plan", given / "plan.json",
            "--data", given / "coco", "--photographs", 4, "--crop", 64, "--batch", 4, "--device", "cpu", "--steps", 30,
            "--checkpoint-secs", 0, "--agreement", 0, "-o", out / "p.safetensors")  # fmt: skip


def _sensitivity(given: Path, out: Path) -> tuple[object, ...]:
    return ("--model", TINY, "--weights", given / "w.safetensors", "--data", given / "coco", "--zeros", 0.25, 0.5, 0.75,
            "--block-zeros", 0.5, "--photographs", 4, "--plot", out / "s.png", "-o", out / "s.json")  # fmt: skip


def _allocate(given: Path, out: Path) -> tuple[object, ...]:
    return "--model", TINY, "--sensitivity", given / "s.json", "--ratio", "1.2x", "-o", out / "plan.json"


def _replace(given: Path, out: Path) -> tuple[object, ...]:
    return "--model", "lwop", "--size", "64x64", "-o", out / "r.safetensors"


def _widen(given: Path, out: Path) -> tuple[object, ...]:
    return ("--model", TINY, "--weights", given / "w.safetensors", "--data", given / "coco", "--photographs", 2,
            "-o", out / "widening.json")  # fmt: skip


def _collect(given: Path, out: Path) -> tuple[object, ...]:
    return "--model", SMALL, "--around", 40, "--sparsity", *SPARSITIES, *MALI, "-o", out / "t.jsonl"


def _fit(given: Path, out: Path) -> tuple[object, ...]:
    return "--data", given / "t.jsonl", "--no-search", "-o", out / "m.predictor"


def _decide(given: Path, out: Path) -> tuple[object, ...]:
    return "--model", SMALL, "--predictor", given / "m.predictor", "-o", out / "plan.json"


def _build(given: Path, out: Path) -> tuple[object, ...]:
    return ("--model", TINY, "--weights", given / "w.safetensors", "--profile", "mali-g76", "--target-host", "native",
            "--weights-file", "--dump", out / "code", "-o", out / "pose.so")  # fmt: skip


def _package(given: Path, out: Path) -> tuple[object, ...]:
    return ("--model", TINY, "--weights", given / "w.safetensors", "--profile", "mali-g76", "--format", "package",
            "-o", out / "pose.fpk")  # fmt: skip


def _archive(given: Path, out: Path) -> tuple[object, ...]:
    return ("--model", TINY, "--weights", given / "w.safetensors", "--profile", "mali-g76", "--format", "aar",
            "-o", out / "pose.aar")  # fmt: skip


def _tune(given: Path, out: Path) -> tuple[object, ...]:
    return "--model", SMALL, "--rounds", 3, "--layer", "one", "--budget-secs", 5, "--out", out / "tuned.jsonl"


def _metaschedule(given: Path, out: Path) -> tuple[object, ...]:
    return ("--model", SMALL, "--rounds", 3, "--layer", "one", "--tuner", "metaschedule", "--trials", 4,
            "--out", out / "tuned.jsonl")  # fmt: skip


def _layer(given: Path, out: Path) -> tuple[object, ...]:
    return "--conv", 8, 8, 16, 16, "--repeats", 2, "--dump", out / "code"


def _picture(given: Path, out: Path) -> tuple[object, ...]:
    return ("--artifact", given / "pose.so", "--image", given / "coco" / "images" / "000.png", "--repeats", 0,
            "-o", out / "people.png")  # fmt: skip


def _video(given: Path, out: Path) -> tuple[object, ...]:
    return "--artifact", given / "pose.so", "--video", given / "noise.avi", "-o", out / "people.avi"


def _optimize(given: Path, out: Path) -> tuple[object, ...]:
    return ("--model", TINY, "--weights", given / "w.safetensors", "--sparsity", SPARSITIES[0], "--no-tune",
            "--around", 6, "--rounds", 3, "--wait-secs", 0, "-o", out / "all")  # fmt: skip


def _report(given: Path, out: Path) -> tuple[object, ...]:
    return (out,)


def _begin_report(folder: Path) -> None:
    (folder / "result.json").write_text(json.dumps(sample_result()))


_REPORTS = ("report.html", "report.md")
#: by name, quick ones first
CASES = {
    "report": Case("latency.report.__main__", _report, _REPORTS, _REPORTS, _begin_report, networks=False),
    "widen": Case("codegen.widen", _widen, ("widening.json",), ("widening.json",)),
    "allocate": Case("models.allocate", _allocate, ("plan.json",), ("plan.json",)),
    "decide": Case("latency.decide", _decide, ("plan.json",), ("plan.json",)),
    "fit": Case("latency.fit", _fit, ("m.predictor", "m.predictor.png"), ("m.predictor", "m.predictor.png")),
    "collect": Case("latency.collect", _collect, ("t.jsonl",)),
    "replace": Case(
        "models.replace.__main__", _replace, ("r.safetensors", "r.json"), ("r.safetensors", "r.json")
    ),
    "layer": Case("codegen.layer", _layer, ("code/kernel.cl", "code/kernel.py", "code/manifest.json")),
    "build": Case(
        "codegen.build",
        _build,
        ("pose.so", "pose.json", "pose.weights.safetensors", "code/module.py", "code/kernels.cl", "code/manifest.json"),
        ("pose.so", "pose.json", "pose.weights.safetensors", "code/kernels.cl", "code/manifest.json"),
    ),
    "package": Case("codegen.build", _package, ("pose.fpk",), ("pose.fpk",)),
    "archive": Case("codegen.build", _archive, ("pose.aar",), ("pose.aar",)),
    "picture": Case("codegen.run", _picture, ("people.png",), ("people.png",)),
    "video": Case("codegen.run", _video, ("people.avi",), ("people.avi",)),
    "train": Case("models.train.__main__", _train, ("w.safetensors", "w.csv"), ("w.safetensors",)),
    "prune": Case("models.prune.__main__", _prune, ("p.safetensors", "p.csv"), ("p.safetensors",)),
    "sensitivity": Case("models.sensitivity", _sensitivity, ("s.json", "s.png"), ("s.json", "s.png")),
    "tune": Case("codegen.tune", _tune, ("tuned.jsonl",)),
    "metaschedule": Case("codegen.tune", _metaschedule, ("tuned.jsonl",)),
    "optimize": Case(
        "latency.optimize.__main__", _optimize, ("all/result.json", "all/report.html", "all/pose.so", "all/pose.json")
    ),
}  # fmt: skip
#: those that need this machine's OpenCL
ON_DEVICE = ("layer", "picture", "video", "tune", "metaschedule", "optimize")
