"""Load and run artifacts, each on a device of its own, in one process that is to survive them all; a line for each.

Run as a program: `python load_artifacts.py SO...`. A line says "runs" with a digest of the outputs, or the class and
the text of the error.
"""

import hashlib
import sys
from pathlib import Path

from devices import open_device
from devices.rpc import lean

lean.without_compiler()
import numpy as np  # noqa: E402

from codegen.artifact.loaded import Artifact  # noqa: E402
from codegen.artifact.reading import read_manifest  # noqa: E402
from fleetpose.errors import FleetposeError  # noqa: E402


def example(path: Path) -> np.ndarray:
    """An input, the same for all artifacts of one size."""
    shape = read_manifest(path).entries[0].input.shape
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


def outcome(path: Path) -> str:
    try:
        with open_device("host") as session:
            outputs = Artifact(path, session).run(example(path))
    except FleetposeError as error:
        return f"{type(error).__name__} {str(error)!a}"
    return "runs " + hashlib.sha256(b"".join(array.tobytes() for array in outputs.values())).hexdigest()


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(outcome(Path(name)), flush=True)
