"""Layer-wise reconstruction: a graph pruned layer by layer, each layer's weights solved anew so that its output stays.

Calibration inputs run through the network twice, dense and pruned so far, layer after layer. A layer's least squares
take the pruned inputs and the dense outputs, so later layers make up for the errors of earlier ones; layers that stay
dense are solved anew, too. Before a ReLU only what survives it counts: where the dense output is negative, any negative
one is as good. So targets are moved there, in turn with the solution, which leaves H as it is and never increases the
error after the ReLU. (He et al. 2017, arXiv:1707.06168, reconstruct without the ReLU; Zhang et al. 2016,
arXiv:1505.06798, with it.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from models.graph import Graph
from models.layer import Layer
from models.prune.masks import mask, spread
from models.prune.problem import Problem, problem
from models.prune.surgeon import Solver, removals, unit_labels
from models.reference import run_layer
from models.sparsity import Sparsity, WeightShape

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Settings:
    """How layers are reconstructed.

    Attributes:
        samples: output positions each layer is solved on, drawn from all calibration inputs.
        ridge: pull towards the old weights, relative to the mean of H's diagonal.
        share: of the units that are left, so many are removed between two looks at the costs.
        rectify: how often the targets before a ReLU are moved.
        compensate: solve dense layers anew, too, once their inputs have changed.
        seed: of the samples.
    """

    samples: int = 16_000
    ridge: float = 1e-3
    share: float = 0.05
    rectify: int = 10
    compensate: bool = True
    seed: int = 0


def reconstruct(
    graph: Graph,
    sparsities: Mapping[str, Sparsity],
    inputs: np.ndarray,
    settings: Settings = Settings(),
    report: Report | None = None,
) -> Graph:
    """The graph with the zeros of `sparsities` and weights that answer nearly what they did on `inputs`.

    Args:
        sparsities: by layer; every layer must be able to have its own (see Plan.check).
        inputs: (N, *graph.input_shape) float32.
        report: called with each layer's name, layers done and layers in all.
    """
    weights = {name: torch.from_numpy(np.array(value, np.float32)) for name, value in graph.weights.items()}
    solved = dict(graph.weights)
    generator = torch.Generator().manual_seed(settings.seed)
    first = torch.from_numpy(np.ascontiguousarray(inputs, np.float32))
    dense, pruned = {graph.input: first}, {graph.input: first}
    for index, (layer, finished) in enumerate(with_last_reads(graph), 1):
        theirs, mine = [dense[name] for name in layer.inputs], [pruned[name] for name in layer.inputs]
        made = _run(layer, theirs, weights)
        changed = any(a is not b for a, b in zip(theirs, mine, strict=True))
        sparsity, own = sparsities.get(layer.name), weights
        if layer.op == "conv" and (sparsity is not None or (changed and settings.compensate)):
            drawn = problem(layer, theirs, mine, weights, settings.samples, generator)
            new = solved_layer(layer, sparsity, drawn, settings)
            solved.update({name: value.numpy() for name, value in new.items()})
            own, changed = {**weights, **new}, True
        dense[layer.name] = made
        pruned[layer.name] = _run(layer, mine, own) if changed else made
        for name in finished:
            del dense[name], pruned[name]
        if report is not None:
            report(layer.name, index, len(graph.layers))
    return replace(graph, weights=solved)


def with_last_reads(graph: Graph) -> Iterator[tuple[Layer, list[str]]]:
    """Each layer in order, with the tensors that nothing reads after it, its own included."""
    last = {graph.input: 0} | {layer.name: index for index, layer in enumerate(graph.layers)}
    last |= {name: index for index, layer in enumerate(graph.layers) for name in layer.inputs}
    for index, layer in enumerate(graph.layers):
        yield layer, [name for name, at in last.items() if at == index]


def _run(layer: Layer, inputs: list[torch.Tensor], weights: Mapping[str, torch.Tensor]) -> torch.Tensor:
    with torch.inference_mode():
        return run_layer(layer, inputs, dict(weights))


def solved_layer(
    layer: Layer, sparsity: Sparsity | None, drawn: Problem, settings: Settings
) -> dict[str, torch.Tensor]:
    """The layer's new weight and bias, by their names in the graph."""
    columns = int(np.prod(layer.weight_shape[1:]))
    with torch.inference_mode():
        if layer.groups == 1:
            found = _solve_one(layer.weight_shape, sparsity, drawn, settings)
        else:
            found = _solve_groups(drawn, settings)
    new = found.flatten(0, 1).float()
    result = {f"{layer.name}.weight": new[:, :columns].reshape(layer.weight_shape).contiguous()}
    return {**result, f"{layer.name}.bias": new[:, columns].contiguous()} if layer.bias else result


