"""Every command that writes files refuses an output that it also reads, with --force too, before any work."""

import importlib
from pathlib import Path

import pytest

from fleetpose import cli
from tests.small_network import register_small

#: what is in the folder, and read by a command: no content of it is looked at before the refusal
SUFFIXES = "safetensors json csv checkpoint start recovery journal png mp4 jsonl toml so png.png weights.safetensors"
FILES = (*(f"net.{suffix}" for suffix in SUFFIXES.split()), "dump/kernels.cl", "dump/kernel.cl", "photographs/net.png")
SMALL = "--model SMALL"
TRAIN = f"{SMALL} --data photographs --steps 1"
PRUNE = f"{SMALL} --plan net.toml --data photographs"
BUILD = f"{SMALL} --profile host"
DECIDE = f"{SMALL} --predictor net.png"
SENSITIVITY = f"{SMALL} --data photographs"

#: a command, its flags, and what its error says; `-o` or a file beside it is an input
COLLISIONS = [
    ("codegen.build", f"{BUILD} --plan net.json -o net.so", "its manifest net.json would replace --plan"),
    ("codegen.build", "--profile host --model net.json -o net.so", "would replace --model"),
    ("codegen.build", f"{BUILD} --tuned net.json -o net.so", "would replace --tuned"),
    ("codegen.build", f"{SMALL} --profile net.so -o net.so", "-o net.so would replace --profile"),
    ("codegen.build", f"{BUILD} --weights net.weights.safetensors --weights-file -o net.so", "its weights"),
    ("codegen.build", f"{BUILD} --plan dump/kernels.cl --dump dump -o new.so", "--dump dump/kernels.cl"),
    ("codegen.build", f"{BUILD} --dump dump -o dump/../new.so --tuned new.json", "would replace --tuned"),
    ("codegen.build", f"{BUILD} --dtype float16 --widen net.json -o net.so", "would replace --widen"),
    ("codegen.layer", f"{SMALL} --layer one --tuned dump/kernel.cl --dump dump", "would replace --tuned"),
    ("codegen.replace", f"{SMALL} --profile net.json -o net.safetensors", "would replace --profile"),
    ("codegen.run", "--artifact net.so --image net.png -o net.png", "-o net.png would replace --image"),
    ("codegen.run", "--artifact net.so --video net.mp4 -o net.mp4", "-o net.mp4 would replace --video"),
    ("codegen.widen", f"{SENSITIVITY} --weights net.json -o net.json", "would replace --weights"),
    ("codegen.tune", "--model net.json --out net.json", "--out net.json would replace --model"),
    ("codegen.tune", f"{SMALL} --profile net.toml --out net.toml", "would replace --profile"),
    ("latency.collect", f"{SMALL} --plan net.json net.jsonl -o net.jsonl", "would replace --plan"),
    ("latency.collect", f"{SMALL} --active net.jsonl -o net.jsonl", "would replace --active"),
    ("latency.collect", f"{SMALL} -o net.csv", "net.csv would be read as a table; name it *.jsonl"),
    ("latency.fit", "--data net.csv net.jsonl -o net.jsonl", "-o net.jsonl would replace --data"),
    ("latency.fit", "--data net.csv --base net.png.png -o net.png", "its plot net.png.png would replace"),
    ("latency.decide", f"{DECIDE} -o net.png", "-o net.png would replace --predictor"),
    ("latency.decide", f"{DECIDE} --sensitivity net.json -o net.json", "would replace --sensitivity"),
    ("models.allocate", f"{SMALL} --ratio 2 --sensitivity net.json -o net.json", "--sensitivity"),
    ("models.prune", f"{PRUNE} -o net.toml", "-o net.toml would replace --plan"),
    ("models.prune", f"{PRUNE} --weights net.safetensors -o net.safetensors", "would replace --weights"),
    ("models.prune", f"{PRUNE} --weights net.csv --steps 1 -o net.x", "the log net.csv would replace"),
    ("models.prune", f"{PRUNE} --weights net.start --steps 1 -o net.x", "the pruned start net.start"),
    ("models.prune", f"{PRUNE} --steps 1 -o net.csv", "-o net.csv and the log net.csv are one file"),
    ("models.prune", f"{PRUNE} -o net.pth", "weights are written as safetensors; give -o net.safetensors"),
    ("models.replace", "--model net.json -o net.safetensors", "its description net.json would replace --model"),
    ("models.replace", f"{SMALL} --weights net.safetensors -o net.safetensors", "would replace --weights"),
    ("models.replace", f"{SMALL} -o new.ckpt", "weights are written as safetensors; give -o new.safetensors"),
    ("models.sensitivity", f"{SENSITIVITY} --weights net.json -o net.json", "--weights"),
    ("models.sensitivity", f"{SENSITIVITY} --weights net.journal -o net.x", "the journal"),
    ("models.sensitivity", f"{SENSITIVITY} --plot new.png -o new.png", "are one file"),
    ("models.sensitivity", f"{SENSITIVITY} --plot new.jpg -o new.json", "curves are drawn as .png; give new.png"),
    (
        "models.sensitivity",
        f"{SENSITIVITY} --plot photographs/net.png -o new.json",
        "lies in photographs, among",
    ),
    ("models.train", f"{TRAIN} --weights net.safetensors -o net.safetensors", "would replace --weights"),
    ("models.train", f"{TRAIN} --annotations net.csv -o net.safetensors", "the log net.csv would replace"),
    ("models.train", f"{TRAIN} -o net.bin", "weights are written as safetensors; give -o net.safetensors"),
    ("latency.optimize", f"{SMALL} --weights net.safetensors -o .", "--weights net.safetensors lies in -o ."),
    ("latency.optimize", f"{SENSITIVITY} -o photographs/new", "lies in --data photographs"),
]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"somebody's {name}")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("module", "flags", "text"), COLLISIONS)
def test_command_refuses_an_output_that_it_reads(folder, capsys, module, flags, text):
    packages = ("models.prune", "models.replace", "models.train", "latency.optimize")
    command = importlib.import_module(f"{module}.__main__" if module in packages else module)
    given = [register_small() if flag == "SMALL" else flag for flag in flags.split()]
    has_force = "--force" in command.make_parser().format_help()
    before = contents(folder)
    for more in ([], ["--force"]) if has_force else ([],):
        status = cli.run(command.main, command.make_parser(), [*given, *more])
        said = capsys.readouterr().err
        assert status == 2, said
        assert text in said
        assert said.count("\n") == 1
        assert contents(folder) == before
