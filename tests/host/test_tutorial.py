"""docs/tutorial.md, carried out as it stands: its files written, its commands run in order on this machine's OpenCL."""

import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.system_opencl

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "tutorial.md").read_text()
#: ("python", name of the file, its text) or ("sh", "", commands)
BLOCKS = re.findall(r"^```(python|sh) ?(\S*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def test_tutorial_blocks_are_files_or_commands():
    assert TEXT.count("```") == 2 * len(BLOCKS)
    assert all(bool(name) == (kind == "python") for kind, name, _ in BLOCKS)


def test_tutorial_commands_have_the_flags_they_are_given():
    commands = [
        words[2:]
        for kind, _, text in BLOCKS
        if kind == "sh"
        for words in (shlex.split(line) for line in text.replace("\\\n", " ").splitlines())
        if words[1:2] == ["-m"]
    ]
    assert len(commands) >= 8
    for module, *flags in commands:
        importlib.import_module(command_module(module)).make_parser().parse_args(flags)


def command_module(name: str) -> str:
    """The module that `python -m` runs: of a package its __main__."""
    return name if not hasattr(importlib.import_module(name), "__path__") else f"{name}.__main__"


@pytest.mark.long
def test_tutorial_runs_from_beginning_to_end(host, tmp_path):
    random = np.random.default_rng(0)
    cv2.imwrite(str(tmp_path / "photo.jpg"), random.integers(0, 255, (96, 128, 3), dtype=np.uint8))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    said = []
    for kind, name, text in BLOCKS:
        if kind == "python":
            (tmp_path / name).write_text(text)
            continue
        done = subprocess.run(
            ["bash", "-ec", text],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        if done.returncode:
            pytest.fail(f"{text}\n{done.stdout}\n{done.stderr}")
        said.append(done.stdout)
    assert "times as fast" in said[-1]
    assert {"dense.so", "dense.json", "people.png", "plan.json", "sparse.so"} <= set(os.listdir(tmp_path))
