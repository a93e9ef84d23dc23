"""From a dense network and a plan to a pruned network: the methods by name, each from its start to its constraint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from fleetpose.disk.refusals import text_name
from fleetpose.errors import UsageError, first_line, unknown_name
from fleetpose.files import write_bytes
from fleetpose.progress import Report, no_report
from models.graph.network import Graph, check_finite_weights
from models.plans.plan import Plan
from models.prune.constraints import Admm, HardMasks, IterativeMagnitude, Reweighted
from models.prune.masks.binding import adopt
from models.prune.masks.targets import find_targets
from models.prune.oneshot import prune_graph
from models.prune.reconstruction.layerwise import ReconstructionSettings
from models.prune.reconstruction.reconstruct import reconstruct
from models.prune.reconstruction.streams import forward, torch_weights, with_last_reads
from models.prune.settings import METHODS, Strength
from models.zoo.stored.safetensors_header import check_safetensors

if TYPE_CHECKING:
    from models.train.constraint import Constraint


def prune_at_once(
    network: nn.Module,
    graph: Graph,
    plan: Plan,
    inputs: np.ndarray | None,
    settings: ReconstructionSettings = ReconstructionSettings(),  # noqa: B008  frozen
    report: Report = no_report,
    win_back: Callable[[Callable[[], Graph]], Graph] | None = None,
) -> None:
    """Give `network` the plan's zeros, in place: by reconstruction on `inputs`, or by magnitude where these are None.

    Args:
        graph: traced from `network`.
        inputs: (N, *graph.input_shape) float32, or None.
        win_back: from what reconstructs to the graph to take in its place; see models.prune.recovery.

    Raises:
        UsageError: the plan does not fit; weights that are not finite; the network is left as it was.
    """
    plan.check(graph.layers)
    check_finite_weights(graph)
    if inputs is None:
        adopt(network, graph, prune_graph(graph, plan))
        return

    def solve() -> Graph:
        return reconstruct(graph, plan.sparsities, inputs, settings, report)

    adopt(network, graph, solve() if win_back is None else win_back(solve))


def constraint_for(
    method: str,
    network: nn.Module,
    graph: Graph,
    plan: Plan,
    inputs: np.ndarray | None = None,
    strength: Strength = Strength(),  # noqa: B008  frozen
) -> Constraint:
    """What a training of `network` takes so that it ends with the plan's zeros.

    Args:
        method: one of METHODS; for "oneshot" the network has the zeros already.
        graph: traced from `network` as it is.
        inputs: magnitudes are compared times the root mean square of what they multiply on these; None: as they are.
    """
    if method not in METHODS:
        raise unknown_name("pruning method", method, METHODS)
    norms = input_norms(graph, plan, inputs) if inputs is not None and method != "oneshot" else None
    targets = find_targets(network, graph, plan, norms)
    if method == "magnitude":
        return IterativeMagnitude(targets, share=strength.share)
    if method == "admm":
        return Admm(targets, strength.rho, share=strength.share)
    if method == "reweighted":
        return Reweighted(targets, strength.lasso, share=strength.share)
    return HardMasks(targets, {target.name: target.weight.detach() != 0 for target in targets})


def input_norms(graph: Graph, plan: Plan, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Root mean square of what each weight of every pruned layer multiplies: (out, in / groups, 1, 1), by layer."""
    weights, norms = torch_weights(graph), {}
    held = {graph.input: torch.from_numpy(np.ascontiguousarray(inputs, np.float32))}
    for layer, finished in with_last_reads(graph):
        if layer.name in plan.sparsities:
            squares = held[layer.inputs[0]].square().mean(dim=(0, 2, 3), keepdim=True)
            of_group = squares.sqrt().reshape(layer.groups, -1, 1, 1)
            norms[layer.name] = of_group.repeat_interleave(layer.out_shape[0] // layer.groups, 0).numpy()
        held[layer.name] = forward(layer, [held[name] for name in layer.inputs], weights)
        for name in finished:
            del held[name]
    return norms


def load_or_make_start(network: nn.Module, path: Path, identity: Sequence[str], make: Callable[[], None]) -> None:
    """Run `make`, which changes `network`, unless its result is at `path` already, so that training can be resumed.

    Args:
        path: safetensors, written here and read again where it says the same `identity`; that of another pruning is
            replaced, since it can be made again.

    Raises:
        UsageError: the file is none that was written here.
    """
    from safetensors.torch import save

    text = "\n".join(identity)
    if path.is_file() and _load_start(network, path, text):
        return
    make()
    tensors = {name: tensor.contiguous().clone() for name, tensor in network.state_dict().items()}
    write_bytes(path, save(tensors, {"identity": text}), force=True)


def _load_start(network: nn.Module, path: Path, text: str) -> bool:
    """Whether `path` has what `make` makes under this identity; `network` has it then. Raises UsageError for damage."""
    from safetensors import SafetensorError, safe_open

    try:
        check_safetensors(path)
        with text_name(path) as name, safe_open(name, "pt") as stored:
            if (theirs := (stored.metadata() or {}).get("identity")) is None:
                raise ValueError("it does not say what pruning it is of")
            if theirs != text:
                return False
            network.load_state_dict({name: stored.get_tensor(name) for name in stored.keys()})  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise UsageError(f"{path} is not what this pruning began with ({first_line(error)}); move it away") from error
    return True
