"""Pruning while training: feasible at the end, masks that survive optimizers, averages, checkpoints; exact resuming."""

from __future__ import annotations

import copy
import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from codegen.kernels.pack import departure
from fleetpose.errors import UsageError
from models.frontend.trace import trace
from models.networks.units import ConvUnit
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity
from models.prune.constraints import Admm, HardMasks, IterativeMagnitude, Reweighted
from models.prune.masks.groups import energies
from models.prune.masks.targets import find_targets
from models.train.constraint import Constraint
from tests import sweep

METHODS = {"hard": HardMasks, "magnitude": IterativeMagnitude, "admm": Admm, "reweighted": Reweighted}
TEXTS = ["columns:0.6:4x1", "block_punched:0.5:8x4:free", "connectivity:0.5:4x4", "pattern:0.7"]


def tiny(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(ConvUnit(6, 19, norm=True), ConvUnit(19, 10, activation=None)).eval()


def made(kind: str, text: str, network: nn.Module | None = None, **arguments) -> tuple[nn.Module, Constraint, Plan]:
    network = tiny() if network is None else network
    graph = trace(network, (6, 8, 8), "tiny")
    plan = Plan.of("tiny", graph.layers, {"0": Sparsity.parse(text), "1": Sparsity.parse(text)})
    return network, METHODS[kind](find_targets(network, graph, plan), **arguments), plan


class Loop:
    """The ten lines of a training that a constraint plugs into, with everything that may break a mask."""

    def __init__(self, network: nn.Module, constraint: Constraint, steps: int, seed: int = 3) -> None:
        self.network, self.constraint, self.steps, self.done = network.train(), constraint, steps, 0
        self.teacher = tiny(seed)
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=0.01, weight_decay=0.01)
        self.average = copy.deepcopy(network)

    def run(self, until: int) -> None:
        for step in range(self.done, until):
            x = torch.randn(4, 6, 8, 8, generator=torch.Generator().manual_seed(step))
            loss = (self.network(x) - self.teacher(x).detach()).square().mean()
            penalty = self.constraint.penalty()
            loss = loss if penalty is None else loss + penalty
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.constraint.after_step((step + 1) / self.steps)
            with torch.no_grad():
                for mine, theirs in zip(self.average.parameters(), self.network.parameters(), strict=True):
                    mine.lerp_(theirs, 0.1)
            self.constraint.project(self.average)
        self.done = until

    def state(self) -> bytes:
        stream = io.BytesIO()
        parts = (self.network, self.average, self.optimizer, self.constraint)
        torch.save([part.state_dict() for part in parts], stream)
        return stream.getvalue()

    def load(self, content: bytes, done: int) -> None:
        parts = (self.network, self.average, self.optimizer, self.constraint)
        for part, state in zip(parts, torch.load(io.BytesIO(content), weights_only=True), strict=True):
            part.load_state_dict(state)
        self.done = done


def check_follows(network: nn.Module, plan: Plan) -> None:
    for layer, sparsity in plan.sparsities.items():
        weight = network[int(layer)].conv.weight.detach().numpy()
        assert departure(weight, sparsity) is None
        assert (weight != 0).mean() == pytest.approx(
            sparsity.kept_fraction(weight.shape), abs=0.12
        )  # smaller blocks at the end


@sweep.part(5)
@pytest.mark.slow
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("kind", METHODS)
def test_weights_and_their_average_follow_the_plan_at_the_end(kind, text):
    network, constraint, plan = made(kind, text)
    loop = Loop(network, constraint, 40)
    loop.run(40)
    check_follows(network, plan)
    check_follows(loop.average, plan)
    assert constraint.penalty() is None


@pytest.mark.parametrize("kind", METHODS)
def test_what_packing_reads_is_what_training_masks(kind):
    """Traced again, batch norms folded, the nonzeros are those of the masks."""
    network, constraint, plan = made(kind, "columns:0.6:4x1")
    Loop(network, constraint, 30).run(30)
    graph = trace(network, (6, 8, 8), "tiny")
    held = constraint.state_dict()["masks"]
    for layer in plan.sparsities:
        assert ((graph.weights[f"{layer}.weight"] != 0) == held[f"{layer}.conv.weight"].numpy()).all()


@sweep.part(4)
@pytest.mark.slow
@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("stop", [7, 24])
def test_interrupted_and_resumed_is_the_same_training(kind, stop):
    whole = Loop(*made(kind, "columns:0.6:4x1")[:2], 40)
    whole.run(40)
    first = Loop(*made(kind, "columns:0.6:4x1")[:2], 40)
    first.run(stop)
    second = Loop(*made(kind, "columns:0.6:4x1")[:2], 40)
    second.load(first.state(), stop)
    second.run(40)
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name]), name
    for name, value in whole.average.state_dict().items():
        assert torch.equal(value, second.average.state_dict()[name]), name


def test_hard_masks_are_zeros_that_no_step_fills():
    network, constraint, _ = made("hard", "columns:0.6:4x1")
    zero = network[0].conv.weight == 0
    loop = Loop(network, constraint, 20)
    for step in range(1, 20):
        loop.run(step)
        assert ((network[0].conv.weight == 0) == zero).all()
        assert not loop.average[0].conv.weight[zero].any()


