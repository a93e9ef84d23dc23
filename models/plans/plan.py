"""Plan: the variant chosen for each convolution of a network, and why; torch-free. On disk it is `plan.json`:

    {"format": "fleetpose.plan/1", "model": "resnet50_3",
     "layers": {"neck.0": {"variant": "block_punched:0.6:8x4", "reason": "sparse 3.1 ms, best dense 5.2 ms"},
                "neck.1": {"variant": "dense", "reason": "no variant is faster"}, ...}}

A plan names every convolution of its network, the dense ones too, so that nothing is dense by mistake. A layer may
also have "break_even" (a fraction of zeros), "dense_ms" and "sparse_ms", and the plan a "network": see
models.plans.cost. `latency.decide` writes these; what prunes or builds by a plan reads variants only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fleetpose.errors import UsageError, unknown_name
from fleetpose.files import atomic_output
from models.graph.layer import Layer
from models.plans.cost import Cost, Outlook, number
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
    """

    layer: str
    sparsity: Sparsity | None = None
    reason: str = ""
    break_even: float | None = None
    dense: Cost | None = None
    sparse: Cost | None = None

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; what is not known is left out."""
        known = {
            "break_even": self.break_even,
            "dense_ms": self.dense and self.dense.to_json(),
            "sparse_ms": self.sparse and self.sparse.to_json(),
        }
        times = {name: value for name, value in known.items() if value is not None}
        return {"variant": variant_text(self.sparsity), "reason": self.reason, **times}


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
            raise UsageError(f"the plan of {self.model} has two choices for layer {twice!r}")

    @staticmethod
    def of(
        model: str,
        layers: Iterable[Layer],
        sparsities: Mapping[str, Sparsity],
        reasons: Mapping[str, str] | None = None,
    ) -> Plan:
        """A plan with these sparsities, by layer name, and every other convolution of `layers` dense.

        Raises:
            UsageError: a name that is no convolution's, or a sparsity that a layer cannot have.
        """
        layers, why = tuple(layers), reasons or {}
        names = [layer.name for layer in layers if layer.op == "conv"]
        for name in [*sparsities, *why]:
            if name not in names:
                raise unknown_name(f"convolution of {model}", name, names)
        plan = Plan(model, tuple(LayerChoice(name, sparsities.get(name), why.get(name, "")) for name in names))
        plan.check(layers)
        return plan

    @cached_property
    def _by_layer(self) -> dict[str, LayerChoice]:
        return {choice.layer: choice for choice in self.choices}

    def __getitem__(self, layer: str) -> LayerChoice:
        """The choice for a layer, by its name. Raises UsageError, with "did you mean"."""
        if layer not in self._by_layer:
            raise unknown_name(f"layer in the plan of {self.model}", layer, self._by_layer)
        return self._by_layer[layer]

    @property
    def sparsities(self) -> dict[str, Sparsity]:
        """The sparsity of each layer that is not dense."""
        return {choice.layer: choice.sparsity for choice in self.choices if choice.sparsity is not None}

    def check(self, layers: Iterable[Layer]) -> None:
        """Raise UsageError unless the plan names just the convolutions of `layers`, each with what it can have."""
        convs = {layer.name: layer for layer in layers if layer.op == "conv"}
        for choice in self.choices:
            if choice.layer not in convs:
                raise unknown_name(f"convolution of {self.model}", choice.layer, convs)
            refusal = choice.sparsity.applies_to(convs[choice.layer]) if choice.sparsity else None
            if refusal:
                raise UsageError(f"layer {choice.layer!r} cannot be {choice.sparsity}: {refusal}")
        missing = [name for name in convs if name not in self._by_layer]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise UsageError(f'the plan of {self.model} lacks layer {missing[0]!r}{more}; give it the variant "dense"')

    def removed_weights(self, layers: Iterable[Layer]) -> int:
        """How many weights of `layers` the plan sets to zero; see Sparsity.kept_fraction."""
        pairs = self._pruned_layers(layers)
        return sum(
            layer.params - layer.bias * layer.out_shape[0] - sparsity.kept_weights(layer) for layer, sparsity in pairs
        )

    def removed_macs(self, layers: Iterable[Layer]) -> int:
        """How many multiply-adds of `layers` these weights were for."""
        return sum(layer.macs - sparsity.kept_macs(layer) for layer, sparsity in self._pruned_layers(layers))

    def _pruned_layers(self, layers: Iterable[Layer]) -> list[tuple[Layer, Sparsity]]:
        sparsities = self.sparsities
        return [(layer, sparsities[layer.name]) for layer in layers if layer.name in sparsities]

    def to_json(self) -> dict[str, Any]:
        network = {"network": self.network.to_json()} if self.network else {}
        layers = {choice.layer: choice.to_json() for choice in self.choices}
        return {"format": FORMAT, "model": self.model, **network, "layers": layers}

    @staticmethod
    def from_json(value: Any) -> Plan:
        """The inverse of `to_json`. Raises UsageError for another format, and entries missing or not understood."""
        its_format = value.get("format") if isinstance(value, dict) else type(value).__name__
        if its_format != FORMAT:
            raise UsageError(f"not a plan: its format is {its_format!r}, not {FORMAT!r}")
        model, layers = value.get("model"), value.get("layers")
        if not isinstance(model, str) or not isinstance(layers, dict):
            raise UsageError("a plan has a model's name and its layers; one of them is missing")
        network = Outlook.from_json(value["network"]) if "network" in value else None
        return Plan(model, tuple(_choice(name, entry) for name, entry in layers.items()), network)

    def save(self, path: Path | str, *, force: bool = False) -> None:
        """Write the plan. Raises UsageError where the file exists and `force` is false, or cannot be written."""
        with atomic_output(path, force=force) as temporary:
            temporary.write_text(json.dumps(self.to_json(), indent=2, allow_nan=False) + "\n")

    @staticmethod
    def load(path: Path | str, model: str = "") -> Plan:
        """Read a plan, of the network `model` unless that is "".

        Raises:
            UsageError: with the path, where there is no plan, or one of another network.
        """
        try:
            plan = Plan.from_json(json.loads(Path(path).read_text()))
        except OSError as error:
            raise UsageError(f"cannot read the plan {path}: {error.strerror}") from error
        except ValueError as error:
            raise UsageError(f"the plan {path} is not JSON: {error}") from error
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from error
        if model and plan.model != model:
            raise UsageError(f"{path} is a plan of {plan.model}, not of {model}")
        return plan


def _choice(layer: str, entry: Any) -> LayerChoice:
    known, where = ("variant", "reason", "break_even", "dense_ms", "sparse_ms"), f"layer {layer!r} of the plan"
    if not isinstance(entry, dict) or not isinstance(entry.get("variant"), str):
        raise UsageError(f"{where} has no variant")
    for name, value in entry.items():
        if name not in known:
            raise unknown_name(f"entry of layer {layer!r}", name, known)
        if name in ("variant", "reason") and not isinstance(value, str):
            raise UsageError(f"{where} has the {name} {value!r}, which is no text")
    times = {
        name: Cost.from_json(entry[name], f"{where}: {name}") for name in ("dense_ms", "sparse_ms") if name in entry
    }
    even = entry.get("break_even")
    try:
        sparsity = parse_variant(entry["variant"])
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error
    return LayerChoice(
        layer,
        sparsity,
        entry.get("reason", ""),
        None if even is None else number(even, f"{where}: break_even", zero=True),
        times.get("dense_ms"),
        times.get("sparse_ms"),
    )
