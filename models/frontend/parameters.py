"""Which parameter of the module the weight of a convolution is: its values as they are, or scaled by channel.

Pruning writes zeros back into that parameter; two layers that have the same one are tied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from models.frontend.draft import Draft
from models.frontend.scaled import factors_between
from models.graph.layer import Layer
from models.graph.transposed import swap_channels

#: what stands for the name of a parameter where the weight is none, but computed of others
COMPUTED = ""


def name_parameters(drafts: Iterable[Draft], read: Mapping[str, np.ndarray]) -> None:
    """Note in each convolution which of the parameters that its call reads is its weight.

    Args:
        drafts: that one call has become.
        read: the parameters among what the call reads, by name, each of its own shape.
    """
    for draft in drafts:
        if draft.op == "conv" and draft.weight is not None:
            plain = swap_channels(draft.weight, draft.groups) if draft.transposed else draft.weight
            same = (name for name, value in read.items() if _holds(value, plain))
            draft.parameter, draft.original = next(same, COMPUTED), draft.weight


def parameter_of(draft: Draft) -> str | None:
    """The name for Layer.parameter: `draft.parameter` if its values are still the weight's, scaled by channel."""
    if draft.op != "conv" or draft.weight is None or draft.original is None:
        return None
    kept = draft.original is draft.weight or factors_between(draft.original, draft.weight) is not None
    return draft.parameter if kept else COMPUTED


def separate(layers: list[Layer]) -> list[Layer]:
    """The layers; those that read one parameter in different shapes or orders are not tied: its name is COMPUTED then,
    since no mask fits both."""
    kinds: dict[str, set[tuple]] = {}
    for layer in layers:
        if layer.parameter:
            kinds.setdefault(layer.parameter, set()).add((layer.weight_shape, layer.groups, layer.transposed))
    mixed = {name for name, ways in kinds.items() if len(ways) > 1}
    return [replace(layer, parameter=COMPUTED) if layer.parameter in mixed else layer for layer in layers]


def _holds(value: np.ndarray, weight: np.ndarray) -> bool:
    """Whether a parameter has a weight's values in the same order."""
    return value.size == weight.size and np.array_equal(value.ravel(), weight.ravel())
