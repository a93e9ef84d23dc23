"""`python -m models.train` with the tests' tiny networks registered: a process of its own, or torchrun's.

With END_BY in the environment it sends itself that signal once its log, the CSV file END_AFTER, has another row: in the
midst of training, however slow the machine.
"""

import os
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from fleetpose import cli
from models.train.__main__ import main, make_parser
from tests.tiny_pose import register_tiny


def end_in_the_midst(number: int, log: Path) -> None:
    def rows() -> int:
        return len(log.read_text().splitlines()) if log.exists() else 1

    before = rows()

    def watch() -> None:
        while rows() <= before:
            time.sleep(0.001)
        os.kill(os.getpid(), number)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    register_tiny()
    if "END_BY" in os.environ:
        end_in_the_midst(int(os.environ["END_BY"]), Path(os.environ["END_AFTER"]))
    sys.exit(cli.run(main, make_parser()))
