"""Layer-wise reconstruction: a graph pruned layer by layer, each layer's weights solved anew so that its output stays.

Calibration inputs run through the network twice, dense and pruned so far, layer after layer. A layer's least squares
take the pruned inputs and the dense outputs, so later layers make up for the errors of earlier ones; layers that stay
dense are solved anew, too. Before a ReLU only what survives it counts: where the dense output is negative, any negative
one is as good (He et al. 2017, arXiv:1707.06168, solve the linear layer; here its targets are moved, in turn with the
solution, which keeps H and never increases the error after the ReLU).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from models.graph import Graph
from models.layer import Layer
from models.prune.masks import mask, spread
from models.prune.surgeon import Moments, Solver, removals, unit_labels
from models.reference import apply_step, run_layer
from models.sparsity import Sparsity

Streams = dict[str, tuple[torch.Tensor, torch.Tensor]]
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

    samples: int = 20_000
    ridge: float = 1e-3
    share: float = 0.05
    rectify: int = 10
    compensate: bool = True
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Samples:
    """One layer's least squares problem.

    Attributes:
        inputs: (samples, columns), of the pruned network; the last column is 1 where there is a bias.
        targets: (samples, filters), of the dense network.
        rectified: a ReLU comes next.
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    rectified: bool


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
    streams: Streams = {graph.input: (first, first)}
    last = {name: index for index, layer in enumerate(graph.layers) for name in layer.inputs}
    with torch.no_grad():
        for index, layer in enumerate(graph.layers):
            dense_inputs = [streams[name][0] for name in layer.inputs]
            inputs_now = [streams[name][1] for name in layer.inputs]
            dense = run_layer(layer, dense_inputs, weights)
            changed = any(a is not b for a, b in zip(dense_inputs, inputs_now, strict=True))
            sparsity = sparsities.get(layer.name)
            mine = weights
            if layer.op == "conv" and (sparsity or (changed and settings.compensate and layer.groups == 1)):
                samples = _samples(layer, dense_inputs, inputs_now, weights, settings, generator)
                new = _solved(layer, sparsity, samples, weights, settings)
                solved.update({name: value.numpy() for name, value in new.items()})
                mine, changed = {**weights, **new}, True
            pruned = run_layer(layer, inputs_now, mine) if changed else dense
            streams[layer.name] = (dense, pruned)
            for name in [name for name in streams if last.get(name, index) <= index and name not in graph.outputs]:
                if name != layer.name or name not in last:
                    del streams[name]
            if report is not None:
                report(layer.name, index + 1, len(graph.layers))
    return replace(graph, weights=solved)


