"""Every command refuses an input that is a FIFO or a device in a line: it waits for no writer and reads no end."""

import importlib
import os
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from fleetpose import cli
from fleetpose.errors import UsageError
from models.annotations.pictures import check_whole
from models.preprocess import read_image
from tests.small_network import register_small

SMALL = "--model SMALL"
NULL = f"{SMALL} --device null --profile mali-g76"
TRAIN = f"{SMALL} --data photographs --steps 1 -o new.safetensors"
PRUNE = f"{SMALL} --data photographs -o new.safetensors"
#: a command and its flags; `pipe.*` is no file
COMMANDS = [
    ("codegen.build", f"{SMALL} --profile host --plan pipe.json -o new.so"),
    ("codegen.build", f"{SMALL} --profile host --tuned pipe.jsonl -o new.so"),
    ("codegen.build", f"{SMALL} --profile host --weights pipe.safetensors -o new.so"),
    ("codegen.build", f"{SMALL} --profile host --weights pipe.pth -o new.so"),
    ("codegen.build", f"{SMALL} --profile pipe.toml -o new.so"),
    ("codegen.build", f"{SMALL} --profile mali-g76 --dtype float16 --widen pipe.json -o new.so"),
    ("codegen.layer", f"{SMALL} --layer one --tuned pipe.jsonl"),
    ("codegen.layer", f"{SMALL} --layer one --profile pipe.toml"),
    ("codegen.run", "--artifact pipe.so --image net.png"),
    ("codegen.run", "--artifact alone.so --image net.png"),
    ("codegen.tune", f"{SMALL} --out pipe.jsonl"),
    ("codegen.verify", "--artifact pipe.so"),
    ("codegen.depth", "--weights lwop=pipe.pth --model lwop --device null --profile mali-g76"),
    ("codegen.replace", f"{NULL} --weights pipe.safetensors -o new.safetensors"),
    ("latency.audit", "--plan pipe.json --data pipe.jsonl"),
    ("latency.collect", f"{NULL} --plan pipe.json -o new.jsonl"),
    ("latency.collect", f"{NULL} --active pipe.predictor -o new.jsonl"),
    ("latency.collect", f"{NULL} --tuned pipe.jsonl -o new.jsonl"),
    ("latency.collect", f"{NULL} -o pipe.jsonl"),
    ("latency.fit", "--data pipe.jsonl -o new.predictor"),
    ("latency.fit", "--data pipe.csv -o new.predictor"),
    ("latency.fit", "--data pipe.jsonl --base pipe.predictor -o new.predictor"),
    ("latency.decide", f"{SMALL} --predictor pipe.predictor -o new.json"),
    ("latency.evaluate", "--data pipe.jsonl"),
    ("latency.evaluate", "--data pipe.csv --predictor pipe.predictor"),
    ("latency.optimize", f"{NULL} --network-plan pipe.json -o new"),
    ("latency.optimize", f"{NULL} --weights pipe.pth -o new"),
    ("latency.optimize", f"{NULL} --sensitivity pipe.json -o new"),
    ("latency.predict", f"{SMALL} --predictor pipe.predictor"),
    ("latency.report", "folder"),
    ("models.allocate", f"{SMALL} --ratio 2 --sensitivity pipe.json -o new.json"),
    ("models.check", f"{SMALL} --weights pipe.safetensors"),
    ("models.evaluate", f"{SMALL} --weights pipe.safetensors --data folder"),
    ("models.evaluate", f"{SMALL} --data folder"),
    ("models.layers", "--model pipe.json"),
    ("models.layers", "--model pipe.pt2"),
    ("models.layers", "--model pipe.onnx"),
    ("models.layers", "--model pipe.py:factory"),
    ("models.prune", f"{PRUNE} --plan pipe.json"),
    ("models.prune", f"{PRUNE} --plan pipe.json --annotations pipe.json"),
    ("models.replace", f"{SMALL} --weights pipe.pth -o new.safetensors"),
    ("models.sensitivity", f"{SMALL} --data photographs --weights pipe.safetensors -o new.json"),
    ("models.train", f"{TRAIN} --annotations pipe.json"),
    ("models.train", f"{TRAIN} --weights pipe.safetensors"),
    ("models.train", f"{TRAIN} --teacher lwop --teacher-weights pipe.pth"),
]
SUFFIXES = ("json", "jsonl", "csv", "safetensors", "pth", "pt2", "onnx", "toml", "so", "predictor", "py", "png", "avi")


class Writer:
    """Whoever opens one of some FIFOs to read is noticed, and finds its end at once."""

    def __init__(self, paths):
        self.paths, self.opened, self._over = paths, set(), threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self):
        while not self._over.wait(0.005):
            for path in self.paths:
                try:
                    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
                    self.opened.add(path.name)
                except OSError:  # nobody reads it
                    pass

    @contextmanager
    def looking(self):
        self._thread.start()
        try:
            yield self
        finally:
            self._over.set()
            self._thread.join()


@pytest.fixture(params=["a FIFO", "a character device"])
def folder(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("folder/images", "photographs"):
        (tmp_path / name).mkdir(parents=True)
    names = (*(f"pipe.{suffix}" for suffix in SUFFIXES), "folder/result.json", "folder/person_keypoints.json")
    paths = [tmp_path / name for name in (*names, "alone.json")]
    for path in paths:
        if request.param == "a FIFO":
            os.mkfifo(path)
        else:
            path.symlink_to("/dev/zero")
    for name in ("alone.so", "net.png", "photographs/net.png"):
        (tmp_path / name).write_text("somebody's")
    with Writer(paths if request.param == "a FIFO" else []).looking() as writer:
        yield request.param
    assert writer.opened == set()


def test_commands_refuse_inputs_that_are_no_files(folder, capsys):
    names, problems = {"SMALL": register_small()}, []
    for module, flags in COMMANDS:
        packages = ("models.prune", "models.replace", "models.train", "latency.optimize", "latency.report")
        command = importlib.import_module(f"{module}.__main__" if module in packages else module)
        status = cli.run(command.main, command.make_parser(), [names.get(word, word) for word in flags.split()])
        said = capsys.readouterr().err
        lines = [line for line in said.splitlines() if line.startswith("python -m ")]
        left = [path.unlink() or str(path) for path in Path().glob("new*") if path.is_file()]
        if (status, len(lines)) != (2, 1) or "Traceback" in said or left:
            problems.append(f"{module} {flags}: status {status}, left {left}, {said}")
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("read", [read_image, check_whole])
def test_pictures_that_are_no_files_are_refused(folder, read):
    with pytest.raises(UsageError, match=f"it is {folder}, and only files are read"):
        read(Path("pipe.png"))


def test_a_video_that_is_no_file_is_refused(folder):
    from codegen.artifact.video import VideoReader

    with pytest.raises(UsageError, match=f"it is {folder}, and only files are read"):
        VideoReader("pipe.avi")
