"""What a reader sees first: how much faster, what it costs, on which device, and whether the goal was reached."""

from __future__ import annotations

from latency.report.axes import Scale, line, svg, text
from latency.report.document import Fact, Headline
from latency.report.formats import (
    ARROW,
    NOTHING,
    Number,
    billions,
    fixed,
    interval,
    millions,
    network_ms,
    shape,
    times,
)  # fmt: skip
from latency.report.markup import Html, element
from latency.report.result import Values, device_label

#: a speed-up this near to 1 is none
NO_CHANGE = 0.005
WIDTH, LEFT, END = 460, 62, 385


def headline_of(result: Values) -> Headline:
    """The headline of a result."""
    found, device = result["headline"], result["device"]
    goal, reached = goal_text(result)
    above = f"{result['model']} at {shape(result.get('size'))}, batch 1, {result.get('weights') or 'random weights'}"
    return Headline(
        above=above,
        value=times(found.get("speedup")),
        sentence=_sentence(result),
        note=device_note(device),
        picture=_picture(found),
        goal=goal,
        reached=reached,
        facts=_facts(result),
    )


def _sentence(result: Values) -> str:
    speedup, label = result["headline"].get("speedup"), device_label(result)
    if speedup is None:
        return f"was not measured on {label}"
    if not any(layer["decision"] == "sparse" for layer in result["layers"]):
        return f"of the dense network's speed on {label}: no layer was pruned, because none was to gain by it"
    if abs(speedup - 1) <= NO_CHANGE:
        return f"the dense network's speed on {label}: zeros gained nothing there"
    if speedup < 1:
        return f"of the dense network's speed on {label}: the sparse network is the slower one"
    return f"as fast as the same network dense, each layer by its best kernel, measured on {label}"


def device_note(device: Values) -> str:
    """What the device is; a host device says what it is not."""
    name = device.get("name") or "unnamed device"
    driver = f", {device['driver']}" if device.get("driver") else ""
    if device.get("host"):
        return (
            f"Device: {name}{driver}. This is the CPU of the machine the report was made on, through OpenCL. "
            f"It is not a phone, and its times say nothing about one."
        )
    return f"Device: {name}{driver}, over RPC."


def goal_text(result: Values) -> tuple[str, bool | None]:
    """What was asked for with what came of it, and whether it was reached; None where that is not known."""
    goal, found = result.get("goal"), result["headline"]
    if not goal:
        return "No goal was set: every layer was decided for itself.", None
    kind, value = goal["kind"], goal["value"]
    if kind == "speedup":
        return _verdict(f"a speed-up of {value:g}", found.get("speedup"), value, found.get("speedup_interval"), True)
    if kind == "target_ms":
        return _verdict(f"{value:g} ms or less", found.get("sparse_ms"), value, found.get("sparse_iqr_ms"), False)
    asked = f"a loss of {value:g} or less"
    aps = (found.get("ap_dense"), found.get("ap_sparse"))
    by_ap = (result.get("sensitivity") or {}).get("measure") == "AP"
    if aps[0] is None or aps[1] is None or not by_ap:
        return f"Goal: {asked}, kept by the plan's own account; no measured AP to hold it against.", None
    return _verdict(asked, aps[0] - aps[1], value, None, False)


def _verdict(
    asked: str, got: Number, value: float, bounds: list[float] | None, larger: bool
) -> tuple[str, bool | None]:
    """`larger`: whether more than `value` is better. Bounds that hold `value` leave doubt, and the text says so."""
    if got is None:
        return f"Goal: {asked}. Not measured.", None
    reached = got >= value if larger else got <= value
    doubt = bool(bounds) and None not in bounds and min(bounds) < value < max(bounds)  # type: ignore[operator, arg-type]
    tail = ", but within the spread of the measurement" if doubt else ""
    return f"Goal: {asked}. {'Reached' if reached else 'Not reached'}{tail}.", reached


def _facts(result: Values) -> tuple[Fact, ...]:
    found, weights = result["headline"], result.get("weights")
    predicted = found.get("predicted_speedup")
    bounds = interval(found.get("predicted_interval"))
    spread = interval(found.get("speedup_interval"))
    dense, sparse = found.get("ap_dense"), found.get("ap_sparse")
    aps = dense is not None and sparse is not None
    change = interval(found.get("ap_change_interval"), 3)
    missing = "not measured: no annotated photographs" if weights else "random weights have none"
    compared = _joined(f"{fixed(dense, 3)} {ARROW} {fixed(sparse, 3)}", change and f"interval {change}")
    return (
        Fact("Speed-up, measured", times(found.get("speedup")), f"interval {spread}" if spread else "no interval"),
        Fact("Speed-up, predicted", times(predicted), f"interval {bounds}" if bounds else ""),
        Fact("Change of AP", fixed(sparse - dense, 3, sign=True) if aps else NOTHING,
             compared if aps else missing),
        _kept("Parameters", found.get("params_dense"), found.get("params_kept"), millions),
        _kept("Multiply-adds", found.get("macs_dense"), found.get("macs_kept"), billions),
    )  # fmt: skip


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _kept(label: str, dense: Number, kept: Number, said) -> Fact:
    ratio = f"dense / kept {times(dense / kept)}" if dense and kept else ""
    return Fact(f"{label}, kept", said(kept), _joined(f"of {said(dense)}" if dense else "", ratio))


def _picture(found: Values) -> Html:
    """Both times as bars with their IQR, and a hollow mark where they were predicted."""
    rows = [(which, found.get(f"{which}_ms"), found.get(f"predicted_{which}_ms"), found.get(f"{which}_iqr_ms"))
            for which in ("dense", "sparse")]  # fmt: skip
    longest = max(
        [value for _, *values, iqr in rows for value in (*values, *(iqr or ())) if value is not None] or [1.0]
    )
    x = Scale(0.0, longest, LEFT, END)
    drawn = [_bar(row, x, 8 + 46 * index) for index, row in enumerate(rows)]
    label = "; ".join(
        f"{which} {network_ms(ms)} ms, predicted {network_ms(predicted)}" for which, ms, predicted, _ in rows
    )
    return svg(WIDTH, 124, label, drawn, _legend(112), class_="bars")


def _bar(row: tuple, x: Scale, top: float) -> list[Html]:
    which, ms, predicted, iqr = row
    drawn = [text((0, top + 22), which, "label")]
    if ms is not None:
        drawn.append(element("rect", x=x.start, y=top, width=max(x(ms) - x.start, 1), height=32, class_=which))
        drawn.append(text((WIDTH, top + 22), f"{network_ms(ms)} ms", "value", "end"))
    else:
        drawn.append(text((WIDTH, top + 22), "not measured", "small", "end"))
    if iqr and None not in iqr:
        drawn.append(line((x(iqr[0]), top + 16), (x(iqr[1]), top + 16), "whisker"))
    if predicted is not None:
        drawn.append(element("circle", cx=x(predicted), cy=top + 16, r=4.5, class_="hollow"))
    return drawn


def _legend(at: float) -> list[Html]:
    return [
        line((LEFT, at - 4), (LEFT + 14, at - 4), "whisker plain"),
        text((LEFT + 20, at), "middle half of samples", "small"),
        element("circle", cx=LEFT + 172, cy=at - 4, r=4.5, class_="hollow"),
        text((LEFT + 182, at), "predicted", "small"),
    ]
