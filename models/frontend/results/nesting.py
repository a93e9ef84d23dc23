"""Flat and named: what a module returns, whatever it is nested in."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from fleetpose.errors import UsageError


def name_leaves(tree: Any) -> dict[str, Any]:
    """The leaves of what a module returns by their places: "maps", "heads.0"; "output_1" in a tuple.

    Mappings, dataclasses, named tuples, tuples and lists are entered; tensors, numbers, texts and None are leaves.

    Raises:
        UsageError: anything else.
    """
    return {".".join(path) or "output_0": leaf for path, leaf in _leaves(tree, ())}


def tensors_of(tree: Any) -> list[torch.Tensor]:
    """The tensors of what a module returns, in the order of `name_leaves`."""
    return [leaf for leaf in name_leaves(tree).values() if isinstance(leaf, torch.Tensor)]


def _leaves(tree: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(tree, torch.Tensor | int | float | str | None):
        yield path, tree
        return
    for key, part in _parts(tree, path).items():
        numbered = isinstance(key, int) and not path
        yield from _leaves(part, (*path, f"output_{key}" if numbered else str(key)))


def _parts(tree: Any, path: tuple[str, ...]) -> Mapping[Any, Any]:
    if isinstance(tree, Mapping):
        return {str(key): part for key, part in tree.items()}
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        return {field.name: getattr(tree, field.name) for field in dataclasses.fields(tree)}
    if isinstance(tree, tuple) and hasattr(tree, "_asdict"):
        return tree._asdict()
    if isinstance(tree, tuple | list):
        return dict(enumerate(tree))
    place = f"output {'.'.join(path)!r}" if path else "what the module returns"
    kind = type(tree).__name__
    raise UsageError(f"{place} is a {kind}; return tensors, in tuples, lists, dictionaries or dataclasses")


@contextmanager
def flat_outputs(module: nn.Module) -> Iterator[None]:
    """For a while `module` returns its leaves by name, which torch.export takes whatever they were nested in."""
    hook = module.register_forward_hook(lambda _module, _inputs, tree: name_leaves(tree))
    try:
        yield
    finally:
        hook.remove()


def output_names(program: ExportedProgram) -> list[str]:
    """The names of what a program returns, as of `name_leaves`, one for each of the outputs of its signature."""
    spec = program.call_spec.out_spec
    if spec is None:
        return []
    tree = pytree.tree_unflatten(list(range(spec.num_leaves)), spec)
    places = {leaf: name for name, leaf in name_leaves(tree).items()}
    return [places[number] for number in range(spec.num_leaves)]
