"""Native code that prints to stdout by itself."""

import subprocess
import sys

PROGRAM = """
import ctypes, sys
from fleetpose.native import without_native_output
printf = ctypes.CDLL(None).printf
print("before")
printf(b"native before\\n")
with without_native_output():
    printf(b"stray\\n")
try:
    with without_native_output():
        printf(b"stray\\n")
        raise ValueError
except ValueError:
    print("raised")
sys.stdout.flush()
printf(b"native after\\n")
"""


def test_only_what_is_printed_outside_reaches_a_pipe():
    found = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines() == ["before", "native before", "raised", "native after"]
    assert found.stderr == ""
