"""A plan's decisions beside measured times."""

import pytest

from fleetpose.errors import UsageError
from latency.audit import audit
from latency.dataset.sample import Sample
from latency.planning.reasons import DenseKind, Reason
from models.graph.layer import Layer
from models.plans.plan import LayerChoice, Plan
from models.plans.sparsity import Sparsity

HALF, MOST = Sparsity.parse("columns:0.5:4x1"), Sparsity.parse("columns:0.75:4x1")


def conv(name, channels):
    return Layer(
        name, "conv", ("x",), ((channels, 8, 8),), (16, 8, 8), kernel=(1, 1), stride=(1, 1), padding=(0, 0, 0, 0),
        dilation=(1, 1), groups=1, bias=True,
    )  # fmt: skip


def timed(layer, sparsity, ms, kernel="direct"):
    return Sample(layer.blank, kernel, sparsity, ms=ms)


LAYERS = [conv("a", 8), conv("b", 16), conv("c", 24), conv("d", 32), conv("e", 40)]
PLAN = Plan(
    "net",
    (
        LayerChoice("a", HALF, "0.60 of the dense time"),
        LayerChoice("b", MOST, "0.60 of the dense time"),
        LayerChoice("c", None, str(Reason(DenseKind.SLOWER, "columns takes 1.2"))),
        LayerChoice("d", None, str(Reason(DenseKind.NOT_NEEDED, "columns takes 0.5"))),
        LayerChoice("e", HALF, "0.60 of the dense time"),
    ),
)


def samples():
    a, b, c, d, e = LAYERS
    return [
        timed(a, None, 4.0), timed(a, None, 2.0, "winograd4"), timed(a, HALF, 1.5),  # right
        timed(b, None, 3.0), timed(b, MOST, 3.5), timed(b, HALF, 1.0),  # wrong, by 0.5: milder zeros were not at stake
        timed(c, None, 5.0), timed(c, HALF, 6.0), timed(c, MOST, 4.0),  # wrong, by 1.0
        timed(d, None, 9.0), timed(d, MOST, 1.0),  # dense for accuracy
        timed(e, None, 1.0), timed(e, MOST, 0.5),  # the chosen variant has no time
    ]  # fmt: skip


def test_audit_judges_each_decision_by_what_it_was_about():
    found = audit(PLAN, LAYERS, samples())
    assert [(v.layer, v.best, v.right, v.lost_ms) for v in found.verdicts] == [
        ("a", "columns:0.5:4x1", True, 0.0),
        ("b", "dense", False, 0.5),
        ("c", "columns:0.75:4x1", False, 1.0),
    ]
    assert (found.other, found.unmeasured) == (("d",), ("e",))
    said = found.to_json()
    assert said["n"] == 3
    assert said["accuracy"] == pytest.approx(1 / 3)
    assert said["regret"] == pytest.approx(1.5 / (1.5 + 3.0 + 4.0))


def test_audit_of_nothing_measured_has_no_figures():
    said = audit(PLAN, LAYERS, []).to_json()
    assert (said["n"], said["accuracy"], said["regret"]) == (0, None, None)
    assert said["unmeasured"] == ["a", "b", "c", "e"]


def test_audit_refuses_a_plan_of_another_network():
    with pytest.raises(UsageError, match="did you mean"):
        audit(PLAN, [*LAYERS[:4], conv("ee", 40)], samples())