def _samples(
    layer: Layer,
    dense: list[torch.Tensor],
    pruned: list[torch.Tensor],
    weights: Mapping[str, torch.Tensor],
    settings: Settings,
    generator: torch.Generator,
) -> Samples:
    """Draw positions, the same number from every input; a position's column of inputs and its target."""
    count = len(dense[0])
    weight = weights[f"{layer.name}.weight"].flatten(1)
    each = max(1, settings.samples // count)
    rows, targets = [], []
    for index in range(count):
        columns = _columns(layer, pruned[0][index : index + 1])
        wanted = columns if pruned[0] is dense[0] else _columns(layer, dense[0][index : index + 1])
        at = torch.randint(columns.shape[1], (each,), generator=generator)
        target = wanted[:, at].T @ weight.T
        if layer.bias:
            target += weights[f"{layer.name}.bias"]
        steps, addend = list(layer.epilogue), layer.operands
        while steps and steps[0].kind == "add":  # a sum right after the layer: it can make up for its addend, too
            gap = (dense[addend] - pruned[addend])[index].flatten(1)
            target += gap[:, at].T
            steps, addend = steps[1:], addend + 1
        rows.append(columns[:, at].T)
        targets.append(target)
    stacked = torch.cat(rows)
    if layer.bias:
        stacked = torch.cat([stacked, torch.ones(len(stacked), 1)], dim=1)
    return Samples(stacked, torch.cat(targets), bool(steps) and steps[0].kind == "relu")


def _columns(layer: Layer, x: torch.Tensor) -> torch.Tensor:
    """The inputs of every output position, (in * height * width, positions), of one input (1, C, H, W)."""
    if layer.kernel == (1, 1) and layer.padding == (0, 0):
        return x[0, :, :: layer.stride[0], :: layer.stride[1]].flatten(1)
    return F.unfold(x, layer.kernel, layer.dilation, layer.padding, layer.stride)[0]


def _solved(
    layer: Layer,
    sparsity: Sparsity | None,
    samples: Samples,
    weights: Mapping[str, torch.Tensor],
    settings: Settings,
) -> dict[str, torch.Tensor]:
    """The layer's new weight and bias, by their names in the graph."""
    shape = layer.weight_shape
    old = weights[f"{layer.name}.weight"].flatten(1).double()
    if layer.bias:
        old = torch.cat([old, weights[f"{layer.name}.bias"].double()[:, None]], dim=1)
    moments = _moments(samples, samples.targets, old, settings)
    kept = np.ones(old.shape, bool)
    if sparsity is not None:
        kept[:, : np.prod(shape[1:])] = chosen(moments, sparsity, shape, settings).reshape(shape[0], -1)
    solver = Solver(moments.inputs, kept)
    found = solver(moments.cross)
    for _ in range(settings.rectify if samples.rectified else 0):
        made = samples.inputs @ torch.from_numpy(found.T).float()
        moved = torch.where(samples.targets > 0, samples.targets, made.clamp(max=0))
        found = solver(_moments(samples, moved, old, settings, moments.inputs).cross)
    new = torch.from_numpy(found).float()
    columns = int(np.prod(shape[1:]))
    result = {f"{layer.name}.weight": new[:, :columns].reshape(shape).contiguous()}
    return {**result, f"{layer.name}.bias": new[:, columns].contiguous()} if layer.bias else result


def _moments(
    samples: Samples, targets: torch.Tensor, old: torch.Tensor, settings: Settings, inputs: np.ndarray | None = None
) -> Moments:
    """H with its ridge (or `inputs`, which has it), and G, per sample."""
    count = len(samples.inputs)
    if inputs is None:
        plain = (samples.inputs.T @ samples.inputs).double() / count
        ridge = settings.ridge * float(plain.diagonal().mean())
        inputs = (plain + ridge * torch.eye(len(plain), dtype=torch.float64)).numpy()
    else:
        ridge = _ridge_of(inputs, settings)
    cross = (targets.T @ samples.inputs).double() / count + ridge * old
    power = targets.double().square().mean(dim=0) + ridge * old.square().sum(dim=1)
    return Moments(inputs, cross.numpy(), power.numpy())


def _ridge_of(inputs: np.ndarray, settings: Settings) -> float:
    """The ridge that is in H: mean(diag(H)) has grown by 1 + ridge."""
    return settings.ridge * float(np.diag(inputs).mean()) / (1 + settings.ridge)


def chosen(moments: Moments, sparsity: Sparsity, shape: tuple[int, int, int, int], settings: Settings) -> np.ndarray:
    """The mask, bool of the weight's shape, that the sparsity allows and that costs least."""
    columns = int(np.prod(shape[1:]))
    if sparsity.pattern == "pattern":
        importance = np.sqrt(np.diag(moments.inputs)[:columns])
        dense = np.linalg.solve(moments.inputs, moments.cross.T).T[:, :columns]
        return mask((dense * importance).reshape(shape), sparsity)
    inverse = np.linalg.inv(moments.inputs)
    dense = moments.cross @ inverse
    labels, size, groups = unit_labels(sparsity, shape), sparsity.block[0], sparsity.groups(shape)
    keep = sparsity.kept_units(shape) if sparsity.balanced else 0
    orders = [removals(inverse, dense[g * size : (g + 1) * size], labels, keep, settings.share) for g in range(groups)]
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


__all__ = ["Settings", "apply_step", "chosen", "reconstruct"]
