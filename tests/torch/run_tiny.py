"""`python -m MODULE` with the tests' tiny networks registered, in a process of its own: run_tiny.py MODULE FLAGS..."""

import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from fleetpose import cli
from tests.tiny_pose import register_tiny

if __name__ == "__main__":
    register_tiny()
    module = importlib.import_module(sys.argv[1])
    sys.exit(cli.run(module.main, module.make_parser(), sys.argv[2:]))
