"""Fusion: from the operations a network is written in to the layers it is run as; torch-free, exact in float64.

`fuse` runs the passes in `PASSES` in order. Each rewrites a `Network` in place and keeps what it computes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from models.frontend.draft import Draft, Margins, Network
from models.frontend.rewrites.affine import CARRIERS, become_depthwise, fold_affines, merge_affines, take_name
from models.frontend.rewrites.recognise import merge_steps, recognise_gates
from models.frontend.rewrites.scaled_sums import carry_scales
from models.frontend.views.planes import (
    fold_shuffled_input,
    join_neighbouring_slices,
    join_while_moving,
    read_members_of_joins,
)
from models.frontend.windows.pads import padding_move
from models.graph.layer import SWAPPED, Shape, Step
from models.graph.pooling import ADAPTIVE

#: carriers that are asked first where a sum or product could join either operand
FIRST_CARRIERS = ("conv", "elementwise", "matmul")
#: steps whose operands cannot change places
ONE_WAY = ("prelu", "keep", "fill")


def fuse(network: Network) -> Network:
    """Drop dead code, then fold padding, batch norm, activations and arithmetic into the layers around them."""
    for rewrite in PASSES:
        rewrite(network)
    return network


def split_margins(network: Network) -> None:
    """A convolution whose margins differ by no whole number of taps (even kernel, "same", dilated) gets a "pad"."""
    shapes = network.shapes()
    split: list[Draft] = []
    for draft in network.drafts:
        if draft.op == "conv" and not draft.transposed and not _can_even(draft, draft.margins):
            top, bottom, left, right = draft.margins
            channels, height, width = shapes[draft.inputs[0]]
            shape = (channels, height + top + bottom, width + left + right)
            split.append(
                Draft(f"{draft.name}.pad", "pad", draft.inputs, shape, draft.path, "pad", margins=draft.margins)
            )
            draft.inputs, draft.margins = [split[-1].name], (0, 0, 0, 0)
        split.append(draft)
    network.drafts = split


def fold_pads(network: Network) -> None:
    """A "pad" of zeros moves into every convolution that reads it, one of the lowest numbers into every max pool; where
    one cannot take it, it becomes a layer of its own."""
    shapes = network.shapes()
    for pad in [draft for draft in network.drafts if draft.op == "pad"]:
        readers = [draft for draft in network.drafts if pad.name in draft.inputs]
        for reader in readers:
            widened = _sum(pad.margins, reader.margins)
            if pad.name == reader.inputs[0] and _takes_pad(reader, pad, widened):
                reader.inputs[0] = pad.inputs[0]
                reader.margins = widened
    network.drop_dead()
    for draft in network.drafts:
        if draft.op == "pad" and not draft.fill:
            become_depthwise(draft, np.ones(draft.shape[0]), None)
        elif draft.op == "pad":
            top, bottom, left, right = draft.margins
            source = shapes[draft.inputs[0]]
            draft.op, draft.moves = "rearrange", (padding_move(source, ((0, 0), (top, bottom), (left, right))),)


def _takes_pad(reader: Draft, pad: Draft, widened: Margins) -> bool:
    """Whether a layer can do the padding itself, its margins then being `widened`."""
    if pad.fill:
        return reader.op == "max_pool" and reader.mode != ADAPTIVE
    return reader.op == "conv" and not reader.transposed and _can_even(reader, widened)


def fuse_epilogues(network: Network) -> None:
    """An elementwise draft joins the epilogue of a layer that only it reads: of the last such one, if it reads two.

    The joined layer stands where the elementwise draft stood, so what its steps read is there already.
    """
    uses, producers = network.uses(), network.producers()
    place = {draft.name: index for index, draft in enumerate(network.drafts)}
    slots: list[Draft | None] = list(network.drafts)
    for index, draft in enumerate(network.drafts):
        if draft.op != "elementwise" or not draft.epilogue:
            continue
        free = [
            producers[name]
            for name in _operands(draft)
            if uses[name] == 1 and _carries(producers.get(name)) and producers[name].shape == draft.shape
        ]
        if not free:
            continue
        before = max(free, key=lambda carrier: (carrier.op in FIRST_CARRIERS, place[carrier.name]))
        steps, rest = list(draft.epilogue), list(draft.inputs)
        if rest[0] != before.name:
            steps[0] = Step(SWAPPED.get(steps[0].kind, steps[0].kind))
        rest.remove(before.name)
        slots[place[before.name]] = None
        slots[index] = before
        before.inputs += rest
        before.epilogue += steps
        take_name(before, draft, producers)
        place[before.name] = index
    network.drafts = [draft for draft in slots if draft is not None]


def _operands(draft: Draft) -> list[str]:
    """The inputs of an elementwise draft that may become the value its steps work on."""
    first = draft.epilogue[0]
    return draft.inputs[:2] if first.reads and first.kind not in ONE_WAY else draft.inputs[:1]


def even_margins(network: Network) -> None:
    """Every convolution's margins become symmetric, as Layer.padding is; see `_even`."""
    shapes = network.shapes()
    for draft in network.drafts:
        if draft.op == "conv" and not draft.transposed:
            _even(draft, shapes[draft.inputs[0]])


#: A list in order: what each pass needs, an earlier one has left.
PASSES: tuple[Callable[[Network], None], ...] = (
    Network.drop_dead,
    read_members_of_joins,
    join_neighbouring_slices,
    join_while_moving,
    fold_shuffled_input,
    recognise_gates,
    split_margins,
    fold_pads,
    merge_affines,
    fold_affines,
    carry_scales,
    fuse_epilogues,
    merge_steps,
    even_margins,
)


def _carries(draft: Draft | None) -> bool:
    return draft is not None and draft.op in CARRIERS


def _sum(margins: Margins, other: Margins) -> Margins:
    top, bottom, left, right = (a + b for a, b in zip(margins, other, strict=True))
    return top, bottom, left, right


def _can_even(draft: Draft, margins: Margins) -> bool:
    """Whether `_even` can handle a convolution with these margins: the difference is a whole number of taps."""
    differences = (margins[1] - margins[0], margins[3] - margins[2])
    return all(difference % step == 0 for difference, step in zip(differences, draft.dilation, strict=True))


def _even(draft: Draft, in_shape: Shape) -> None:
    """Make margins symmetric: drop rows no window reaches, or grow the kernel by taps that are zero.

    Where the stride leaves the same number of windows with the first margin on both sides, that is it. Else, with
    before < after, the kernel grows at its front by (after - before) / dilation taps and the margin before the plane
    to `after`: the taps added meet the zeros added. With before > after, the same at the end.
    """
    assert draft.weight is not None
    margins = list(draft.margins)
    growth = [(0, 0), (0, 0), (0, 0), (0, 0)]
    for axis in (0, 1):
        before, after = margins[2 * axis : 2 * axis + 2]
        step, stride, taps = draft.dilation[axis], draft.stride[axis], draft.weight.shape[2 + axis]
        windows = (in_shape[1 + axis] + 2 * before - step * (taps - 1) - 1) // stride + 1
        if windows == draft.shape[1 + axis]:
            after = before
        added = (after - before) // step
        growth[2 + axis] = (max(added, 0), max(-added, 0))
        margins[2 * axis : 2 * axis + 2] = [max(before, after)] * 2
    draft.weight = np.pad(draft.weight, growth)
    top, bottom, left, right = margins
    draft.margins = (top, bottom, left, right)
    draft.kernel = (draft.weight.shape[2], draft.weight.shape[3])
