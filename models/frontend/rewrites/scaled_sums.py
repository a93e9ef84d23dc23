"""Sums with a scaled tensor that would need a pass of its own: y + s x is s (y / s + x), all in y's epilogue."""

from __future__ import annotations

from models.frontend.draft import Draft, Network
from models.frontend.rewrites.affine import CARRIERS
from models.graph.layer import Step

#: what the first and the second input of a sum are multiplied by
SIGNS = {"add": (1, 1), "sub": (1, -1), "rsub": (-1, 1)}


def carry_scales(network: Network) -> None:
    """A scaled tensor that a sum reads becomes the tensor, and the sum's other operand carries the scale."""
    uses, producers = network.uses(), network.producers()

    def free(name: str, draft: Draft) -> bool:
        producer = producers.get(name)
        return producer is not None and uses[name] == 1 and producer.op in CARRIERS and producer.shape == draft.shape

    for draft in network.drafts:
        if draft.op != "elementwise" or not draft.epilogue or draft.epilogue[0].kind not in SIGNS:
            continue
        for scaled, other in ((0, 1), (1, 0)):
            before = producers.get(draft.inputs[scaled])
            if before is None or before.shape != draft.shape or not free(draft.inputs[other], draft):
                continue
            if _is_scale(before) and uses[before.name] == 1 and not free(before.inputs[0], before):
                _carry(draft, before, scaled)
                break
    network.drop_dead()


def _is_scale(draft: Draft) -> bool:
    if draft.op != "elementwise" or [step.kind for step in draft.epilogue] != ["affine"]:
        return False
    return draft.epilogue[0].params[0] != 0


def _carry(draft: Draft, before: Draft, scaled: int) -> None:
    """c (s x + t) + d y is c s (x + d y / (c s)) + c t."""
    signs, (scale, shift) = SIGNS[draft.epilogue[0].kind], before.epilogue[0].params
    own, others = signs[scaled], signs[1 - scaled]
    factor = own * scale
    draft.inputs[:2] = [draft.inputs[1 - scaled], before.inputs[0]]
    draft.epilogue[:1] = [
        Step("affine", (others / factor, 0.0)),
        Step("add"),
        Step("affine", (factor, own * shift)),
    ]
