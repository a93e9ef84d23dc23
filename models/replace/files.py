"""Replaced networks on disk: the weights, and beside them a JSON file that says how to build the network they fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fleetpose.codec import decode, encode
from fleetpose.errors import UsageError
from fleetpose.files import check_writable, json_bytes, read_json, write_together
from fleetpose.json_fields import in_json
from models.replace.apply import replace_operators
from models.replace.values import OperatorCost, Replacement
from models.zoo.spec import ModelSpec
from models.zoo.weights import weights_bytes

FORMAT = "fleetpose.replaced/1"


@dataclass(frozen=True)
class _Description:
    format: str
    model: str
    weights: Mapping[str, str] = field(default_factory=dict)
    replacements: tuple[Replacement, ...] = field(default=(), metadata=in_json(needed=True))
    cost: Mapping[str, Any] = field(default_factory=dict, metadata=in_json(omit=True))


def replaced_spec(original: ModelSpec, plan: Iterable[Replacement]) -> ModelSpec:
    """The spec of a replaced network, to give to `build_model` or `register_model`: as the original's, "+replaced"."""
    replacements = tuple(plan)

    def build(**_parameters: Any) -> nn.Module:
        return replace_operators(original.build(), replacements, initial="random", seed=torch.initial_seed())

    factory: Callable[..., nn.Module] = build
    summary = f"{original.name} with {len(replacements)} operators replaced"
    return replace(original, name=f"{original.name}+replaced", factory=factory, summary=summary, paper=None)


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
    weights = weights_bytes(network)
    plan = tuple(plan)
    if name.endswith(".json"):  # a replaced network replaced again: one plan on the registered original
        name, earlier = read_plan(name)
        plan = (*earlier, *plan)
    cost = {} if costs is None else {"before": encode(costs[0]), "after": encode(costs[1])}
    content = _Description(FORMAT, name, {"file": path.name, "sha256": sha256(weights).hexdigest()}, plan, cost)
    write_together({path: weights, description(path): json_bytes(encode(content), indent=2)}, force=force)


def read_plan(path: Path | str) -> tuple[str, tuple[Replacement, ...]]:
    """(the original's registered name, the plan) of a description file.

    Raises:
        UsageError: no such file, or not such a description.
    """
    values = read_json(path, "description of replacements", FORMAT)
    content = decode(_Description, values, str(path))
    return content.model, content.replacements
