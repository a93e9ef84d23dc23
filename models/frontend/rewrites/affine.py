"""What becomes of x * weight + bias by channel ("affine" drafts): folded into convolutions where that is exact.

In the order of preference: into the affine before it; into the convolution that it alone follows; a step, the same for
all channels, of the epilogue before it; into all the convolutions that read it; a step whose constants are tensors; a
depthwise 1x1 convolution.
"""

from __future__ import annotations

import numpy as np

from models.frontend.draft import Draft, Network
from models.graph.layer import Step
from models.graph.reduction import KINDS

#: ops whose Layer may carry an epilogue
CARRIERS = ("conv", "elementwise", "max_pool", "avg_pool", "resize", "matmul", *KINDS)


def merge_affines(network: Network) -> None:
    """An affine that alone reads another one takes it up."""
    uses, producers = network.uses(), network.producers()
    merged = set()
    for draft in network.drafts:
        before = producers.get(draft.inputs[0]) if draft.op == "affine" else None
        if before is None or before.op != "affine" or uses[before.name] > 1:
            continue
        first, second = parameters(before), parameters(draft)
        draft.weight, draft.bias = first[0] * second[0], first[1] * second[0] + second[1]
        draft.inputs = list(before.inputs)
        merged.add(before.name)
    network.drafts = [draft for draft in network.drafts if draft.name not in merged]


def fold_affines(network: Network) -> None:
    """Every affine draft becomes something else; see the module's text for what."""
    kept: list[Draft] = []
    uses, producers = network.uses(), network.producers()
    for draft in network.drafts:
        if draft.op != "affine":
            kept.append(draft)
            continue
        before = producers.get(draft.inputs[0])
        carrier = before if before is not None and before.op in CARRIERS and uses[before.name] == 1 else None
        if carrier is not None and carrier.op == "conv":
            _fold_into_producer(carrier, draft)
            take_name(carrier, draft, producers)
        elif carrier is not None and uniform_step(draft) is not None:
            kept += _standing_alone(draft, carrier)
        elif readers := _foldable_readers(draft, network):
            for reader in readers:
                _fold_into_reader(reader, draft)
            # what it read is read once by each of them now
            uses[draft.inputs[0]] += len(readers) - 1
        else:
            kept += _standing_alone(draft, carrier)
    network.drafts = kept


def parameters(draft: Draft) -> tuple[np.ndarray, np.ndarray]:
    """(weight, bias), (C,) each, of an "affine" draft."""
    assert draft.weight is not None
    assert draft.bias is not None
    return draft.weight, draft.bias


def uniform_step(draft: Draft) -> Step | None:
    """An "affine" draft as a step, if it is the same for every channel."""
    weight, bias = parameters(draft)
    if (weight != weight[0]).any() or (bias != bias[0]).any():
        return None
    return Step("affine", (float(weight[0]), float(bias[0])))


def take_name(kept: Draft, gone: Draft, producers: dict[str, Draft]) -> None:
    """`kept` makes the tensor `gone` made; what it made itself nobody read but `gone`."""
    del producers[kept.name]
    kept.name = gone.name
    producers[kept.name] = kept


def become_depthwise(draft: Draft, scale: np.ndarray, shift: np.ndarray | None) -> None:
    draft.op = "conv"
    draft.groups = draft.shape[0]
    draft.weight = np.asarray(scale, np.float64).reshape(-1, 1, 1, 1)
    draft.bias = shift


def _fold_into_producer(conv: Draft, draft: Draft) -> None:
    weight, bias = parameters(draft)
    assert conv.weight is not None
    conv.weight = conv.weight * weight[:, None, None, None]
    conv.bias = (0.0 if conv.bias is None else conv.bias * weight) + bias


def _foldable_readers(draft: Draft, network: Network) -> list[Draft]:
    """The convolutions that can take up an affine before them, if all that reads it can; a shift meets no padding.

    Those of several groups do not: from a depthwise one's weights pruning could not tell a factor of its input from
    one of its output. A batch norm is left where it is: a convolution whose weights it changed by input channel would
    be none that pruning knows in the network.
    """
    if draft.kind == "batch_norm" or draft.name in network.outputs:
        return []
    shifts = parameters(draft)[1].any()
    readers = [reader for reader in network.drafts if draft.name in reader.inputs]
    able = all(
        reader.op == "conv" and reader.groups == 1 and not (shifts and (reader.transposed or any(reader.margins)))
        for reader in readers
    )
    return readers if able else []


def _fold_into_reader(conv: Draft, draft: Draft) -> None:
    weight, bias = parameters(draft)
    assert conv.weight is not None
    if bias.any():
        shift = (conv.weight * bias[None, :, None, None]).sum((1, 2, 3))
        conv.bias = shift if conv.bias is None else conv.bias + shift
    conv.weight = conv.weight * weight[None, :, None, None]
    conv.inputs = [draft.inputs[0] if name == draft.name else name for name in conv.inputs]


def _standing_alone(draft: Draft, carrier: Draft | None) -> list[Draft]:
    """As a step, whose constants are read from tensors where they differ by channel and it will join a carrier."""
    weight, bias = parameters(draft)
    step = uniform_step(draft)
    if step is None and carrier is None:
        become_depthwise(draft, weight, bias)
        return [draft]
    constants: list[Draft] = []
    draft.op, draft.weight, draft.bias = "elementwise", None, None
    if step is not None:
        draft.epilogue = [step]
        return [draft]
    for kind, value, neutral in (("mul", weight, 1), ("add", bias, 0)):
        if (value != neutral).any():
            name = f"{draft.name}.{kind}"
            shape = (len(value), 1, 1)
            constants.append(Draft(name, "constant", [], shape, draft.path, kind, value=value.reshape(shape)))
            draft.epilogue.append(Step(kind))
    draft.inputs += [constant.name for constant in constants]
    return [*constants, draft]
