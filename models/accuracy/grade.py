"""How much of what the dense network does a changed one still does, as a grade and in words; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any


class Grade(Enum):
    """How much is kept; the value is the colour for people.

    Of an agreement it is by the part at OKS 0.5, not over .50 to .95: two networks that both find a person seldom agree
    to the pixel, and what is left of AP goes with the agreement at 0.5 (figures in docs/pruning.md). Of an AP it is by
    the part that is kept of the dense network's. Between 0.95 and 1 lies what one photograph more or less does.
    """

    KEPT = "green"
    LOWERED = "yellow"
    LOST = "red"


#: photographs that agreement is measured on unless something else is said: some 20 seconds for Lightweight OpenPose
PHOTOGRAPHS = 24
#: the least values of a grade
LEAST_KEPT, LEAST_LOWERED = 0.95, 0.8
#: what a grade means, for people
GRADE_TEXTS = {
    Grade.KEPT: "it finds what the dense network finds",
    Grade.LOWERED: "part of what the dense network finds is lost",
    Grade.LOST: "much of what the dense network finds is lost",
}


def grade(kept: float | None) -> Grade | None:
    """The grade of a part that is kept, 0 to 1; None where it is not known."""
    if kept is None:
        return None
    return Grade.KEPT if kept >= LEAST_KEPT else Grade.LOWERED if kept >= LEAST_LOWERED else Grade.LOST


def agreement_grade(values: Mapping[str, Any]) -> Grade | None:
    """The grade of an `Agreement.to_dict`; None where agreement is not defined."""
    return grade(values.get("agreement_50"))


def ap_grade(dense: float | None, changed: float | None) -> Grade | None:
    """The grade of an AP by the part that is kept of the dense network's; None where one of them is not known or 0."""
    return grade(changed / dense) if dense and changed is not None else None


def grade_text(values: Mapping[str, Any]) -> str:
    """What the grade of an `Agreement.to_dict` means, for people; "" where there is no agreement."""
    kept = agreement_grade(values)
    if kept is None:
        return ""
    if not values["people_again"]:
        return "nobody whom the dense network finds is found again"
    return GRADE_TEXTS[kept]


def agreement_text(values: Mapping[str, Any]) -> str:
    """An `Agreement.to_dict` in one line for a terminal."""
    moved = values.get("divergence")
    maps = "" if moved is None else f"; divergence of the maps {moved:.3g}"
    if values.get("agreement") is None:
        return f"agreement with the dense network: {values.get('why_none') or 'not measured'}{maps}"
    bounds = values.get("interval")
    within = f" ({bounds[0]:.2f} to {bounds[1]:.2f})" if bounds else ""
    numbers = f"{values['agreement']:.2f}{within}, {values['agreement_50']:.2f} at OKS 0.5"
    return f"agreement with the dense network {numbers}: {people_text(values)}{maps}"


def graded_text(values: Mapping[str, Any]) -> str:
    """An `Agreement.to_dict` in one line for a terminal, with what it means before it."""
    return ": ".join(filter(None, (grade_text(values), agreement_text(values))))


def people_text(values: Mapping[str, Any]) -> str:
    """Whom the changed network finds of the dense network's people, and on which photographs."""
    dense, again, pruned = (values[name] for name in ("people_dense", "people_again", "people_pruned"))
    photographs = values["photographs"]
    seen = "" if values.get("held_out", True) else " it was pruned on"
    return (
        f"{again} of its {dense} people again and {pruned - again} others, "
        f"on {photographs} photograph{'' if photographs == 1 else 's'}{seen}"
    )
