"""The models by name, and how to build one. Imports torch only when one is built, or a replaced one is described."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fleetpose.errors import UsageError, unknown_name
from models.catalogue import CATALOGUE
from models.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ModelSpec", "build_model", "create_model", "model_names", "model_spec", "register_model"]

_MODELS: dict[str, ModelSpec] = {spec.name: spec for spec in CATALOGUE}


def register_model(spec: ModelSpec) -> ModelSpec:
    """Add a model to the registry and answer it. Raises UsageError if the name is taken by another one."""
    if _MODELS.setdefault(spec.name, spec) != spec:
        raise UsageError(f"a model {spec.name!r} is already registered")
    return spec


def model_names() -> tuple[str, ...]:
    """Every registered name, sorted."""
    return tuple(sorted(_MODELS))


def model_spec(name: str) -> ModelSpec:
    """The spec registered under `name`, or of a replaced network by the .json file `models.replace` wrote.

    Raises:
        UsageError: an unknown name, with "did you mean"; a file that is not such a description.
    """
    if name.endswith(".json"):
        from models.replace.files import read_plan, replaced_spec

        return replaced_spec(*read_plan(name))
    try:
        return _MODELS[name]
    except KeyError:
        raise unknown_name("model", name, _MODELS) from None


def create_model(name: str, weights: str | Path | None = None, seed: int = 0) -> nn.Module:
    """Build a model, in eval mode, float32, on the CPU.

    Args:
        name: as for `model_spec`.
        weights: a file of any layout `models.weights.load_weights` knows; None draws random weights.
        seed: of the random weights; torch's global random state is left alone.

    Raises:
        UsageError: an unknown name, or weights that do not fit.
    """
    return build_model(model_spec(name), weights, seed)


def build_model(spec: ModelSpec, weights: str | Path | None = None, seed: int = 0) -> nn.Module:
    """`create_model` for a spec that need not be registered, such as one with other parameters."""
    import torch

    from models.networks.units import initialise
    from models.weights import load_weights

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = spec.build().eval()
    initialise(network, seed)
    if weights is not None:
        load_weights(network, weights)
    return network
