"""What a command's --model names, and how to build it: a registered network, one from outside, or a replaced one.

Imports torch only when a network is built, or one that is not registered is described.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fleetpose.errors import UsageError, quoted
from fleetpose.trust import trusted, untrusted
from models.zoo.registry import model_names, registered_spec
from models.zoo.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

    from models.zoo.weights import Tensors

#: what --model takes, for the help of every command that has it
MODEL_HELP = (
    "a registered network (python -m models.list), package.module:factory, file.py:factory, or a file: .pt2 of "
    "torch.export.save, .onnx, .json of models.replace"
)

#: what --weights takes, for the help of commands that want no random weights
WEIGHTS_HELP = "safetensors or published checkpoint (default: what a network of your own brings)"

#: files of weights, which do not say what the network is
_WEIGHTS = (".pth", ".pt", ".ckpt", ".tar", ".safetensors", ".bin")

#: names that were asked for so far, by the user or by a program of theirs
_NAMED: set[str] = set()

#: attribute of a network that holds what it was created as
_NAME = "_fleetpose_name"


def model_spec(name: str) -> ModelSpec:
    """What is known of the model `name`: how every command reads its --model.

    Args:
        name: a registered name; the .json file `models.replace` wrote; "package.module:factory", "file.py:factory" or
            an exported program's .pt2 file (models.zoo.outside); an .onnx file (models.zoo.onnx_files).

    Raises:
        UsageError: an unknown name, with "did you mean"; a file or factory that gives no such network.
    """
    _NAMED.add(name)
    if name.endswith(".pt2"):
        from models.zoo.outside import program_spec

        return program_spec(name)
    if name.endswith(".onnx"):
        from models.zoo.onnx_files import onnx_spec

        return onnx_spec(name)
    if name.endswith(".json"):
        from models.replace.files import read_plan, replaced_spec

        original, plan = read_plan(name)
        if original.endswith(".json"):
            raise UsageError(f"{name} is of {quoted(original)}, a description too; one of a network is wanted")
        check_named_by_file(original, name)
        return replaced_spec(model_spec(original), plan)
    if ":" in name:
        from models.zoo.outside import factory_spec

        return factory_spec(name)
    if name.endswith(".py"):
        raise UsageError(f"--model {name} is a file; say which function or class in it makes the network: {name}:NAME")
    if name.endswith(_WEIGHTS):
        raise UsageError(f"--model {name} reads as weights; name the network they are of, and give them as --weights")
    return registered_spec(name)


def check_named_by_file(name: str, file: str | Path) -> None:
    """Raise UsageError where a file names a factory, which is code, that nobody but the file has named.

    Args:
        name: of the network, as the file has it.
        file: for the error.
    """
    if ":" in name and name not in _NAMED and not trusted():
        raise untrusted(f"{file} is of the network {quoted(name, 200)}, which is code that would run")


def model_files(name: str) -> list[Path]:
    """The file that the model `name` is read from, in a list; [] of a registered name or a module that Python finds."""
    path = Path(name.rpartition(":")[0] if ".py:" in name else name)
    return [path] if path.suffix in (".json", ".onnx", ".pt2", ".py") else []


def check_weights_known(name: str, weights: str | Path | None) -> None:
    """Raises UsageError where the model `name` would have random weights, because no file of them is given."""
    if weights is None and not model_spec(name).own_weights:
        raise UsageError(f"--model {name} brings no weights of its own; give --weights FILE")


def create_model(name: str, weights: str | Path | None = None, seed: int = 0) -> nn.Module:
    """Build a model, in eval mode, float32, on the CPU.

    Args:
        name: as for `model_spec`.
        weights: a file of any layout `models.zoo.weights.load_weights` knows; None draws random weights, or keeps those
            that a network from outside the registry brings.
        seed: of the random weights; torch's global random state is left alone.

    Raises:
        UsageError: an unknown name, weights that do not fit, or a network's own that are not finite.
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
    from models.zoo.weights import WeightMismatch, check_finite, load_weights

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = spec.build()
        network.eval()
    if not spec.own_weights:
        initialise(network, seed)
    elif weights is None:
        check_finite(network, spec.name)
    if weights is not None:
        try:
            load_weights(network, weights, spec.name)
        except WeightMismatch as mismatch:
            raise UsageError(f"{mismatch}{_advice(mismatch.tensors)}") from None
    return network


def _advice(tensors: Tensors) -> str:
    """The registered models that the tensors of a file would fit, as the tail of an error; empty if there is none."""
    import torch

    from models.zoo.weights import fits

    fitting = []
    for name in model_names():
        with torch.device("meta"):
            network = registered_spec(name).build()
        if fits(network, tensors):
            fitting.append(name)
    return f"; it fits --model {' or '.join(fitting)}" if fitting else ""
