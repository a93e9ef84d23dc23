"""Sparsity: which weights of a layer may be kept, as one text: pattern, fraction of zeros, block; torch-free.

    block_punched:0.75:8x4   blocks of 8 filters x 4 channels lose whole kernel positions (YOLObile); any k x k
    columns:0.75:8x1         the same with one channel per block: filters share (channel, position) columns
    connectivity:0.75:8x4    blocks lose all kernel positions at once: a Winograd transform keeps these zeros
    pattern:0.75             3x3 only: kept kernels keep 4 entries in one of 8 patterns, others go whole (PatDNN)
    pattern:0.75:4           with 4 patterns

A last part ":free" lets filter groups keep different numbers of units; without it all keep the same number, so that
they take the same time. Filters and channels that do not fill a block make smaller ones at the end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import ceil, prod

from fleetpose.errors import UsageError, quoted, unknown_name
from models.graph.layer import Layer

WeightShape = tuple[int, int, int, int]

#: every pattern, with how its text goes on after the fraction of zeros
PATTERNS = {
    "block_punched": "FILTERSxCHANNELS, e.g. block_punched:0.75:8x4",
    "columns": "FILTERSx1, e.g. columns:0.75:8x1",
    "connectivity": "FILTERSxCHANNELS, e.g. connectivity:0.75:8x4",
    "pattern": "nothing or a number of patterns, e.g. pattern:0.75 or pattern:0.75:4",
}

#: entries a kernel keeps under "pattern", of the 9 of a 3x3; and the most patterns a layer may have
PATTERN_ENTRIES, MAX_PATTERNS = 4, 8

#: "pattern" with every kernel kept has 5/9 zeros; what is written as two digits of that is meant, too
_LEAST_PATTERN_ZEROS = 0.55

#: what stands for the absence of a sparsity in files and flags
DENSE = "dense"


@dataclass(frozen=True)
class Sparsity:
    """A pattern, a fraction of zeros and a block.

    A unit is what is removed or kept as one: a kernel position of a block (block_punched, columns), all positions of a
    block (connectivity), a kernel (pattern). A filter group is the filters of one row of blocks; one filter under
    "pattern".

    Attributes:
        pattern: a key of PATTERNS.
        zeros: the wanted fraction of zeros, 0 to below 1; at least 5/9 under "pattern".
        block: (filters, channels); (1, 1) under "pattern".
        patterns: how many kernel patterns the layer may have under "pattern", 1 to 8; 0 under every other.
        balanced: every filter group keeps the same number of units.
    """

    pattern: str
    zeros: float
    block: tuple[int, int] = (1, 1)
    patterns: int = 0
    balanced: bool = True

    def __post_init__(self) -> None:
        if self.pattern not in PATTERNS:
            raise unknown_name("sparsity pattern", self.pattern, PATTERNS)
        if not 0 <= self.zeros < 1:
            raise UsageError(f"{self}: the fraction of zeros is {self.zeros}, not from 0 to below 1")
        if min(self.block) < 1:
            raise UsageError(f"{self}: a block has at least one filter and one channel")
        if self.pattern == "columns" and self.block[1] != 1:
            raise UsageError(f"{self}: columns have one channel per block; with more it is block_punched")
        if self.pattern == "pattern":
            self._check_pattern()
        elif self.patterns:
            raise UsageError(f"{self.pattern} has no kernel patterns, so not {self.patterns}")

    def _check_pattern(self) -> None:
        if self.zeros < _LEAST_PATTERN_ZEROS:
            raise UsageError(f"{self}: 4 entries of 9 kept are 5/9 zeros or more; give 0.5556 to keep every kernel")
        if not 1 <= self.patterns <= MAX_PATTERNS:
            raise UsageError(f"{self}: a layer has 1 to {MAX_PATTERNS} kernel patterns, not {self.patterns}")
        if self.block != (1, 1):
            raise UsageError(f"{self}: kernel patterns have no block, so not {self.block[0]}x{self.block[1]}")

    def __str__(self) -> str:
        parts = [self.pattern, repr(float(self.zeros))]
        if self.pattern != "pattern":
            parts.append(f"{self.block[0]}x{self.block[1]}")
        elif self.patterns != MAX_PATTERNS:
            parts.append(str(self.patterns))
        return ":".join([*parts, *([] if self.balanced else ["free"])])

    @staticmethod
    def parse(text: str) -> Sparsity:
        """The inverse of `str`. Raises UsageError, with "did you mean", for what is no sparsity."""
        name, *rest = text.strip().split(":")
        if name not in PATTERNS:
            raise unknown_name("sparsity pattern", name, PATTERNS)
        free = rest[-1:] == ["free"]
        zeros, *shape = rest[:-1] if free else rest or [""]
        try:
            if name == "pattern" and len(shape) <= 1:
                return Sparsity(name, float(zeros), patterns=int(shape[0]) if shape else 8, balanced=not free)
            if name != "pattern" and len(shape) == 1 and (match := re.fullmatch(r"(\d+)x(\d+)", shape[0])):
                return Sparsity(name, float(zeros), (int(match[1]), int(match[2])), balanced=not free)
        except ValueError:
            pass  # not numbers: the same error as for missing ones
        raise UsageError(f"{quoted(text)} is no sparsity: after {name} come the fraction of zeros and {PATTERNS[name]}")

    def groups(self, shape: WeightShape) -> int:
        """Filter groups of a weight (out, in, kernel height, kernel width)."""
        return ceil(shape[0] / self.block[0])

    def units(self, shape: WeightShape) -> int:
        """Units of one filter group."""
        positions = shape[2] * shape[3] if self.pattern in ("block_punched", "columns") else 1
        return ceil(shape[1] / self.block[1]) * positions

    def kept_units(self, shape: WeightShape) -> int:
        """Units that are kept: per filter group if balanced, else of all groups together.

        The number nearest to the wanted zeros, at least one. So the zeros reached differ from the wanted ones by up to
        half a unit (balanced: half a unit of each filter group), and by what the smaller blocks at the end weigh less.
        """
        units = self.units(shape) * (1 if self.balanced else self.groups(shape))
        share = 9 / PATTERN_ENTRIES if self.pattern == "pattern" else 1.0
        return min(units, max(1, int((1 - self.zeros) * share * units + 0.5)))

    def kept_fraction(self, shape: WeightShape) -> float:
        """Kept weights / weights; exact where blocks divide the layer, else as if all units weighed the same."""
        units = self.units(shape) * (1 if self.balanced else self.groups(shape))
        share = PATTERN_ENTRIES / 9 if self.pattern == "pattern" else 1.0
        return share * self.kept_units(shape) / units

    def kept_macs(self, layer: Layer) -> int:
        """Multiply-adds that are left of a "conv" it applies to; see `kept_fraction`."""
        return round(layer.macs * self.kept_fraction(layer.weight_shape))

    def kept_weights(self, layer: Layer) -> int:
        """Weights that are left of a "conv" it applies to, biases not counted; see `kept_fraction`."""
        return round(prod(layer.weight_shape) * self.kept_fraction(layer.weight_shape))

    def applies_to(self, layer: Layer) -> str | None:
        """Why a layer cannot have this sparsity; None if it can. Whether it should is not asked."""
        if (reason := refuse_any(layer)) is not None:
            return reason
        if layer.groups > 1 and self.pattern == "pattern":
            return "kernel patterns are of convolutions in one group"
        if (layer.out_shape[0] // layer.groups) % self.block[0] and layer.groups > 1:
            of_group = layer.out_shape[0] // layer.groups
            return f"blocks of {self.block[0]} filters do not divide its groups of {of_group}"
        if self.pattern == "pattern" and layer.transposed:
            return "kernel patterns are of 3x3 kernels, which a transposed convolution takes apart"
        if self.pattern == "pattern" and layer.kernel != (3, 3):
            return f"kernel patterns are of 3x3 kernels, not {layer.kernel[0]}x{layer.kernel[1]}"
        if self.zeros and self.kept_fraction(layer.weight_shape) == 1:
            return f"its units are too large to remove {self.zeros:g} of {self.units(layer.weight_shape)} per group"
        return None


def refuse_any(layer: Layer) -> str | None:
    """Why a layer can have no sparsity at all; None where some may fit it."""
    if layer.op != "conv":
        return f"a {layer.op} has no weights"
    if layer.groups > 1 and layer.weight_shape[1] == 1:
        return "a depthwise convolution has one input channel per filter, and few weights to choose from"
    if layer.groups == layer.out_shape[0] > 1:
        return "a convolution with one filter per group has none that could share its zeros"
    if layer.out_shape[0] == 1:
        return "a convolution with one output channel has a single filter, which shares its zeros with no other"
    if layer.in_shapes[0][0] == 1:
        return "a convolution with one input channel has a few weights per filter, and all of them see the same map"
    return None


def parse_variant(text: str) -> Sparsity | None:
    """A sparsity, or None for "dense". Raises UsageError, with "did you mean"."""
    if text == DENSE:
        return None
    if text.split(":")[0] not in PATTERNS:
        raise unknown_name("variant", text.split(":")[0], [*PATTERNS, DENSE])
    return Sparsity.parse(text)


def variant_text(sparsity: Sparsity | None) -> str:
    """The inverse of `parse_variant`."""
    return DENSE if sparsity is None else str(sparsity)
