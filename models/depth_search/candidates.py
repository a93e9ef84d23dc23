"""The networks of a family at one budget: shallow and wide, or deep and narrow; library side of `models.depth`.

For each number of blocks the widths shrink, in whole steps, until the multiply-adds meet the budget. Neither accuracy
nor latency is known here: the caller gives a function for each, because packages above this one measure them.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from fleetpose.errors import DeviceUnreachable, FleetposeError
from fleetpose.progress import Report, no_report
from models.depth_search.families import DepthCost, DepthFamily, Numbers, depth_family
from models.depth_search.search import DepthSearch, shapes
from models.graph.network import Graph
from models.resolve import build_model, model_spec
from models.zoo.registry import model_names
from models.zoo.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger("models.depth")


@dataclass(frozen=True)
class Candidate:
    """One network. Its counts are closed-form (models.depth_search.families) and equal those of the built module.

    Attributes:
        layers: backbone convolutions.
        depths, widths: per stage; see models.depth_search.families.
        spec: what `models.resolve.build_model` builds it from.
        holds: `macs_bn` is within the tolerance; where false, nothing of as many blocks is.
        macs, macs_bn, params: as in models.zoo.count.Count.
        latency_secs, accuracy: what the caller's functions answered; None where there is no such function.
    """

    layers: int
    depths: Numbers
    widths: Numbers
    spec: ModelSpec
    holds: bool
    macs: int
    macs_bn: int
    params: int
    latency_secs: float | None = None
    accuracy: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; of the spec the factory's parameters."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "spec"}
        return {**values, "factory": self.spec.factory, "parameters": dict(self.spec.parameters)}


#: a candidate's module with random weights, and the candidate -> accuracy or None
AccuracyOf = Callable[["nn.Module", Candidate], "float | None"]


def determine_depth(
    family: str,
    search: DepthSearch,
    latency_of: Callable[[Graph], float] | None = None,
    accuracy_of: AccuracyOf | None = None,
    progress: Report = no_report,
    include_members: bool = False,
) -> list[Candidate]:
    """The networks of a family that hold a budget, by number of blocks.

    Args:
        family: a key of models.depth_search.families.FAMILIES.
        latency_of: seconds of a traced network with random weights, predicted or measured.
        accuracy_of: accuracy of a candidate's module, which the function may give weights or train first; None where
            it has no way to know.
        progress: called with a message, candidates done, and candidates in all.
        include_members: add the family's registered networks, whatever their budget.

    Raises:
        UsageError: an unknown family, or a number of blocks its stages cannot be made of.
    """
    members = depth_family(family)
    fixed = _fixed_cost(members, search.size)
    totals = search.blocks or members.totals
    chosen = [shape for total in totals for shape in shapes(members, total, search, fixed.macs_bn)]
    candidates = [_candidate(members, *shape, search, fixed) for shape in chosen]
    if include_members:
        candidates += family_members(family, search.size)
    if not (latency_of or accuracy_of):
        return candidates
    rated = []
    for done, candidate in enumerate(candidates):
        progress(candidate.spec.name, done, len(candidates))
        rated.append(_rate(candidate, search.size, latency_of, accuracy_of))
    return rated


def _candidate(
    family: DepthFamily, depths: Numbers, widths: Numbers, search: DepthSearch, fixed: DepthCost
) -> Candidate:
    cost = fixed.plus(family.cost(depths, widths, search.size))
    base = model_spec(family.model)
    return Candidate(
        layers=cost.convs,
        depths=depths,
        widths=widths,
        spec=replace(
            base,
            name=f"{base.family}-{'-'.join(map(str, depths))}-w{'-'.join(map(str, widths))}",
            parameters={**base.parameters, "depths": depths, "widths": widths},
            summary="a candidate of models.depth",
            paper=None,
        ),
        holds=abs(cost.macs_bn - search.gmacs * 1e9) <= search.slack,
        macs=cost.macs,
        macs_bn=cost.macs_bn,
        params=cost.params,
    )


def _rate(
    candidate: Candidate,
    size: tuple[int, int],
    latency_of: Callable[[Graph], float] | None,
    accuracy_of: AccuracyOf | None,
) -> Candidate:
    module = build_model(candidate.spec)
    return replace(
        candidate,
        latency_secs=_latency(module, candidate, size, latency_of) if latency_of else None,
        accuracy=accuracy_of(module, candidate) if accuracy_of else None,
    )


def _latency(
    module: nn.Module, candidate: Candidate, size: tuple[int, int], latency_of: Callable[[Graph], float]
) -> float | None:
    """None, with a warning that says why, for a candidate that fails to run: the others keep their times."""
    from models.frontend.trace import trace

    try:
        return latency_of(trace(module, candidate.spec.input_shape(size), candidate.spec.name))
    except DeviceUnreachable:
        raise
    except FleetposeError as error:
        log.warning("%s has no latency: %s", candidate.spec.name, error)
        return None


def family_members(family: str, size: tuple[int, int]) -> list[Candidate]:
    """The registered networks of a family as candidates, counted from the real modules; they hold no budget.

    Raises:
        UsageError: an unknown family.
    """
    from models.zoo.count import count_model

    base = model_spec(depth_family(family).model)
    members = []
    for spec in map(model_spec, model_names()):
        if spec.family == base.family and {"depths", "widths"} <= set(spec.parameters):
            counted = count_model(spec, size)
            layers = sum(spec.block(conv.module) == "backbone" for conv in counted.convs)
            shape = (tuple(spec.parameters["depths"]), tuple(spec.parameters["widths"]))
            members.append(Candidate(layers, *shape, spec, True, counted.macs, counted.macs_bn, counted.params))
    return sorted(members, key=lambda candidate: candidate.layers)


@functools.cache
def _fixed_cost(family: DepthFamily, size: tuple[int, int]) -> DepthCost:
    """What of the real base network depths and widths do not change; `convs` are the backbone's."""
    from models.zoo.count import count_model

    spec = model_spec(family.model)
    counted = count_model(spec, size)
    backbone = sum(spec.block(conv.module) == "backbone" for conv in counted.convs)
    total = DepthCost(backbone, counted.macs, counted.macs_bn, counted.params)
    return total.plus(family.cost(family.depths, family.widths, size), -1)
