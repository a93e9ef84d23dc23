"""Plans for the paper's pruned networks ("Towards Fast and Accurate Multi-Person Pose Estimation on Mobile Devices",
IJCAI-21 demo, Figure 3 and Table 2); torch-free.

The paper gives the totals that are left (resnet50_3: 3.76 M parameters and 9.7 GMACs at 1.80x, 3.15 M and 8.3 at 2.15x;
efficientnet: 1.68 M and 4.7 at 2.01x) and its rules: a layer has a high ratio or none, the backbone is pruned most, the
PAF branch least; the first convolution and the outputs stay dense. Which layer has which ratio was found by counting,
and is not the only possibility. Where only some layers of a kind are pruned, which ones is this project's choice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from fleetpose.errors import unknown_name
from models.graph.layer import Layer
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity
from models.zoo.blocks import covers


@dataclass(frozen=True)
class LayerRatio:
    """One row of an assignment: convolutions with this kernel, under these module paths (see models.zoo.blocks.covers).

    Attributes:
        part: what the paths are, in words.
        kernel: 1 or 3.
        ratio: weights / kept weights.
        paths: patterns of module paths.
    """

    part: str
    kernel: int
    ratio: float
    paths: tuple[str, ...]

    def holds(self, layer: Layer) -> bool:
        """Whether the row speaks of the layer; grouped convolutions have no row."""
        plain = layer.op == "conv" and layer.groups == 1 and layer.kernel == (self.kernel, self.kernel)
        return plain and any(covers(path, layer.module) for path in self.paths)


_HEATMAPS = ("initial_stage.heatmaps", "refinement_stages.*.heatmaps")


def _pafs(first: int, last: int) -> tuple[str, ...]:
    return tuple(f"refinement_stages.0.pafs.{index}" for index in range(first, last + 1))


#: model -> ratio of all parameters, as the paper labels it -> rows
PAPER_PLANS: dict[str, dict[str, tuple[LayerRatio, ...]]] = {
    "resnet50_3": {
        "1.80x": (
            LayerRatio("first stage", 3, 2, ("backbone.layers.0",)),
            LayerRatio("second stage", 3, 3, ("backbone.layers.1",)),
            LayerRatio("second stage", 1, 2.5, ("backbone.layers.1",)),
            LayerRatio("neck", 3, 2.5, ("neck",)),
            LayerRatio("heatmaps", 3, 2, _HEATMAPS),
        ),
        "2.15x": (
            LayerRatio("first stage", 3, 2, ("backbone.layers.0",)),
            LayerRatio("second stage", 3, 4, ("backbone.layers.1",)),
            LayerRatio("second stage", 1, 4, ("backbone.layers.1",)),
            LayerRatio("neck", 3, 2.5, ("neck",)),
            LayerRatio("heatmaps", 3, 3, _HEATMAPS),
            LayerRatio("3 of 18 layers of the PAFs", 3, 2, _pafs(1, 3)),
        ),
    },
    "efficientnet": {
        "2.01x": (
            LayerRatio("before 46x46", 1, 2.5, (*(f"backbone.{index}" for index in range(1, 9)), "backbone.9.expand")),
            LayerRatio("at 46x46", 1, 3, ("backbone.9.project", *(f"backbone.{index}" for index in range(10, 14)))),
            LayerRatio("neck", 3, 3, ("neck",)),
            LayerRatio("heatmaps", 3, 3, _HEATMAPS),
            LayerRatio(
                "heatmaps but the outputs", 1, 2, ("initial_stage.heatmaps.3", "refinement_stages.0.heatmaps.15")
            ),
            LayerRatio("9 of 18 layers of the PAFs", 3, 2, _pafs(0, 8)),
        ),
    },
}

_DEFAULT = Sparsity("block_punched", 0.5, (8, 4))


def paper_plan(
    model: str, layers: Iterable[Layer], ratio: str, pointwise: Sparsity = _DEFAULT, spatial: Sparsity = _DEFAULT
) -> Plan:
    """The plan of one of the paper's pruned networks.

    Args:
        model: a key of PAPER_PLANS.
        layers: of that model, at any input size.
        ratio: as the paper labels it, e.g. "2.15x".
        pointwise, spatial: what 1x1 and 3x3 layers get, with each layer's own fraction of zeros in place of theirs.

    Raises:
        UsageError: no such plan, layers of another network, or a sparsity that cannot have the zeros a layer is to have
            ("pattern" has at least 5/9).
    """
    if model not in PAPER_PLANS:
        raise unknown_name("pruned network of the paper", model, PAPER_PLANS)
    if ratio not in PAPER_PLANS[model]:
        raise unknown_name(f"ratio of {model}", ratio, PAPER_PLANS[model])
    layers = tuple(layers)
    sparsities, reasons = {}, {}
    for layer in layers:
        row = next((row for row in PAPER_PLANS[model][ratio] if row.holds(layer)), None)
        if row is not None:
            template = pointwise if row.kernel == 1 else spatial
            sparsities[layer.name] = replace(template, zeros=round(1 - 1 / row.ratio, 4))
            reasons[layer.name] = f"{row.part}: {row.ratio:g}x in the paper's {ratio}"
    return Plan.of(model, layers, sparsities, reasons)
