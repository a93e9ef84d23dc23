"""`python tests/tvm/help_on_full_disk.py`: the help of every command, and of all, where stdout takes nothing.

Each is printed by a fork of this process, so that what is imported is shared, and flushed as the interpreter does it at
its end. Prints of each its exit status and what it said, as JSON.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from fleetpose.__main__ import load_verb, main
from fleetpose.commands import VERBS


def _status(words: list[str]) -> int:
    """What Python would end with; its own end, with all that is imported, takes seconds."""
    try:
        status = main(words)
    except SystemExit as end:
        status = int(end.code or 0)
    try:
        sys.stdout.flush()
    except OSError as error:
        print(f"Exception ignored: {error}", file=sys.stderr)
        status = 120
    sys.stderr.flush()
    return status


def end_of(words: list[str], buffered: bool) -> tuple[int, str]:
    """The exit status of a fork that runs a command with stdout on /dev/full, and its stderr."""
    with tempfile.TemporaryFile("w+") as said:
        pid = os.fork()
        if pid == 0:
            os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
            os.dup2(said.fileno(), 2)
            sys.stdout = os.fdopen(1, "w", closefd=False)
            sys.stdout.reconfigure(write_through=not buffered)
            os._exit(_status(words))
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        said.seek(0)
        return status, said.read()


def ends() -> dict[str, tuple[int, str]]:
    for verb in VERBS.values():
        load_verb(verb)
    commands = [[], ["--help"], ["--version"], *([name, "--help"] for name in VERBS)]
    return {
        f"{' '.join(words)}{', buffered' * buffered}": end_of(words, buffered)
        for words in commands
        for buffered in (False, True)
    }


if __name__ == "__main__":
    result = ends()
    print(json.dumps(result))
