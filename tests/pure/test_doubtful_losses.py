"""Which losses a decision hangs on: where the choice changes with what is not known, and nowhere else."""

from latency.planning.choosing import Goal
from latency.planning.doubtful_losses import doubtful_points, priced
from latency.planning.measured_losses import MeasuredLosses
from tests.pure.test_tied_options import HALF, MOST, network, options

LAYERS = [options("a", 10, 6, 4), options("b", 10, 6, 4), options("c", 10, 6, 4)]
#: of 30 ms, which half the zeros in c reach, or in a and b
WANTED = Goal(speedup=1.14)


def losses(points) -> MeasuredLosses:
    return MeasuredLosses([layer for layer in network(LAYERS).graph.layers if layer.op == "conv"], (), points, "")


def test_priced_network_has_other_losses_and_the_same_times():
    given = network(LAYERS)
    other = priced(given, lambda layer, sparsity: 7.0 if layer.name == "c" else 1.0)
    assert [option.loss for option in other.layers[2].variants] == [7.0, 7.0]
    assert [option.ms for option in other.layers[2].variants] == [6, 4]
    assert other.layers[0].dense == given.layers[0].dense


def test_nothing_measured_leaves_the_choice_in_doubt():
    known = losses({})
    wanted = doubtful_points(priced(network(LAYERS), known.of), [WANTED], known)
    assert wanted
    assert set(wanted) <= {"a", "c"}, "b has a's weight"
    assert all(sparsity in (HALF, MOST) for sparsities in wanted.values() for sparsity in sparsities)


def test_choice_between_far_losses_is_not_in_doubt():
    """Zeros in c cost nothing beside those in a and b, and c alone reaches the goal."""
    known = losses({"a": {HALF: 5.0, MOST: 9.0}, "c": {HALF: 1e-4, MOST: 2e-4}})
    assert doubtful_points(priced(network(LAYERS), known.of), [WANTED], known) == {}


def test_what_was_measured_is_not_asked_for_again():
    known = losses({"a": {HALF: 0.01, MOST: 0.02}, "c": {HALF: 0.01}})
    wanted = doubtful_points(priced(network(LAYERS), known.of), [WANTED, Goal(speedup=1.6)], known)
    assert "a" not in wanted
    assert HALF not in wanted.get("c", [])


def test_goal_out_of_reach_asks_for_nothing():
    known = losses({})
    assert doubtful_points(priced(network(LAYERS), known.of), [Goal(speedup=100.0)], known) == {}
