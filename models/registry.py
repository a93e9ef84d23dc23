"""The models by name: what each takes and gives, and how to build it. Imports torch only when one is built."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fleetpose.errors import UsageError, unknown_name
from models.preprocess import Preprocessing

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class ModelSpec:
    """What is known of a model without building it.

    Attributes:
        name: as given to `create_model`.
        factory: "module:function" or a callable, without arguments, answering the torch module.
        preprocessing: how a photograph becomes the network's input.
        size: default input (height, width) in pixels.
        outputs: names of the network's outputs, in order.
        stride: input pixels per output cell.
        summary: one line for people.
    """

    name: str
    factory: str | Callable[[], nn.Module]
    preprocessing: Preprocessing
    size: tuple[int, int] = (368, 368)
    outputs: tuple[str, ...] = ("heatmaps", "pafs")
    stride: int = 8
    summary: str = ""

    def build(self) -> nn.Module:
        """The module with torch's default initialisation."""
        if callable(self.factory):
            return self.factory()
        module, _, function = self.factory.partition(":")
        return getattr(importlib.import_module(module), function)()


_MODELS: dict[str, ModelSpec] = {}


def register_model(spec: ModelSpec) -> ModelSpec:
    """Add a model to the registry and answer it. Raises UsageError if the name is taken by another one."""
    if _MODELS.setdefault(spec.name, spec) != spec:
        raise UsageError(f"a model {spec.name!r} is already registered")
    return spec


def model_names() -> tuple[str, ...]:
    """Every registered name, sorted."""
    return tuple(sorted(_MODELS))


def model_spec(name: str) -> ModelSpec:
    """The spec registered under `name`. Raises UsageError, with "did you mean", for an unknown one."""
    try:
        return _MODELS[name]
    except KeyError:
        raise unknown_name("model", name, _MODELS) from None


def create_model(name: str, weights: str | Path | None = None, seed: int = 0) -> nn.Module:
    """Build a model, in eval mode, float32, on the CPU.

    Args:
        name: a registered name.
        weights: a file of any layout `models.weights.load_weights` knows; None draws random weights.
        seed: of the random weights; torch's global random state is left alone.

    Raises:
        UsageError: an unknown name, or weights that do not fit.
    """
    spec = model_spec(name)
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


register_model(
    ModelSpec(
        "lwop",
        "models.networks.lwop:lwop",
        Preprocessing(mean=(128.0, 128.0, 128.0), scale=1 / 256, channels="BGR"),
        summary="Lightweight OpenPose, the paper's baseline; 4.09 M parameters, 8.88 GMACs",
    )
)
register_model(
    ModelSpec(
        "human_pose_0001",
        "models.networks.lwop:human_pose_0001",
        Preprocessing(mean=(128.0, 128.0, 128.0), scale=1 / 255, channels="BGR"),
        summary="Open Model Zoo human-pose-estimation-0001, LWOP's trained sister; 4.10 M parameters",
    )
)
