"""Commands under other settings of the interpreter: without docstrings and asserts, without UTF-8, without HOME."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WALK = Path(__file__).with_name("walk_commands.py")
#: the locale of a bare container, with which Python's own remedies are switched off
BARE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "variables"),
    [
        ([], BARE | {"PYTHONIOENCODING": "ascii"}),
        # these compile all of torch and TVM anew, which takes longer than the walk
        pytest.param(["-O"], {"LC_ALL": "C"}, marks=pytest.mark.long),
        pytest.param(["-OO"], {"LC_ALL": "C"}, marks=pytest.mark.long),
    ],
)
def test_commands_work_under_other_settings_of_the_interpreter(tmp_path, flags, variables):
    environment = {name: value for name, value in os.environ.items() if name != "HOME"} | variables
    command = [sys.executable, *flags, str(WALK), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, env=environment, cwd=ROOT, check=False, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    assert b"Traceback" not in done.stderr
