"""Plan: the variant chosen for each convolution of a network, and why; torch-free. On disk it is `plan.json`.

    {"format": "fleetpose.plan/1", "model": "resnet50_3",
     "layers": {"neck.0": {"variant": "block_punched:0.6:8x4", "reason": "sparse 3.1 ms, best dense 5.2 ms"},
                "neck.1": {"variant": "dense", "reason": "no variant is faster"}, ...}}

A plan names every convolution of its network, the dense ones too, so that nothing is dense by mistake. A layer may
also have "break_even" (a fraction of zeros), "dense_ms", "sparse_ms" and "probability_faster", and the plan a
"network": see models.plans.cost. `latency.decide` writes these; what prunes or builds by a plan reads variants only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

from fleetpose.codec import decode, encode
from fleetpose.errors import UsageError, one_line, quoted, unknown_name
from fleetpose.files import read_json, write_json
from fleetpose.json_fields import NotNegative, in_json
from models.graph.layer import Layer
from models.graph.tied import first_uses, spread_over_uses
from models.plans.cost import Cost, Outlook
from models.plans.sparsity import Sparsity, parse_variant, variant_text

FORMAT = "fleetpose.plan/1"


@dataclass(frozen=True)
class LayerChoice:
    """What was chosen for one layer.

    Attributes:
        layer: its name.
        sparsity: None is dense.
        reason: for people; what comes before a colon is what layers are grouped by where they are explained.
        break_even: fraction of zeros from which on a variant is no slower than dense; None where none is or it is not
            known.
        dense: time of the best dense kernel; None where it is not known.
        sparse: time of the chosen variant, or, where dense was chosen, of the fastest one.
        faster: probability that this variant is faster than dense; None where it is not known.
    """

    layer: str
    sparsity: Sparsity | None = field(
        default=None, metadata=in_json("variant", needed=True, encode=variant_text, decode=parse_variant)
    )
    reason: str = ""
    break_even: NotNegative | None = field(default=None, metadata=in_json(omit=True))
    dense: Cost | None = field(default=None, metadata=in_json("dense_ms", omit=True))
    sparse: Cost | None = field(default=None, metadata=in_json("sparse_ms", omit=True))
    faster: NotNegative | None = field(default=None, metadata=in_json("probability_faster", omit=True))


@dataclass(frozen=True)
class Plan:
    """The choices for one network, in the order of its layers.

    Attributes:
        model: the network's registered name, or what else its layers were taken from.
        choices: one per convolution.
        network: the whole network's time with and without the plan; None where it is not known.
    """

    model: str
    choices: tuple[LayerChoice, ...]
    network: Outlook | None = None

    def __post_init__(self) -> None:
        if len(self._by_layer) != len(self.choices):
            names = [choice.layer for choice in self.choices]
            twice = next(name for name in names if names.count(name) > 1)
            raise UsageError(f"the plan of {one_line(self.model)} has two choices for layer {quoted(twice)}")

    @staticmethod
    def of(
        model: str,
        layers: Iterable[Layer],
        sparsities: Mapping[str, Sparsity],
        reasons: Mapping[str, str] | None = None,
    ) -> Plan:
        """A plan with these sparsities, by layer name, and every other convolution of `layers` dense.

        A layer that is tied to one with a sparsity, and has none of its own, has the same.

        Raises:
            UsageError: a name that is no convolution's, or a sparsity that a layer cannot have.
        """
        layers, why = tuple(layers), reasons or {}
        names = [layer.name for layer in layers if layer.op == "conv"]
        for name in [*sparsities, *why]:
            if name not in names:
                raise unknown_name(f"convolution of {model}", name, names)
        sparsities, why = spread_over_uses(layers, sparsities), spread_over_uses(layers, why)
        plan = Plan(model, tuple(LayerChoice(name, sparsities.get(name), why.get(name, "")) for name in names))
        plan.check(layers)
        return plan

    @cached_property
    def _by_layer(self) -> dict[str, LayerChoice]:
        return {choice.layer: choice for choice in self.choices}

    def __getitem__(self, layer: str) -> LayerChoice:
        """The choice for a layer, by its name. Raises UsageError, with "did you mean"."""
        if layer not in self._by_layer:
            raise unknown_name(f"layer in the plan of {one_line(self.model)}", layer, self._by_layer)
        return self._by_layer[layer]

    @property
    def sparsities(self) -> dict[str, Sparsity]:
        """The sparsity of each layer that is not dense."""
        return {choice.layer: choice.sparsity for choice in self.choices if choice.sparsity is not None}

    def check(self, layers: Iterable[Layer]) -> None:
        """Raise UsageError unless the plan names just the convolutions of `layers`, each with what it can have, and
        tied ones with the same."""
        convs = {layer.name: layer for layer in layers if layer.op == "conv"}
        for choice in self.choices:
            if choice.layer not in convs:
                raise unknown_name(f"convolution of {one_line(self.model)}", choice.layer, convs)
            refusal = choice.sparsity.applies_to(convs[choice.layer]) if choice.sparsity else None
            if refusal:
                raise UsageError(f"layer {quoted(choice.layer)} cannot be {choice.sparsity}: {refusal}")
        missing = [name for name in convs if name not in self._by_layer]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise UsageError(
                f'the plan of {one_line(self.model)} lacks layer {missing[0]!r}{more}; give it the variant "dense"'
            )
        for name, first in first_uses(convs.values()).items():
            if self[name].sparsity != self[first].sparsity:
                raise UsageError(
                    f"layers {first!r} and {name!r} share their weight, so they cannot be "
                    f"{variant_text(self[first].sparsity)} and {variant_text(self[name].sparsity)}; give both the same"
                )

    def removed_weights(self, layers: Iterable[Layer]) -> int:
        """How many weights of `layers` the plan sets to zero, shared ones counted once; see Sparsity.kept_fraction."""
        layers = tuple(layers)
        first = first_uses(layers)
        pairs = [pair for pair in self._pruned_layers(layers) if first[pair[0].name] == pair[0].name]
        return sum(prod(layer.weight_shape) - sparsity.kept_weights(layer) for layer, sparsity in pairs)

    def removed_macs(self, layers: Iterable[Layer]) -> int:
        """How many multiply-adds of `layers` these weights were for."""
        return sum(layer.macs - sparsity.kept_macs(layer) for layer, sparsity in self._pruned_layers(layers))

    def _pruned_layers(self, layers: Iterable[Layer]) -> list[tuple[Layer, Sparsity]]:
        sparsities = self.sparsities
        return [(layer, sparsities[layer.name]) for layer in layers if layer.name in sparsities]

    def to_json(self) -> dict[str, Any]:
        network = {"network": encode(self.network)} if self.network else {}
        layers = {choice.layer: encode(choice) for choice in self.choices}
        for entry in layers.values():
            del entry["layer"]
        return {"format": FORMAT, "model": self.model, **network, "layers": layers}

    @staticmethod
    def from_json(value: Any, where: str = "the plan") -> Plan:
        """The inverse of `to_json`. Raises UsageError, saying `where`, for entries missing or not understood."""
        content = decode(_PlanFile, value, where)
        layers = {name: {**dict(entry), "layer": name} for name, entry in content.layers.items()}
        choices = decode(dict[str, LayerChoice], layers, f"{where}: layers")
        return Plan(content.model, tuple(choices.values()), content.network)

    def save(self, path: Path | str, *, force: bool = False) -> None:
        """Write the plan. Raises UsageError where the file exists and `force` is false, or cannot be written."""
        write_json(path, self.to_json(), force=force, indent=2)

    @staticmethod
    def load(path: Path | str, model: str = "") -> Plan:
        """Read a plan, of the network `model` unless that is "".

        Raises:
            UsageError: with the path, where there is no plan, or one of another network.
        """
        plan = Plan.from_json(read_json(path, "plan", FORMAT), str(path))
        if model and plan.model != model:
            raise UsageError(f"{path} is a plan of {one_line(plan.model)}, not of {model}")
        return plan


@dataclass(frozen=True)
class _PlanFile:
    format: str
    model: str
    layers: Mapping[str, Mapping[str, Any]]
    network: Outlook | None = None
