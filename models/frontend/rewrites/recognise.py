"""Activations that are written out in arithmetic, such as x * relu6(x + 3) / 6, found in drafts; torch-free."""

from __future__ import annotations

import math
from collections.abc import Sequence

from models.frontend.draft import Draft, Network
from models.frontend.rewrites.affine import uniform_step
from models.graph.layer import Step

#: float32 constants such as 0.16666667 are as near as this to what they mean
TOLERANCE = 1e-6


def recognise_gates(network: Network) -> None:
    """A product or quotient of x, perhaps scaled, and a function of x that is an activation becomes that activation."""
    producers = network.producers()
    for draft in network.drafts:
        kinds = [step.kind for step in draft.epilogue] if draft.op == "elementwise" else []
        if kinds == ["div"] and _is_softsign(draft.inputs[0], draft.inputs[1], producers):
            draft.inputs, draft.epilogue, draft.kind = draft.inputs[:1], [Step("softsign")], "softsign"
        if kinds != ["mul"]:
            continue
        for x, gate in (draft.inputs, draft.inputs[::-1]):
            source, scale = _scaled_root(x, producers)
            steps = _gated(_chain(gate, source, producers))
            if steps:
                draft.inputs = [source]
                draft.epilogue = [*steps, *([] if scale == 1 else [Step("affine", (scale, 0.0))])]
                draft.kind = steps[0].kind if len(steps) == 1 else draft.kind
                break
    network.drop_dead()


def merge_steps(network: Network) -> None:
    """Neighbouring "affine" steps of an epilogue become one, and none where they undo each other."""
    for draft in network.drafts:
        draft.epilogue = _merged(draft.epilogue)


def _merged(steps: Sequence[Step]) -> list[Step]:
    merged: list[Step] = []
    for step in steps:
        if step.kind == "affine" and merged and merged[-1].kind == "affine":
            (a, b), (c, d) = merged.pop().params, step.params
            step = Step("affine", (a * c, b * c + d))
        # 1e-6 of a shift is no rounding: it may be what keeps a logarithm or a quotient finite
        if step.kind != "affine" or step.params[1] != 0 or not _near(step.params[:1], (1,)):
            merged.append(step)
    return merged


def _step_of(draft: Draft | None) -> Step | None:
    """The one step that a draft of one input is, if it is."""
    if draft is None or len(draft.inputs) != 1:
        return None
    if draft.op == "affine":
        return uniform_step(draft)
    return draft.epilogue[0] if draft.op == "elementwise" and len(draft.epilogue) == 1 else None


def _scaled_root(name: str, producers: dict[str, Draft]) -> tuple[str, float]:
    """(tensor, scale) of which `name` is the product; itself and 1 where it is none."""
    step = _step_of(producers.get(name))
    if step is None or step.kind != "affine" or step.params[1] != 0:
        return name, 1.0
    return producers[name].inputs[0], step.params[0]


def _chain(name: str, source: str, producers: dict[str, Draft]) -> list[Step]:
    """The steps that make `name` of `source`; none where something else takes part."""
    steps: list[Step] = []
    while name != source:
        step = _step_of(producers.get(name))
        if step is None:
            return []
        steps.insert(0, step)
        name = producers[name].inputs[0]
    return _simplified(_merged(steps))


def _simplified(steps: Sequence[Step]) -> list[Step]:
    """Without "affine" steps around a clamp: clamp(x / 6 + 0.5, 0, 1) is hardsigmoid as relu6(x + 3) / 6 is."""
    kinds = [step.kind for step in steps]
    if kinds[:2] == ["affine", "relu6"] and _near(steps[0].params, (1, 3)):
        scale = steps[2].params if kinds[2:3] == ["affine"] else (1, 0)
        if scale[1] == 0:
            rest = [] if _near(scale, (1 / 6, 0)) else [Step("affine", (scale[0] * 6, 0.0))]
            return [Step("hardsigmoid"), *rest, *steps[2 + (kinds[2:3] == ["affine"]) :]]
    if kinds[:2] == ["affine", "hardtanh"] and _near(steps[0].params, (1 / 6, 0.5)) and _near(steps[1].params, (0, 1)):
        return [Step("hardsigmoid"), *steps[2:]]
    return list(steps)


def _gated(gate: Sequence[Step]) -> list[Step]:
    """The steps that make x * gate(x) of x; none where they are none that is known."""
    kinds = [step.kind for step in gate]
    if kinds == ["sigmoid"]:
        return [Step("silu")]
    if kinds == ["affine", "sigmoid"] and gate[0].params[1] == 0 and gate[0].params[0] != 0:
        scale = gate[0].params[0]  # x sigmoid(s x), quick GELU for s = 1.702
        return [Step("affine", (scale, 0.0)), Step("silu"), Step("affine", (1 / scale, 0.0))]
    if kinds[:1] == ["hardsigmoid"] and kinds[1:] in ([], ["affine"]) and all(s.params[1] == 0 for s in gate[1:]):
        return [Step("hardswish"), *gate[1:]]
    if kinds == ["softplus", "tanh"]:
        return [Step("mish")]
    if kinds == ["affine", "erf", "affine"] and _near(gate[0].params, (math.sqrt(0.5), 0)):
        scale, shift = gate[2].params
        if _near((scale,), (shift,)):
            return [Step("gelu"), Step("affine", (2 * scale, 0.0))]
    return []


def _is_softsign(x: str, divisor: str, producers: dict[str, Draft]) -> bool:
    """Whether a divisor is 1 + |x|."""
    steps = _chain(divisor, x, producers)
    return [step.kind for step in steps] == ["abs", "affine"] and _near(steps[1].params, (1, 1))


def _near(values: Sequence[float], wanted: Sequence[float]) -> bool:
    return all(abs(value - want) <= TOLERANCE * max(1.0, abs(want)) for value, want in zip(values, wanted, strict=True))
