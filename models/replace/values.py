"""The plain values of operator replacement: what is replaced, what it costs, what is advised. Torch-free, JSON-able."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from fleetpose.codec import encode
from fleetpose.errors import UsageError, unknown_name
from fleetpose.json_fields import in_json

#: every kind of replacement, and what it does in words
KINDS = {
    "activation": "a smooth activation becomes a piecewise linear one",
    "kernel": "a k x k convolution becomes a chain of 3x3 ones",
    "dilation": "a dilated convolution becomes a chain of plain 3x3 ones",
    "squeeze_excite": "a squeeze-excite gate is removed",
}

#: what a smooth activation may become
ACTIVATIONS = ("relu", "relu6", "hardtanh")


@dataclass(frozen=True)
class Replacement:
    """One replacement; a plan is a tuple of them.

    Attributes:
        kind: one of KINDS.
        path: of the module replaced, or, where `function`, of the module whose forward is rewritten ("" is the root).
        before, after: in words; for an activation its name before, and one of ACTIVATIONS.
        function: the operator is written in a forward instead of being a module of torch's.
        links: 3x3 convolutions in the chain.
        activation: between the links.
        norm: path of the batch norm that follows the convolution, "" if there is none: each inner link has one too.
    """

    kind: str
    path: str
    before: str
    after: str
    function: bool = False
    links: int = 0
    activation: str = ""
    norm: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown_name("kind of replacement", self.kind, KINDS)
        named = self.after if self.kind == "activation" else self.activation or "relu"
        if named not in ACTIVATIONS:
            raise unknown_name("activation", named, ACTIVATIONS)
        if self.kind in ("kernel", "dilation") and self.links < 1:
            raise UsageError(f"the replacement of {self.path!r} needs at least one link, not {self.links}")

    @property
    def place(self) -> str:
        """Where, in words."""
        path = self.path or "the root module"
        return f"{path} (in its forward)" if self.function else path


@dataclass(frozen=True)
class OperatorCost:
    """What a network, or the part of it that is replaced, costs.

    Attributes:
        macs: multiply-adds of convolutions and linear layers, per image.
        params: trainable numbers.
        winograd_layers: convolutions Winograd's algorithm may run: 3x3, stride 1, dilation 1, not grouped.
        winograd_macs: their share of `macs`.
        smooth: elements per image that go through an activation that needs an exponential or a division, and
            products with a gate.
        receptive_field: (height, width) in input pixels of what one output sees (of a part: of its own input);
            None is the whole input.
        secs: latency, where a function that tells it was given and could be asked.
    """

    macs: int = 0
    params: int = 0
    winograd_layers: int = 0
    winograd_macs: int = 0
    smooth: int = 0
    receptive_field: tuple[int, int] | None = (1, 1)
    secs: float | None = None

    json_properties: ClassVar = ("multiplications",)

    @property
    def multiplications(self) -> int:
        """Multiplications if Winograd F(2x2, 3x3) runs what it may: 16 instead of 36 (Lavin and Gray 2016, 4.1)."""
        return round(self.macs - self.winograd_macs * (1 - 16 / 36))


@dataclass(frozen=True)
class Advice:
    """What is known of one possible replacement.

    Attributes:
        replacement: what would be done.
        before, after: cost of the part replaced.
        refused: why it may not be done; "" if it may.
        planned: whether `plan_of` takes it.
        why: why it is or is not planned, or what is lost, in words.
        saved_secs: the whole network's latency less its latency with this replacement alone.
    """

    replacement: Replacement
    before: OperatorCost = field(metadata=in_json("cost_before"))
    after: OperatorCost = field(metadata=in_json("cost_after"))
    refused: str = ""
    planned: bool = False
    why: str = ""
    saved_secs: float | None = None

    json_properties: ClassVar = ("saved_macs", "winograd_gained")

    @property
    def saved_macs(self) -> int:
        return self.before.macs - self.after.macs

    @property
    def winograd_gained(self) -> int:
        return self.after.winograd_layers - self.before.winograd_layers

    def to_json(self) -> dict[str, Any]:
        """As one flat JSON object."""
        entries = encode(self)
        return {**entries.pop("replacement"), **entries}
