"""Replaced networks on disk: the weights, and beside them a JSON file that says how to build the network they fit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fleetpose.errors import UsageError
from fleetpose.files import atomic_output, check_writable, sha256
from models.replace.apply import replace_operators
from models.replace.values import OperatorCost, Replacement
from models.zoo.spec import ModelSpec
from models.zoo.weights import save_weights

FORMAT = "fleetpose.replaced/1"


def replaced_spec(original: ModelSpec, plan: Iterable[Replacement], name: str = "") -> ModelSpec:
    """The spec of a replaced network, to give to `build_model` or `register_model`: as the original's.

    Args:
        name: (default: "<the original's>+replaced").
    """
    replacements = tuple(plan)

    def build(**_parameters: Any) -> nn.Module:
        return replace_operators(original.build(), replacements, initial="random", seed=torch.initial_seed())

    factory: Callable[..., nn.Module] = build
    summary = f"{original.name} with {len(replacements)} operators replaced"
    return replace(original, name=name or f"{original.name}+replaced", factory=factory, summary=summary, paper=None)


def description(path: Path | str) -> Path:
    """The JSON file that belongs to a file of replaced weights."""
    return Path(path).with_suffix(".json")


def save_replaced(
    network: nn.Module,
    path: Path | str,
    name: str,
    plan: Iterable[Replacement],
    costs: tuple[OperatorCost, OperatorCost] | None = None,
    *,
    force: bool = False,
) -> None:
    """Write the weights to `path` (safetensors), and to the .json of the same name what `--model` needs to rebuild it.

    Args:
        network: the replaced network.
        name: the registered name of the original, or the description of a replaced network.
        costs: before and after, for readers.

    Raises:
        UsageError: a file exists and `force` is false, or cannot be written.
    """
    path = Path(path)
    if path.suffix == ".json":
        raise UsageError(f"{path} is where the description goes; give the weights another suffix, e.g. .safetensors")
    check_writable(path, description(path), force=force)
    save_weights(network, path, force=force)
    plan = tuple(plan)
    if name.endswith(".json"):  # a replaced network replaced again: one plan on the registered original
        name, earlier = read_plan(name)
        plan = (*earlier, *plan)
    value = {
        "format": FORMAT,
        "model": name,
        "weights": {"file": path.name, "sha256": sha256(path)},
        "replacements": [replacement.to_json() for replacement in plan],
    }
    if costs is not None:
        value["cost"] = {"before": costs[0].to_json(), "after": costs[1].to_json()}
    with atomic_output(description(path), force=force) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_plan(path: Path | str) -> tuple[str, tuple[Replacement, ...]]:
    """(the original's registered name, the plan) of a description file.

    Raises:
        UsageError: no such file, or not such a description.
    """
    try:
        value = json.loads(Path(path).read_text())
    except OSError as error:
        raise UsageError(f"cannot read the description {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"the description {path} is not JSON: {error}") from error
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        its_format = value.get("format") if isinstance(value, dict) else type(value).__name__
        raise UsageError(f"{path} is not a description of replacements: its format is {its_format!r}, not {FORMAT!r}")
    name, plan = value.get("model"), value.get("replacements")
    if not isinstance(name, str) or not isinstance(plan, list) or not all(isinstance(entry, dict) for entry in plan):
        raise UsageError(f"{path} lacks a model's name or a list of replacements")
    return name, tuple(Replacement.from_json(entry) for entry in plan)
