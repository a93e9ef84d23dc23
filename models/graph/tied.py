"""Tied layers: convolutions that have the same parameter of the module, and so one weight, one mask, one decision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from models.graph.layer import Layer

Value = TypeVar("Value")


def first_uses(layers: Iterable[Layer]) -> dict[str, str]:
    """For every convolution of a network the first one that has the same parameter, by names; mostly it is itself."""
    first: dict[str, str] = {}
    convolutions = [layer for layer in layers if layer.op == "conv"]
    return {layer.name: first.setdefault(layer.parameter or f" {layer.name}", layer.name) for layer in convolutions}


def tied_layers(layers: Iterable[Layer]) -> dict[str, tuple[str, ...]]:
    """The convolutions that share a weight, in order, by the first one's name; none where each has its own."""
    together: dict[str, tuple[str, ...]] = {}
    for name, first in first_uses(layers).items():
        together[first] = (*together.get(first, ()), name)
    return {first: names for first, names in together.items() if len(names) > 1}


def spread_over_uses(layers: Iterable[Layer], values: Mapping[str, Value]) -> dict[str, Value]:
    """`values` of layers, by name, given also to those layers without one that are tied to them."""
    spread = dict(values)
    for names in tied_layers(layers).values():
        given = [values[name] for name in names if name in values]
        spread |= {name: given[0] for name in names if given and name not in values}
    return spread


def counted_params(layers: Iterable[Layer]) -> dict[str, int]:
    """Weights and biases of every layer, by name, each parameter of the module once: where it is used first.

    Biases of modules that share a weight are their own; those of a module that is called again are not counted again.
    """
    layers = tuple(layers)
    first, by_name = first_uses(layers), {layer.name: layer for layer in layers}
    counts = {}
    for layer in layers:
        leader = by_name[first.get(layer.name, layer.name)]
        again = leader is not layer
        own_bias = layer.bias * layer.out_shape[0] if layer.module != leader.module else 0
        counts[layer.name] = own_bias if again else layer.params
    return counts


def macs_of_uses(layers: Iterable[Layer]) -> dict[str, int]:
    """Multiply-adds of every first use of a weight, by name, those of the layers that are tied to it among them."""
    layers = tuple(layers)
    first, macs = first_uses(layers), dict[str, int]()
    for layer in layers:
        if layer.name in first:
            macs[first[layer.name]] = macs.get(first[layer.name], 0) + layer.macs
    return macs
