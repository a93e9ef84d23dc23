"""The dry run: every replacement a network offers, what each would gain, which to make, and why not the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

from torch import nn

from fleetpose.errors import DeviceUnreachable, FleetposeError, UsageError, unknown_name
from models.frontend.trace import trace
from models.graph.layer import Shape
from models.graph.network import Graph
from models.replace.apply import replace_sharing_weights
from models.replace.cost import cost_of
from models.replace.program import OperatorProgram, program
from models.replace.sites import Site, find_sites
from models.replace.values import ACTIVATIONS, KINDS, Advice, OperatorCost, Replacement

log = logging.getLogger("models.replace")
LatencyOf = Callable[[Graph], float]
#: share of a network's latency that one measurement may differ from the next by
MARGIN = 0.02


def advise(
    module: nn.Module,
    input_shape: Shape,
    *,
    activation: str = "relu",
    only: Collection[str] = (),
    latency_of: LatencyOf | None = None,
) -> tuple[Advice, ...]:
    """What could be replaced in a network, sorted by gain; nothing is changed.

    Planned are: every legal activation and squeeze-excite; of the chains those that lower the multiplications, with
    Winograd F(2x2, 3x3) for the layers it may run, or, where `latency_of` is given, those that lower the latency
    by more than MARGIN of it (a measured one is no more certain than that); smooth activations and gates that do not
    lower it by so much are replaced all the same, unless they raise it by more.

    Args:
        module: any network torch.export can trace.
        input_shape: (channels, height, width) the account is made at.
        activation: one of ACTIVATIONS: what smooth activations become.
        only: kinds to consider; empty means all.
        latency_of: seconds a graph takes, predicted or measured; asked once per legal replacement and once for the
            network as it is.

    Returns:
        By seconds saved where known, then by MACs saved; refused ones last.

    Raises:
        UsageError: an unknown activation or kind; a module torch.export cannot trace.
    """
    if activation not in ACTIVATIONS:
        raise unknown_name("activation", activation, ACTIVATIONS)
    for kind in only:
        if kind not in KINDS:
            raise unknown_name("kind of replacement", kind, KINDS)
    ran = program(module, input_shape)
    sites = _rewritable(module, input_shape, ran, find_sites(module, ran, activation, tuple(only) or tuple(KINDS)))
    before = _secs(module, input_shape, latency_of)
    advice = []
    for site in sites:
        saved = None
        if before is not None and not site.refused:
            alone = _secs(replace_sharing_weights(module, [site.replacement]), input_shape, latency_of)
            saved = before - alone if alone is not None else None
        advice.append(_advice(site, saved, before))
    return tuple(sorted(advice, key=_rank))


def plan_of(advice: Iterable[Advice]) -> tuple[Replacement, ...]:
    """The replacements advised, as a plan for `replace_operators`."""
    return tuple(entry.replacement for entry in advice if entry.planned)


def compare(
    before: nn.Module, after: nn.Module, input_shape: Shape, latency_of: LatencyOf | None = None
) -> tuple[OperatorCost, OperatorCost]:
    """The whole networks' costs, each counted from its own program; one that stands for both is timed once.

    Raises:
        UsageError: the outputs differ in number or shape.
    """
    if after is before:
        costs = replace(cost_of(program(before, input_shape), before), secs=_secs(before, input_shape, latency_of))
        return costs, costs
    programs = program(before, input_shape), program(after, input_shape)
    if programs[0].output_shapes != programs[1].output_shapes:
        raise UsageError(f"outputs changed from {programs[0].output_shapes} to {programs[1].output_shapes}")
    both = [
        replace(cost_of(ran, module), secs=_secs(module, input_shape, latency_of))
        for ran, module in zip(programs, (before, after), strict=True)
    ]
    return both[0], both[1]


def _rewritable(module: nn.Module, input_shape: Shape, ran: OperatorProgram, sites: list[Site]) -> list[Site]:
    """The sites, those whose forward cannot be rewritten, or only with other outputs, refused.

    Rewriting is tried for each site, exporting the result once for all; site by site only if that shows something.
    """
    tried = [replace(site, refused=site.refused or _refusal(module, site)) for site in sites]
    rewrites = [site.replacement for site in tried if site.replacement.function and not site.refused]
    if not rewrites or _keeps_outputs(module, input_shape, ran, rewrites):
        return tried
    changed = "the network's outputs would change, or it could not be traced any more"
    return [
        replace(site, refused=changed)
        if site.replacement in rewrites and not _keeps_outputs(module, input_shape, ran, [site.replacement])
        else site
        for site in tried
    ]


def _refusal(module: nn.Module, site: Site) -> str:
    try:
        if site.replacement.function:
            replace_sharing_weights(module, [site.replacement])
    except UsageError as error:
        return str(error)
    return ""


def _keeps_outputs(module: nn.Module, input_shape: Shape, ran: OperatorProgram, plan: list[Replacement]) -> bool:
    try:
        return program(replace_sharing_weights(module, plan), input_shape).output_shapes == ran.output_shapes
    except UsageError:
        return False


def _secs(module: nn.Module, input_shape: Shape, latency_of: LatencyOf | None) -> float | None:
    """The latency of a network; None where it is not asked for, no Graph expresses the network, or it fails to run."""
    if latency_of is None:
        return None
    try:
        return latency_of(trace(module, input_shape))
    except DeviceUnreachable:
        raise
    except FleetposeError as error:
        log.warning("a network has no latency, so multiply-adds decide: %s", error)
        return None


def _advice(site: Site, saved: float | None, whole: float | None) -> Advice:
    """What to do at a site, given the seconds saved there and those of the whole network as it is."""
    chain = site.replacement.links > 0
    fewer = site.before.multiplications - site.after.multiplications
    share = fewer / site.before.multiplications if site.before.multiplications else 0.0
    if site.refused:
        take, why = False, site.refused
    elif saved is not None and whole is not None:
        take = saved > (MARGIN if chain else -MARGIN) * whole
        why = f"{1e3 * saved:+.3f} ms saved; {1e3 * MARGIN * whole:.3f} ms is within the noise"
    elif chain:
        take = fewer > 0
        why = f"{abs(share):.0%} {'fewer' if take else 'more'} multiplications with Winograd where it is legal"
    else:
        take, why = True, ""
    gained = site.after.winograd_layers - site.before.winograd_layers
    if gained > 0 and not site.refused:
        why += f"; {gained} Winograd-legal layers gained"
    return Advice(site.replacement, site.before, site.after, site.refused, take, why, saved)


def _rank(advice: Advice) -> tuple[bool, float, int, float]:
    secs = advice.saved_secs
    return (bool(advice.refused), -secs if secs is not None else 0.0, -advice.saved_macs, -advice.before.smooth)
