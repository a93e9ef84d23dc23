"""The registered models by name; torch-free. `models.resolve` reads names of every other kind too."""

from __future__ import annotations

from fleetpose.errors import UsageError, unknown_name
from models.zoo.catalogue import CATALOGUE
from models.zoo.spec import ModelSpec

_MODELS: dict[str, ModelSpec] = {spec.name: spec for spec in CATALOGUE}


def register_model(spec: ModelSpec) -> ModelSpec:
    """Add a model to the registry and answer it. Raises UsageError if the name is taken, or reads as something else."""
    if ":" in spec.name or spec.name.endswith((".json", ".pt2", ".onnx", ".py")):
        raise UsageError(f"{spec.name!r} cannot be registered: it reads as a file or a factory")
    if _MODELS.setdefault(spec.name, spec) != spec:
        raise UsageError(f"a model {spec.name!r} is already registered")
    return spec


def model_names() -> tuple[str, ...]:
    """Every registered name, sorted."""
    return tuple(sorted(_MODELS))


def registered_spec(name: str) -> ModelSpec:
    """The spec of a registered model. Raises UsageError for an unknown name, with "did you mean"."""
    try:
        return _MODELS[name]
    except KeyError:
        raise unknown_name("model", name, _MODELS) from None
