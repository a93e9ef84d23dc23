"""What the speed-up costs, in the headline and beside the dense network: agreement, divergence, AP where it is known.

The tone of a number is its grade (models.accuracy.grade): what is lost is amber or red in the page, and both files say
it in words.
"""

from __future__ import annotations

from latency.report.rendering.document import Cell, Column, Fact, Table
from latency.report.rendering.formats import ARROW, NOTHING, interval, join_texts, to_fixed
from latency.report.result import Values
from models.accuracy.grade import Grade, agreement_grade, ap_grade, grade_text

ABOUT_AGREEMENT = (
    "Agreement is AP of the sparse network's people where the dense network's own people are taken for the truth: it "
    "says what was lost, not whether the dense network is right. Its colour is that of the part at OKS 0.5."
)
#: counts of an agreement -> what they are of
COUNTS = {
    "people_dense": "People whom the dense network finds",
    "people_again": "Of these, found again (OKS 0.5)",
    "people_pruned": "People whom the sparse network finds",
    "photographs": "Photographs",
}


def cost_text(headline: Values) -> str:
    """What of the dense network's people is kept, in words; "" of a result that does not say it."""
    agreement = headline.get("agreement")
    if not agreement:
        return ""
    value, bounds = agreement.get("agreement"), interval(agreement.get("interval"))
    if value is None:
        return f"Agreement with the dense network: {_why_none(agreement)}."
    words = grade_text(agreement)
    at_half = f"{to_fixed(agreement.get('agreement_50'), 2)} at OKS 0.5"
    measured = join_texts(f"agreement {to_fixed(value, 2)}", bounds and f"interval {bounds}", at_half)
    return f"{words[0].upper()}{words[1:]}: {measured}."


def headline_tone(headline: Values) -> str:
    """The tone of the worse one of agreement and AP; "" where neither is known."""
    agreement = headline.get("agreement") or {}
    grades = [agreement_grade(agreement), ap_grade(headline.get("ap_dense"), headline.get("ap_sparse"))]
    return _tone(max((known for known in grades if known), key=list(Grade).index, default=None))


def agreement_fact(headline: Values) -> tuple[Fact, ...]:
    """What the two networks have in common; () of a result that does not say it."""
    agreement = headline.get("agreement")
    if not agreement:
        return ()
    value, moved = agreement.get("agreement"), agreement.get("divergence")
    maps = "" if moved is None else f"divergence of the maps {to_fixed(moved, 3)}"
    if value is None:
        return (Fact("Agreement with dense", NOTHING, join_texts(_why_none(agreement), maps)),)
    people = f"{agreement['people_again']} of {agreement['people_dense']} people found again"
    return (
        Fact("Agreement with dense", to_fixed(value, 2), join_texts(people, maps), _tone(agreement_grade(agreement))),
    )


def ap_fact(headline: Values, trained: bool) -> Fact:
    """The change of AP, or why there is none."""
    dense, sparse = headline.get("ap_dense"), headline.get("ap_sparse")
    if dense is None or sparse is None:
        why = "not measured: no annotated photographs" if trained else "random weights have none"
        return Fact("Change of AP", NOTHING, why)
    bounds = interval(headline.get("ap_change_interval"), 3)
    note = join_texts(f"{to_fixed(dense, 3)} {ARROW} {to_fixed(sparse, 3)}", bounds and f"interval {bounds}")
    return Fact("Change of AP", to_fixed(sparse - dense, 3, sign=True), note, _tone(ap_grade(dense, sparse)))


def loss_fact(headline: Values) -> tuple[Fact, ...]:
    """What the plan was predicted to lose, beside what it lost; () of a result that does not say it."""
    predicted = headline.get("predicted_loss")
    if not predicted:
        return ()
    measured = headline.get("measured_loss")
    bounds = interval([predicted["low"], predicted["high"]], 3)
    when = "before training" if predicted.get("before_training") else ""
    note = join_texts(
        f"interval {bounds}", when, "not measured" if measured is None else f"measured {to_fixed(measured, 3)}"
    )
    return (Fact(f"Predicted loss, {predicted['unit']}", to_fixed(predicted["lost"], 3), note),)


def loss_text(headline: Values) -> str:
    """The same in one line for a terminal; "" of a result that does not say it."""
    predicted, measured = headline.get("predicted_loss"), headline.get("measured_loss")
    if not predicted:
        return ""
    when = " before training" if predicted.get("before_training") else ""
    said = (
        f"{predicted['unit']} lost: {predicted['lost']:.3f} predicted{when} ({predicted['low']:.3f} to "
        f"{predicted['high']:.3f}) by {predicted['plans']} plans on {predicted['photographs']} photographs"
    )
    return said + (", not measured" if measured is None else f"; {measured:.3f} measured")


def agreement_table(headline: Values) -> Table:
    """What the sparse network of a result with an agreement has in common with the dense one."""
    agreement = headline["agreement"]
    value, bounds = agreement.get("agreement"), interval(agreement.get("interval"))
    note = _why_none(agreement) if value is None else bounds and f"interval {bounds}"
    rows = [
        (Cell("Agreement, OKS 0.5 to 0.95"), Cell(to_fixed(value, 3), note)),
        (
            Cell("Agreement at OKS 0.5"),
            Cell(to_fixed(agreement.get("agreement_50"), 3), tone=_tone(agreement_grade(agreement))),
        ),
    ]
    seen = "" if agreement.get("held_out", True) else "the network was pruned on them"
    for name, label in COUNTS.items():
        if agreement.get(name) is not None:
            rows.append((Cell(label), Cell(str(agreement[name]), seen if name == "photographs" else "")))
    rows.append((Cell("Divergence of the maps"), Cell(to_fixed(agreement.get("divergence"), 4))))
    for name in ("dense", "sparse"):
        if (ap := headline.get(f"ap_{name}")) is not None:
            rows.append((Cell(f"AP on annotated photographs, {name}"), Cell(to_fixed(ap, 3))))
    return Table("Beside the dense network", (Column("What"), Column("Value", "", "words")), tuple(rows))


def _why_none(agreement: Values) -> str:
    return str(agreement.get("why_none") or "not measured")


def _tone(kept: Grade | None) -> str:
    return kept.name.lower() if kept else ""