def test_hard_masks_take_given_masks():
    network = tiny()
    graph = trace(network, (6, 8, 8), "tiny")
    targets = find_targets(network, graph, Plan.of("tiny", graph.layers, {"0": Sparsity.parse("columns:0.5:4x1")}))
    given_mask = torch.zeros(19, 6, 3, 3, dtype=torch.bool)
    given_mask[:, 2] = True
    HardMasks(targets, {"0.conv.weight": given_mask})
    assert ((network[0].conv.weight != 0) == given_mask).all()


def test_zeros_rise_by_the_cubic_rule():
    network, constraint, _ = made("magnitude", "columns:0.6:4x1", stages=10, share=0.5)
    seen = []
    for progress in np.linspace(0.05, 1, 20):
        constraint.after_step(float(progress))
        seen.append(float((network[0].conv.weight == 0).float().mean()))
    wanted = [0.6 * (1 - (1 - min(1.0, progress / 0.5)) ** 3) for progress in np.linspace(0.05, 1, 20)]
    np.testing.assert_allclose(seen, wanted, atol=0.03)
    assert seen == sorted(seen)


def test_admm_draws_weights_to_feasible_ones():
    """On a toy problem the distance to the nearest feasible weights shrinks to little before any mask is held."""
    network, constraint, _ = made("admm", "columns:0.5:4x1", rho=1e-2, stages=12, share=0.9)

    def distance() -> float:
        weight = constraint.targets[0].weight.detach()
        return float((weight * ~constraint.targets[0].mask()).norm() / weight.norm())

    before, loop = distance(), Loop(network, constraint, 400)
    loop.run(350)
    assert not constraint.final
    assert constraint.rho == pytest.approx(10)
    assert distance() < 0.1 * before


def test_admm_updates_are_those_of_the_papers():
    _, constraint, _ = made("admm", "columns:0.5:4x1", stages=4, share=0.5)
    name, target = constraint.targets[0].name, constraint.targets[0]
    z = target.weight * target.mask()
    assert torch.equal(constraint.z[name], z)
    with torch.no_grad():
        target.weight.add_(0.01 * torch.randn(target.weight.shape, generator=torch.Generator().manual_seed(0)))
    gap = sum(float((t.weight.detach() - constraint.z[t.name]).square().sum()) for t in constraint.targets)
    assert float(constraint.penalty()) == pytest.approx(1e-4 / 2 * gap, rel=1e-4)
    constraint.after_step(0.2)
    z = target.weight * target.mask()
    assert torch.allclose(constraint.z[name], z)
    assert torch.allclose(constraint.u[name], target.weight - z)
    near = target.weight + constraint.u[name]
    constraint.after_step(0.25)
    assert torch.allclose(constraint.z[name], near * target.mask(near))


def test_reweighting_makes_small_groups_smaller():
    network, constraint, _ = made("reweighted", "columns:0.5:4x1", strength=3.0, share=0.9)
    first = constraint.targets[0]
    shares = []
    loop = Loop(network, constraint, 300)
    for until in (1, 260):
        loop.run(until)
        gone = first.weight * ~first.mask()
        shares.append(float(gone.square().sum() / first.weight.square().sum()))
    assert shares[1] < 0.3 * shares[0]


def test_the_penalty_is_at_most_the_strength():
    _, constraint, _ = made("reweighted", "columns:0.5:4x1", strength=0.7)
    assert 0.3 < float(constraint.penalty()) <= 0.7


@settings(deadline=None, max_examples=25)
@given(
    st.integers(1, 20), st.integers(1, 12), st.sampled_from([1, 3]), st.sampled_from(TEXTS[:3]), st.integers(0, 2**31)
)
def test_energies_are_means_of_units(out, channels, kernel, text, seed):
    sparsity = Sparsity.parse(text)
    weight = torch.randn(out, channels, kernel, kernel, generator=torch.Generator().manual_seed(seed))
    found = energies(weight, sparsity)
    filters, wide = sparsity.block
    for f in range(0, out, filters):
        for c in range(0, channels, wide):
            block = weight[f : f + filters, c : c + wide].square()
            wanted = block.mean() if sparsity.pattern == "connectivity" else block.mean(dim=(0, 1))
            assert torch.allclose(found[f : f + filters, c : c + wide], wanted.expand(block.shape), atol=1e-5)


def test_importance_and_batch_norms_decide():
    """The smallest weights stay where what they multiply, or what multiplies them, is large."""
    network = tiny()
    graph = trace(network, (6, 8, 8), "tiny")
    plan = Plan.of("tiny", graph.layers, {"0": Sparsity.parse("columns:0.5:4x1:free")})
    with torch.no_grad():
        network[0].conv.weight.fill_(1.0)
        network[0].conv.weight[:, :3] = 0.1
    importance = np.ones((1, 6, 1, 1))
    importance[:, :3] = 100
    [target] = find_targets(network, trace(network, (6, 8, 8), "tiny"), plan, {"0": importance})
    assert target.mask()[:, :3].all()
    assert not target.mask()[:, 3:].any()
    with torch.no_grad():
        network[0].bn.running_var[:8] = 1e-6
    [target] = find_targets(network, trace(network, (6, 8, 8), "tiny"), plan)
    assert target.mask()[:8].all()


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("admm", {"rho": 0.0}, "rho is above 0"),
        ("magnitude", {"share": 1.0}, "share of the training"),
        ("magnitude", {"stages": 0}, "1 stage or more"),
        ("reweighted", {"strength": -1.0}, "above 0"),
    ],
)
def test_constraints_refuse_settings_that_make_no_sense(kind, arguments, message):
    with pytest.raises(UsageError, match=message):
        made(kind, "columns:0.5:4x1", **arguments)
