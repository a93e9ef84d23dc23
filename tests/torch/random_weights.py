"""Random numbers for tests: batch norms whose statistics do something, inputs, and the comparison with a Graph."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from models.frontend.trace import trace
from models.graph.answer import apply_view
from models.graph.network import Graph
from models.graph.reference import run_graph


def shake_batch_norms(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give every batch norm statistics and an affine part far from the identity; `module` in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d) and part.running_mean is not None:
                part.running_mean.normal_(0, 0.3, generator=generator)
                part.running_var.uniform_(0.3, 2.0, generator=generator)
                if part.affine:
                    part.weight.uniform_(0.5, 1.5, generator=generator)
                    part.bias.normal_(0, 0.3, generator=generator)
    return module.eval()


def random_input(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """(1, *shape), standard normal, float64."""
    return np.random.default_rng(seed).standard_normal((1, *shape))


def torch_outputs(module: nn.Module, x: np.ndarray) -> list[np.ndarray]:
    """What `module` answers in float64, flat."""
    with torch.no_grad():
        answer = copy.deepcopy(module).double().eval()(torch.from_numpy(x.copy()))
    return [tensor.numpy() for tensor in torch.utils._pytree.tree_leaves(answer)]


def check_traced(
    module: nn.Module, shape: tuple[int, int, int], tolerance: float = 1e-10, least: float = 1e-6
) -> Graph:
    """Trace `module` with float64 weights, assert that the graph computes what torch does; answer it in float32.

    `tolerance` is relative to the largest value of each output, of which `least` is the smallest that counts.
    """
    x = random_input(shape)
    exact = trace(module, shape, dtype=np.float64)
    expected, maps = torch_outputs(module, x), run_graph(exact, x)
    views = exact.answer.views or ((),) * len(maps)
    found = [apply_view(array, view) for array, view in zip(maps, views, strict=True)]
    assert len(found) == len(expected)
    for index, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        assert ours.shape == theirs.shape, f"output {index}"
        scale = max(np.abs(theirs).max(), least)
        worst = np.abs(ours - theirs).max() / scale
        assert worst <= tolerance, f"output {index}: {worst:.3g} of {scale:.3g}"
    graph = replace(exact, weights={name: value.astype(np.float32) for name, value in exact.weights.items()})
    check_well_formed(graph)
    return graph


def check_well_formed(graph: Graph) -> None:
    """Names unique, inputs made before they are read, shapes consistent, weights float32 and of the stated shape."""
    known = {graph.input: graph.input_shape}
    wanted = set()
    for layer in graph.layers:
        assert layer.name not in known, f"{layer.name} twice"
        assert layer.in_shapes == tuple(known[name] for name in layer.inputs)
        assert layer.operands >= (layer.op != "constant")
        known[layer.name] = layer.out_shape
        if layer.op == "constant":
            wanted.add(f"{layer.name}.value")
            assert graph.weights[f"{layer.name}.value"].shape == layer.out_shape
        if layer.op == "conv":
            wanted.add(f"{layer.name}.weight")
            weight = graph.weights[f"{layer.name}.weight"]
            assert weight.shape == layer.weight_shape
            if layer.bias:
                wanted.add(f"{layer.name}.bias")
                assert graph.weights[f"{layer.name}.bias"].shape == (layer.out_shape[0],)
        if layer.reduction is not None and layer.reduction.affine:
            for name in (f"{layer.name}.weight", f"{layer.name}.bias"):
                wanted.add(name)
                assert graph.weights[name].shape == layer.reduction.affine_shape(layer.out_shape)
    assert set(graph.weights) == wanted
    assert all(value.dtype == np.float32 and value.flags.c_contiguous for value in graph.weights.values())
    assert set(graph.outputs) <= set(known) - {graph.input}
