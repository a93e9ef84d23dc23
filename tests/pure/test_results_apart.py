"""With --json stdout has one JSON object, whoever prints besides; without it nothing is moved."""

import json
import subprocess
import sys

import pytest

COMMAND = """
import ctypes, os, subprocess, sys
from fleetpose import cli

def main(arguments):
    print("as a module is imported")
    ctypes.CDLL(None).printf(b"by native code\\n")
    subprocess.run(["echo", "by a child"])
    os.write(1, b"by its number\\n")
    if arguments.json:
        cli.print_json({"answer": 42})
    else:
        print("42")
    print("afterwards")
    if arguments.fail:
        raise RuntimeError("too late")

parser = cli.parser("own.command", "Print.")
parser.add_argument("--fail", action="store_true")
status = cli.run(main, parser)
print("stdout is back" if "--json" not in sys.argv else "", end="")
sys.exit(status)
"""
PRINTED = {"as a module is imported", "by native code", "by a child", "by its number", "afterwards"}


def run(*flags):
    return subprocess.run([sys.executable, "-c", COMMAND, *flags], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(("flags", "status"), [((), 0), (("--fail",), 1)])
def test_json_stands_alone_on_stdout(flags, status):
    done = run("--json", *flags)
    assert done.returncode == status
    assert json.loads(done.stdout) == {"answer": 42}
    assert set(done.stderr.splitlines()) >= PRINTED


def test_without_json_everything_is_printed():
    done = run()
    assert set(done.stdout.splitlines()) == {*PRINTED, "42", "stdout is back"}
    assert done.stderr == ""


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a_closed_stdout_is_no_fault(flags):
    """As a service or a shell's `>&-` leaves it; results have nowhere to go, and the status is the work's."""
    own = COMMAND.replace('os.write(1, b"by its number\\n")', "pass")
    command = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-c", own, *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "42" not in done.stderr


def test_json_reaches_a_test_that_captures(capsys):
    import argparse

    from fleetpose import cli

    parser = cli.parser("own.command", "Print.")

    def main(arguments: argparse.Namespace) -> None:
        print("chatter")
        cli.print_json({"answer": 42})

    assert cli.run(main, parser, ["--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"answer": 42}
    assert captured.err == "chatter\n"
    print("back")
    assert capsys.readouterr().out == "back\n"
