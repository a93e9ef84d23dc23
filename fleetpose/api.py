"""The public names of the project, importable from one place; docs/api.md goes through them.

    from fleetpose.api import Request, create_model, open_device, optimize

The facade of the house: its names lie in the packages above `fleetpose`, and each is imported when it is first asked
for, so that importing this module costs nothing and needs neither torch nor TVM.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codegen.artifact.loaded import Artifact
    from codegen.artifact.pose import find_people
    from codegen.building.build import build
    from codegen.building.target import BuildTarget
    from codegen.building.traced import trace_network
    from codegen.tuning.tasks import tasks_of
    from codegen.tuning.tuner import tune
    from codegen.verifying.verify import verify
    from devices.opening import open_device
    from latency.cost_model.predictor import Predictor
    from latency.dataset.read import Dataset
    from latency.network_model.calibrated_fit import fit_dataset
    from latency.optimize.api import FrontierResult, Result, optimize, optimize_frontier
    from latency.optimize.request import Request
    from latency.planning.planner import decide
    from models.frontend.trace import trace
    from models.plans.explain import explain
    from models.plans.plan import Plan
    from models.plans.sparsity import Sparsity
    from models.prune.pruning import prune
    from models.resolve import create_model, model_spec
    from models.train.loop import train
    from models.zoo.registry import register_model
    from runtime.package import Package

#: the module of each public name
HOMES = {
    "Artifact": "codegen.artifact.loaded",
    "BuildTarget": "codegen.building.target",
    "Dataset": "latency.dataset.read",
    "FrontierResult": "latency.optimize.api",
    "Package": "runtime.package",
    "Plan": "models.plans.plan",
    "Predictor": "latency.cost_model.predictor",
    "Request": "latency.optimize.request",
    "Result": "latency.optimize.api",
    "Sparsity": "models.plans.sparsity",
    "build": "codegen.building.build",
    "create_model": "models.resolve",
    "decide": "latency.planning.planner",
    "explain": "models.plans.explain",
    "find_people": "codegen.artifact.pose",
    "fit_dataset": "latency.network_model.calibrated_fit",
    "model_spec": "models.resolve",
    "open_device": "devices.opening",
    "optimize": "latency.optimize.api",
    "optimize_frontier": "latency.optimize.api",
    "prune": "models.prune.pruning",
    "register_model": "models.zoo.registry",
    "tasks_of": "codegen.tuning.tasks",
    "trace": "models.frontend.trace",
    "trace_network": "codegen.building.traced",
    "train": "models.train.loop",
    "tune": "codegen.tuning.tuner",
    "verify": "codegen.verifying.verify",
}

__all__ = [
    "Artifact",
    "BuildTarget",
    "Dataset",
    "FrontierResult",
    "Package",
    "Plan",
    "Predictor",
    "Request",
    "Result",
    "Sparsity",
    "build",
    "create_model",
    "decide",
    "explain",
    "find_people",
    "fit_dataset",
    "model_spec",
    "open_device",
    "optimize",
    "optimize_frontier",
    "prune",
    "register_model",
    "tasks_of",
    "trace",
    "trace_network",
    "train",
    "tune",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its home (PEP 562)."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names, for completion in a notebook."""
    return sorted(__all__)
