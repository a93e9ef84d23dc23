"""`python -m models.prune` with the tests' tiny networks registered, in a process of its own."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from fleetpose import cli
from models.prune.__main__ import main, make_parser
from tests.tiny_pose import register_tiny

if __name__ == "__main__":
    register_tiny()
    sys.exit(cli.run(main, make_parser()))
