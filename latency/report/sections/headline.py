"""What a reader sees first: how much faster, what it costs, on which device, and whether the goal was reached."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from latency.report.rendering.document import Fact, Headline
from latency.report.rendering.formats import (
    NOTHING,
    Number,
    billions,
    interval,
    join_texts,
    millions,
    network_digits,
    shape,
    times,
    to_fixed,
)  # fmt: skip
from latency.report.result import Values, device_label
from latency.report.sections.agreement import agreement_fact, ap_fact, cost_text, headline_tone, loss_fact
from latency.report.sections.headline_picture import picture

#: a speed-up this near to 1 is none
NO_CHANGE = 0.005


def headline_of(result: Values) -> Headline:
    """The headline of a result."""
    headline, device = result["headline"], result["device"]
    goal, reached = goal_text(result)
    above = f"{result['model']} at {shape(result.get('size'))}, batch 1, {_weights(result)}"
    return Headline(
        above=above,
        value=_value(headline),
        sentence=_sentence(result),
        note=device_note(device),
        picture=picture(headline),
        goal=goal,
        reached=reached,
        facts=_facts(result),
        cost=cost_text(headline),
        tone=headline_tone(headline),
    )


def _weights(result: Values) -> str:
    if result.get("weights"):
        return Path(result["weights"]).name
    return "its own weights" if result.get("own_weights") else "random weights"


def _value(headline: Values) -> str:
    """The speed-up, measured or else predicted; "" where there is none."""
    speedup = headline.get("predicted_speedup") if headline.get("speedup") is None else headline["speedup"]
    return "" if speedup is None else times(speedup)


def _sentence(result: Values) -> str:
    speedup, label = result["headline"].get("speedup"), device_label(result)
    if speedup is None and result["headline"].get("predicted_speedup") is None:
        return f"The speed-up on {label} is not known: nothing was measured"
    if speedup is None:
        return f"as fast as the same network dense, predicted for {label}: it was not measured"
    if not any(layer["decision"] == "sparse" for layer in result["layers"]):
        return f"of the dense network's speed on {label}: no layer was pruned, because none was to gain by it"
    if abs(speedup - 1) <= NO_CHANGE:
        return f"the dense network's speed on {label}: zeros gained nothing there"
    if speedup < 1:
        return f"of the dense network's speed on {label}: the sparse network is the slower one"
    spread = interval(result["headline"].get("speedup_interval"))
    measured = f"measured on {label}" + (f", interval {spread}" if spread else "")
    return f"as fast as the same network dense, each layer by its best kernel, {measured}"


def device_note(device: Values) -> str:
    """What the device is; a host device says what it is not."""
    platform, driver = str(device.get("platform") or "").partition(",")[0], str(device.get("driver") or "")
    name = join_texts(str(device.get("name") or "unnamed device"), platform, "" if driver in platform else driver)
    if device.get("host"):
        return (
            f"Device: {name}. This is the CPU of the machine that optimized, through OpenCL. It is not a phone, "
            f"and its times say nothing about one."
        )
    return f"Device: {name}, over RPC."


def goal_text(result: Values) -> tuple[str, bool | None]:
    """What was asked for with what came of it, and whether it was reached; None where that is not known."""
    goal, headline = result.get("goal"), result["headline"]
    if not goal:
        return "No goal was set: every layer was decided for itself.", None
    kind, value = goal["kind"], goal["value"]
    if kind == "speedup":
        speedup, bounds = headline.get("speedup"), headline.get("speedup_interval")
        return _verdict(f"a speed-up of {value:g}", speedup, value, bounds, True)
    if kind == "target_ms":
        return _verdict(f"{value:g} ms or less", headline.get("sparse_ms"), value, headline.get("sparse_iqr_ms"), False)
    predicted = headline.get("predicted_loss")
    if predicted:
        asked = f"{value:g} {predicted['unit']} lost or less"
        return _verdict(asked, headline.get("measured_loss"), value, None, False)
    asked = f"a loss of {value:g} or less"
    aps = (headline.get("ap_dense"), headline.get("ap_sparse"))
    by_ap = (result.get("sensitivity") or {}).get("measure") == "AP"
    if aps[0] is None or aps[1] is None or not by_ap:
        return f"Goal: {asked}, kept by the plan's own account; no measured AP to hold it against.", None
    return _verdict(asked, aps[0] - aps[1], value, None, False)


def _verdict(
    asked: str, got: Number, value: float, bounds: list[float] | None, larger: bool
) -> tuple[str, bool | None]:
    """Whether `got` is at least `value` (`larger`) or at most; None where it is not, but its bounds hold `value`."""
    if got is None:
        return f"Goal: {asked}. Not measured.", None
    reached = got >= value if larger else got <= value
    spread = interval(bounds) if bounds and None not in bounds and min(bounds) < value < max(bounds) else ""
    if not spread:
        return f"Goal: {asked}. {'Reached' if reached else 'Not reached'}.", reached
    if reached:
        return f"Goal: {asked}. Reached, but within the spread of the measurement, {spread}.", True
    why = f"what was measured spreads over {spread}, so it cannot be told here whether it is reached"
    return f"Goal: {asked}. Open: {why}; measure on a quieter machine, or with more --rounds.", None


def _facts(result: Values) -> tuple[Fact, ...]:
    headline = result["headline"]
    bounds = interval(headline.get("predicted_interval"))
    return (
        _latency(headline),
        *_sustained_facts(headline),
        *agreement_fact(headline),
        Fact("Predicted speed-up", times(headline.get("predicted_speedup")), bounds and f"interval {bounds}"),
        ap_fact(headline, bool(result.get("weights") or result.get("own_weights"))),
        *loss_fact(headline),
        _kept_fact("Parameters", headline.get("params_dense"), headline.get("params_kept"), millions),
        _kept_fact("Multiply-adds", headline.get("macs_dense"), headline.get("macs_kept"), billions),
    )


def _sustained_facts(headline: Values) -> tuple[Fact, ...]:
    """The sparse network's time, and the speed-up, once the device is warm; nothing where that was not measured."""
    sustained = headline.get("sustained")
    if not sustained:
        return ()
    first, last = sustained["first"], sustained["last"]
    digits = network_digits(last["dense_ms"], last["sparse_ms"])
    before = f"{to_fixed(first['sparse_ms'], digits)} ms at first, {times(last['speedup'])} as fast as dense"
    spread = interval((sustained.get("slower_interval") or {}).get("sparse"), 3)
    change = f"{times(sustained['slower']['sparse'])} as long as at first ({spread})" if spread else ""
    held = "the device slows itself down" if sustained["throttled"] else ""
    label = f"Latency after {sustained['minutes']:g} minutes"
    return (Fact(label, f"{to_fixed(last['sparse_ms'], digits)} ms", join_texts(before, change, held)),)


def _latency(headline: Values) -> Fact:
    """The sparse network's time."""
    dense_ms, ms = headline.get("dense_ms"), headline.get("sparse_ms")
    digits = network_digits(dense_ms, ms)
    iqr = interval(headline.get("sparse_iqr_ms"), digits)
    dense = f"dense {to_fixed(dense_ms, digits)} ms" if dense_ms is not None else "not measured"
    sparse = f"{to_fixed(ms, digits)} ms" if ms is not None else NOTHING
    return Fact("Latency", sparse, join_texts(iqr and f"IQR {iqr}", dense))


def _kept_fact(label: str, dense: Number, kept: Number, said: Callable[[Number], str]) -> Fact:
    ratio = f"dense / kept {times(dense / kept)}" if dense and kept else ""
    return Fact(f"{label}, kept", said(kept), join_texts(f"of {said(dense)}" if dense else "", ratio))
