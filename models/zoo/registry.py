"""The models by name, and how to build one.

Imports torch only when one is built, or one that is not registered is described.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fleetpose.errors import UsageError, unknown_name
from models.zoo.catalogue import CATALOGUE
from models.zoo.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "MODEL_HELP",
    "ModelSpec",
    "build_model",
    "create_model",
    "model_name",
    "model_names",
    "model_spec",
    "register_model",
]

#: what --model takes, for the help of every command that has it
MODEL_HELP = (
    "a registered network (python -m models.list), package.module:factory, or a file: .pt2 of torch.export.save, "
    ".json of models.replace"
)

#: attribute of a network that holds what it was created as
_NAME = "_fleetpose_name"

_MODELS: dict[str, ModelSpec] = {spec.name: spec for spec in CATALOGUE}


def register_model(spec: ModelSpec) -> ModelSpec:
    """Add a model to the registry and answer it. Raises UsageError if the name is taken, or reads as something else."""
    if ":" in spec.name or spec.name.endswith((".json", ".pt2")):
        raise UsageError(f"{spec.name!r} cannot be registered: it reads as a file or a factory")
    if _MODELS.setdefault(spec.name, spec) != spec:
        raise UsageError(f"a model {spec.name!r} is already registered")
    return spec


def model_names() -> tuple[str, ...]:
    """Every registered name, sorted."""
    return tuple(sorted(_MODELS))


def model_spec(name: str) -> ModelSpec:
    """What is known of the model `name`: how every command reads its --model.

    Args:
        name: a registered name; the .json file `models.replace` wrote; "package.module:factory" or an exported
            program's .pt2 file (models.zoo.outside).

    Raises:
        UsageError: an unknown name, with "did you mean"; a file or factory that gives no such network.
    """
    if name.endswith(".pt2"):
        from models.zoo.outside import program_spec

        return program_spec(name)
    if name.endswith(".json"):
        from models.replace.files import read_plan, replaced_spec

        return replaced_spec(*read_plan(name))
    if ":" in name:
        from models.zoo.outside import factory_spec

        return factory_spec(name)
    try:
        return _MODELS[name]
    except KeyError:
        raise unknown_name("model", name, _MODELS) from None


def create_model(name: str, weights: str | Path | None = None, seed: int = 0) -> nn.Module:
    """Build a model, in eval mode, float32, on the CPU.

    Args:
        name: as for `model_spec`.
        weights: a file of any layout `models.zoo.weights.load_weights` knows; None draws random weights, or keeps those
            that a network from outside the registry brings.
        seed: of the random weights; torch's global random state is left alone.

    Raises:
        UsageError: an unknown name, or weights that do not fit.
    """
    network = build_model(model_spec(name), weights, seed)
    network.__dict__[_NAME] = name
    return network


def model_name(network: nn.Module) -> str:
    """The name that `create_model` was given for a network. Raises UsageError for a network it did not make."""
    name = vars(network).get(_NAME)
    if name is None:
        raise UsageError(
            f"a {type(network).__name__} that create_model did not make has no name here; register_model its spec, "
            f"and make it by create_model"
        )
    return name


def build_model(spec: ModelSpec, weights: str | Path | None = None, seed: int = 0) -> nn.Module:
    """`create_model` for a spec that need not be registered, such as one with other parameters."""
    import torch

    from models.networks.units import initialise
    from models.zoo.weights import load_weights

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = spec.build().eval()
    if not spec.own_weights:
        initialise(network, seed)
    if weights is not None:
        load_weights(network, weights)
    return network
