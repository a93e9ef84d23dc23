"""Sample: one thing whose latency is known or wanted, whoever measured it: a layer under a sparsity and a schedule.

Samples come from our own records and from foreign tables alike, and are all that features and predictors see. This
module knows neither files nor features.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from models.graph.layer import Layer
from models.graph.network import Widened
from models.plans.sparsity import Sparsity, variant_text

#: our own kernels, as opposed to a foreign runtime's
OWN = "fleetpose"


@dataclass(frozen=True)
class Sample:
    """A layer as a certain kernel runs it on a certain device.

    Attributes:
        layer: the fused layer; names and module are blank, so that equal work compares equal.
        kernel: class of the kernel: "winograd4", "columns", "depthwise", ...; what the baseline is fitted by.
        sparsity: None is dense.
        dtype: element type of activations and weights.
        schedule: configuration of the kernel as (name, number) pairs, sorted by name: ("filters", 12), ("m", 4), ...
        grids: kernels that are launched, one after the other.
        ms: measured milliseconds, None where they are to be predicted.
        spread: interquartile range / median of the measurement, None where not known.
        networks, families: that have the layer; () for layers between those of networks.
        group: shared by what was timed in one interleaved run; "" where nothing was.
        framework: whose kernels: OWN, or a foreign runtime.
        device: name of the device; gpu: of its GPU.
        widened: what of the arithmetic is float32 although `dtype` is float16: "sums", or "products" too.
        textures: whether the kernel reads activations or weights as images.
    """

    layer: Layer
    kernel: str
    sparsity: Sparsity | None = None
    dtype: str = "float32"
    schedule: tuple[tuple[str, float], ...] = ()
    grids: int = 1
    ms: float | None = None
    spread: float | None = None
    networks: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    group: str = ""
    framework: str = OWN
    device: str = ""
    gpu: str = ""
    widened: Widened = ""
    textures: bool = False
    _keys: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def config(self) -> dict[str, float]:
        """`schedule` by name."""
        return dict(self.schedule)

    @property
    def shape_key(self) -> str:
        """A digest of the layer, whatever its dtype, sparsity and kernel; rows that share it never part in a split.

        Epilogues, biases and padding are left out: two layers that differ in these only take all but the same time. So
        are the dtype and what is widened: a layer in half precision says much of what it takes in single.
        """
        return self._digest("shape", shape_text(self.layer, "float32"))

    @property
    def key(self) -> str:
        """A digest of all that decides the time: shape, epilogue, sparsity, kernel and configuration."""
        epilogue = ",".join(step.kind for step in self.layer.epilogue) if self.framework == OWN else ""
        parts = (self.shape_key, epilogue, variant_text(self.sparsity), self.kernel, self.schedule, self.device)
        return self._digest("all", repr((*parts, self.dtype, self.widened)))

    def _digest(self, name: str, text: str) -> str:
        if name not in self._keys:
            self._keys[name] = hashlib.sha256(text.encode()).hexdigest()[:16]
        return self._keys[name]

    @property
    def label(self) -> str:
        """A short description for people: conv3x3 s2 64-128 56x56->28x28 columns:0.75:8x1 [columns]."""
        layer = self.layer
        (cin, height, width), (cout, rows, columns) = layer.in_shapes[0], layer.out_shape
        op = layer.foreign.name if layer.foreign else f"{layer.op}{layer.kernel[0]}x{layer.kernel[1]}"
        parts = [
            f"{'de' if layer.transposed else ''}{op}",
            f"{cin}-{cout}",
            f"{height}x{width}->{rows}x{columns}",
        ]
        parts[1:1] = [f"s{layer.stride[0]}"] * (layer.stride != (1, 1)) + [f"g{layer.groups}"] * (layer.groups > 1)
        parts[1:1] = [f"d{layer.dilation[0]}"] * (layer.dilation != (1, 1))
        wide = [f"float32 {self.widened}"] if self.widened else []
        return " ".join([*parts, *([str(self.sparsity)] if self.sparsity else []), *wide, f"[{self.kernel}]"])


def origin_of(samples: Sequence[Sample]) -> str:
    """Whose kernels most of these are: the framework, and "textures" where they are images: "tvm textures"."""
    origins = Counter(f"{sample.framework} textures" if sample.textures else sample.framework for sample in samples)
    return max(sorted(origins), key=lambda origin: origins[origin])


def about_device(samples: Sequence[Sample]) -> dict[str, str]:
    """Of the device that all of these are of its name, its GPU, the framework and the kernels' origin."""
    first = samples[0]
    return {"device": first.device, "gpu": first.gpu, "framework": first.framework, "origin": origin_of(samples)}


def pairs(config: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    """A schedule's configuration as `Sample.schedule` holds it; what is no finite number is left out."""
    numbers = {name: float(value) for name, value in config.items() if isinstance(value, int | float)}
    return tuple(sorted((name, value) for name, value in numbers.items() if math.isfinite(value)))


def shape_text(layer: Layer, dtype: str) -> str:
    """What of a layer makes it the same shape as another."""
    operands = layer.in_shapes[: layer.operands]
    parts = (layer.op, layer.kernel, layer.stride, layer.dilation, layer.groups, operands, layer.out_shape, dtype)
    moves = [f"{move.operand} {move.first} {move.index_map}" for move in layer.moves]
    combined = [str(what) for what in (layer.reduction, layer.product) if what is not None]
    combined += [layer.foreign.operator, layer.foreign.arguments] if layer.foreign else []
    return repr((*parts, "transposed" if layer.transposed else layer.mode, *moves, *combined))


def merge(samples: Iterable[Sample]) -> list[Sample]:
    """One sample for each `key`, its time the median of the times, its networks and families those of all.

    Grouped by `group` too, where there is one: what was timed together stays comparable.
    """
    by_key: dict[str, list[Sample]] = {}
    for sample in samples:
        by_key.setdefault(sample.key, []).append(sample)
    return [_median(same) for same in by_key.values()]


def _median(same: list[Sample]) -> Sample:
    if len(same) == 1:
        return same[0]
    times = [sample.ms for sample in same if sample.ms is not None]
    spreads = [sample.spread for sample in same if sample.spread is not None]
    return replace(
        same[0],
        ms=statistics.median(times) if times else None,
        spread=statistics.median(spreads) if spreads else None,
        networks=tuple(sorted({name for sample in same for name in sample.networks})),
        families=tuple(sorted({name for sample in same for name in sample.families})),
        group=same[0].group if len({sample.group for sample in same}) == 1 else "",
    )
