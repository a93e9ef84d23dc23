"""Every example runs, on this machine's OpenCL, with settings that take seconds."""

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.system_opencl

EXAMPLES = Path(__file__).parents[2] / "examples"
#: arguments, and what an example is to print
RUNS = {
    "photo.py": (["grey.png"], ""),
    "own_network.py": ([], "largest difference from PyTorch: "),
    "layer_break_even.py": (["32", "16", "3"], "zeros pay "),
    "decide.py": (["kept", "30"], "of 7 convolutions become sparse: "),
}
#: examples that take a quarter of a minute and more
LONG = {"decide.py", "photo.py", "layer_break_even.py"}


def test_examples_are_all_run():
    assert {path.name for path in EXAMPLES.glob("*.py")} == RUNS.keys()


@pytest.mark.parametrize("name", sorted(LONG))
def test_examples_import_what_there_is(name):
    """Those that `make test` does not run take no name that is gone."""
    for node in ast.walk(ast.parse((EXAMPLES / name).read_text())):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.long] * (name in LONG)) for name in RUNS])
def test_example(name, host, tmp_path):
    arguments, wanted = RUNS[name]
    assert len((EXAMPLES / name).read_text().splitlines()) <= 60
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((64, 64, 3), 120, np.uint8))
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert wanted in done.stdout
