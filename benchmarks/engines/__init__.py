"""What is compared: one module per engine, each with `prepare(job) -> PreparedEngine` for whole networks in fp32.

`stock_tvm` and `pytorch` also prepare single convolutions, for `benchmarks.kernels`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from dataclasses import dataclass

from benchmarks.engines.job import EngineJob, PreparedEngine
from fleetpose.errors import FleetposeError, unknown_name


@dataclass(frozen=True)
class Engine:
    """An engine by name.

    Attributes:
        module: the module of this package that prepares it.
        distributions: PyPI packages whose versions say what was measured.
        most_rounds: samples at most, for an engine so slow that it is timed after the others; None: as asked for.
    """

    module: str
    distributions: tuple[str, ...]
    most_rounds: int | None = None


ENGINES: dict[str, Engine] = {
    "ours": Engine("ours", ("fleetpose", "apache-tvm")),
    "onnxruntime": Engine("onnxruntime", ("onnxruntime", "onnx")),
    "ncnn": Engine("ncnn", ("ncnn", "pnnx")),
    "openvino": Engine("openvino", ("openvino",)),
    "torch": Engine("pytorch", ("torch",)),
    "stock_tvm": Engine("stock_tvm", ("apache-tvm",), most_rounds=3),
}


def engine(name: str) -> Engine:
    """The engine called `name`. Raises UsageError, with "did you mean", where there is none."""
    if name not in ENGINES:
        raise unknown_name("engine", name, ENGINES)
    return ENGINES[name]


def prepare(name: str, job: EngineJob) -> PreparedEngine:
    """Make `job` ready to run on the engine called `name`, and compare its outputs with PyTorch's.

    Raises:
        UsageError: no such engine. FleetposeError: it is not installed, or computes something else.
        Whatever else the engine raises.
    """
    module = engine(name).module
    try:
        prepared = importlib.import_module(f"{__name__}.{module}").prepare(job)
    except ImportError as error:
        raise FleetposeError(f"not installed ({error.name or error}): pip install -e '.[bench]'") from error
    job.check(prepared)
    return prepared


def engine_versions(names: list[str]) -> dict[str, str]:
    """Versions of the packages behind the engines called `names`."""
    installed = {}
    for name in dict.fromkeys(package for engine_name in names for package in engine(engine_name).distributions):
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            installed[name] = "not installed"
    return installed