def _solve_one(shape: WeightShape, sparsity: Sparsity | None, drawn: Problem, settings: Settings) -> torch.Tensor:
    """(1, filters, columns) of a layer of one group."""
    inputs, ridge = _inputs_moment(drawn, settings)
    cross = _cross_moment(drawn, drawn.targets, ridge)
    h, g = inputs[0].numpy(), cross[0].numpy()
    kept = np.ones(g.shape, bool)
    if sparsity is not None:
        kept[:, : int(np.prod(shape[1:]))] = chosen(h, g, sparsity, shape, settings.share).reshape(shape[0], -1)
    solver = Solver(h, kept)
    found = solver(g)
    for _ in range(settings.rectify if drawn.rectified else 0):
        moved = drawn.moved(torch.from_numpy(found)[None])
        found = solver(_cross_moment(drawn, moved, ridge)[0].numpy())
    return torch.from_numpy(found)[None]


def _solve_groups(drawn: Problem, settings: Settings) -> torch.Tensor:
    """(groups, filters, columns) of a layer of several groups, dense."""
    inputs, ridge = _inputs_moment(drawn, settings)
    factor = torch.linalg.cholesky(inputs)
    found = torch.cholesky_solve(_cross_moment(drawn, drawn.targets, ridge).transpose(1, 2), factor)
    for _ in range(settings.rectify if drawn.rectified else 0):
        moved = drawn.moved(found.transpose(1, 2))
        found = torch.cholesky_solve(_cross_moment(drawn, moved, ridge).transpose(1, 2), factor)
    return found.transpose(1, 2)


def _inputs_moment(drawn: Problem, settings: Settings) -> tuple[torch.Tensor, torch.Tensor]:
    """H per sample, (groups, columns, columns) float64, with its ridge; and the ridge, (groups, 1, 1)."""
    plain = (drawn.inputs.transpose(1, 2) @ drawn.inputs).double() / drawn.samples
    diagonal = plain.diagonal(dim1=1, dim2=2)
    ridge = (settings.ridge * diagonal.mean(dim=1)).clamp(min=1e-12)[:, None, None]
    return plain + ridge * torch.eye(plain.shape[1], dtype=plain.dtype), ridge


def _cross_moment(drawn: Problem, targets: torch.Tensor, ridge: torch.Tensor) -> torch.Tensor:
    """G per sample, (groups, filters, columns) float64, with the ridge's pull towards the old weights."""
    return (targets.transpose(1, 2) @ drawn.inputs).double() / drawn.samples + ridge * drawn.old


def chosen(h: np.ndarray, g: np.ndarray, sparsity: Sparsity, shape: WeightShape, share: float) -> np.ndarray:
    """The mask, bool of the weight's shape, that the sparsity allows and that costs little.

    Args:
        h, g: as in models.prune.surgeon, (columns, columns) and (filters, columns).
        share: as in Settings.
    """
    inverse = np.linalg.inv(h)
    dense = g @ inverse
    if sparsity.pattern == "pattern":
        columns = int(np.prod(shape[1:]))
        return mask((dense[:, :columns] / np.sqrt(np.diag(inverse)[:columns])).reshape(shape), sparsity)
    labels, size, groups = unit_labels(sparsity, shape), sparsity.block[0], sparsity.groups(shape)
    keep = sparsity.kept_units(shape) if sparsity.balanced else 0
    orders = [removals(inverse, dense[i * size : (i + 1) * size], labels, keep, share) for i in range(groups)]
    units = np.ones((groups, labels.max() + 1), bool)
    if sparsity.balanced:
        for group, found in enumerate(orders):
            units[group, found.order] = False
    else:
        costs = np.concatenate([np.maximum.accumulate(found.costs) for found in orders])
        going = np.argsort(costs, kind="stable")[: units.size - sparsity.kept_units(shape)]
        owners = np.arange(groups).repeat(units.shape[1])
        units[owners[going], np.concatenate([found.order for found in orders])[going]] = False
    positions = 1 if sparsity.pattern == "connectivity" else shape[2] * shape[3]
    return spread(units.reshape(groups, -1, positions), sparsity, shape).copy()
