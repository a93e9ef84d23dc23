"""A network ready to be built: its graphs, and what the manifest says of its weights and its plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from codegen.lowering.sizes import check_sizes, default_sizes, trace_sizes
from fleetpose.files import sha256
from models.graph.answer import Cut
from models.graph.network import Graph, Widened
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity
from models.resolve import build_model, model_spec
from models.zoo.spec import ModelSpec


@dataclass(frozen=True)
class TracedNetwork:
    """One network, traced at every input size that is to be served.

    Attributes:
        spec: what is known of the model.
        graphs: one per input size.
        weights: what the manifest says of the weights; see `weights_facts`.
        sparsities: the pattern of the zeros of each pruned layer, by layer name.
        plan: what the manifest says of the plan; empty where every layer is dense.
        widened: what the manifest says of why layers compute in float32; empty: the length of their sums decides.
    """

    spec: ModelSpec
    graphs: Sequence[Graph]
    weights: Mapping[str, Any]
    sparsities: Mapping[str, Sparsity] = field(default_factory=dict)
    plan: Mapping[str, str] = field(default_factory=dict)
    widened: Mapping[str, str] = field(default_factory=dict)

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """Where the network ends before its torch module does; outputs are called as in the spec."""
        answer = self.graphs[0].answer
        return answer.with_names(dict(zip(answer.names, self.spec.outputs, strict=False))).cuts

    def under(self, plan: Plan, prune: bool = False, file: Path | None = None) -> TracedNetwork:
        """The network with the layers sparse that `plan` makes sparse.

        Args:
            plan: names every convolution of the network.
            prune: remove the smallest weights at one go where the weights do not have the plan's zeros.
            file: where the plan was read from, for the manifest.

        Raises:
            UsageError: the plan is of another network, or, unless `prune`, the weights do not follow it.
        """
        from codegen.lowering.planned import planned_graphs

        graphs, pruned = planned_graphs(self.graphs, plan, prune)
        origin = file_facts(file) if file else {}
        facts = {**origin, "zeros": "one-shot" if pruned else "given"}
        return replace(self, graphs=graphs, sparsities=plan.sparsities, plan=facts)

    def with_widened(self, widened: Mapping[str, Widened], by: str, file: Path | None = None) -> TracedNetwork:
        """The network in which that of these layers, and of no others, is float32 where it is built in half precision.

        Args:
            by: "photographs" or "flag", for the manifest.
            file: that says so, likewise.
        """
        graphs = [replace(graph, widened=widened) for graph in self.graphs]
        return replace(self, graphs=graphs, widened={"by": by, **(file_facts(file) if file else {})})


def trace_network(
    model: str, weights: Path | None = None, seed: int = 0, sizes: Sequence[tuple[int, int]] | None = None
) -> TracedNetwork:
    """Trace a model by its name.

    Args:
        model: a name as for `models.resolve.model_spec`.
        weights: file to take the weights from; None for random ones from `seed`.
        sizes: input (height, width) of each graph; None for `default_sizes`.

    Raises:
        UsageError: an unknown model, weights that do not fit, or a size that the network cannot take.
    """
    spec = model_spec(model)
    sizes = sizes or default_sizes(spec)
    check_sizes(spec, sizes)
    return TracedNetwork(spec, trace_sizes(model, weights, seed, sizes), weights_facts(spec, weights, seed))


def weights_facts(spec: ModelSpec, weights: Path | None, seed: int) -> dict[str, Any]:
    """What the manifest says of the weights."""
    from models.zoo.weights import weights_digest

    if weights is not None:
        return file_facts(weights)
    own = {"own": weights_digest(build_model(spec, None, seed))} if spec.own_weights else {}
    return {**own, "seed": seed}


def file_facts(path: Path) -> dict[str, str]:
    """What the manifest says of a file that an artifact was made from."""
    return {"file": path.name, "sha256": sha256(path)}
