"""Pads of torch as drafts: zeros that convolutions take up, the neutral element of maxima, and rearrangements.

Every other pad, and every crop, is a rearrangement: elements of the input in a box of the result, `fill` around it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from models.frontend.arithmetic import constant
from models.frontend.call import Call
from models.frontend.draft import Draft
from models.graph.index_map import IndexMap, Move

#: torch's modes, as numpy.pad calls them
REPEATING = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
#: what each operator of its own does
MODES = {
    **{f"reflection_pad{rank}d": "reflect" for rank in (1, 2, 3)},
    **{f"replication_pad{rank}d": "replicate" for rank in (1, 2, 3)},
    "_pad_circular": "circular",
}
#: fills below this are no element of any map: a maximum ignores them
NEUTRAL = -3e38


def _pad(call: Call) -> Draft:
    amounts = list(call["pad"] if "pad" in call.arguments else call["padding"])
    mode = pad_mode(call)
    fill = float(call.get("value") or 0.0)
    if any(amounts[6:]):
        raise call.refusal("it pads the batch", "pad channels, rows or columns")
    amounts = [*amounts, 0, 0, 0, 0, 0, 0][:6]
    columns, rows, channels = ((amounts[2 * axis], amounts[2 * axis + 1]) for axis in range(3))
    if mode == "constant" and channels == (0, 0) and min(amounts) >= 0 and (fill == 0 or fill < NEUTRAL):
        draft = call.draft("pad", [call.tensor("self")], "pad", margins=(*rows, *columns))
        draft.fill = fill
        return draft
    extents, added = call.shapes[call.tensor("self")], (channels, rows, columns)
    cropped = [-min(before, 0) - min(behind, 0) for before, behind in added]
    if any(crop >= extent for crop, extent in zip(cropped, extents, strict=True)):
        return constant(call, np.full(call.shape, fill), call.name)  # nothing of the map is left
    draft = call.draft("rearrange", [call.tensor("self")], "pad")
    draft.moves, draft.fill = (padding_move(extents, added, mode),), fill
    return draft


def pad_mode(call: Call) -> str:
    """ "constant" or a key of REPEATING."""
    return MODES.get(call.op) or call.get("mode", "constant")


def padding_move(shape: Sequence[int], amounts: Sequence[tuple[int, int]], mode: str = "constant") -> Move:
    """What a padded (C, H, W) tensor holds of the tensor itself.

    Args:
        amounts: what is added before and behind along each axis; negative numbers crop.
        mode: "constant", where the rest is not of the tensor, or a key of REPEATING.
    """
    tables, first = [], []
    for axis, (extent, (before, behind)) in enumerate(zip(shape, amounts, strict=True)):
        positions = np.arange(extent, dtype=np.int64)
        grown = (max(before, 0), max(behind, 0))
        if mode in REPEATING and any(grown):
            positions = np.pad(positions, grown, REPEATING[mode])  # type: ignore[call-overload]
        positions = positions[max(-before, 0) : len(positions) - max(-behind, 0)]
        tables.append(positions * int(np.prod(shape[axis + 1 :], dtype=np.int64)))
        first.append(0 if mode in REPEATING else grown[0])
    return Move(IndexMap.of(0, tables), first=(first[0], first[1], first[2]))


PADS: dict[str, Callable[[Call], Draft]] = dict.fromkeys(("pad", "constant_pad_nd", *MODES), _pad)
