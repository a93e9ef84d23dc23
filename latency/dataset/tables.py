"""Public tables of phone latencies (CSV) as samples: one row a convolution, or one row an operator of a network.

Columns: framework, device, op, cin, cout, h_in, h_out, k, stride, groups, and `ms_median` (one row per shape) or `ms`
(one row per operator, with `model` and `family`); gpu is wanted, ms_min, ms_max are used, others may be there. Shapes
are square; `h_in` may include the padding.

Which kernel ran is not read: a user with a new shape cannot know it. What is fused into a layer is known beforehand,
from the network; a table has it only in the names of kernels ("convolution_2d_16_linked_:_add_17_linked_:_relu_"), and
only on devices whose runtime spells it out, so that it is gathered from all devices, before `where` chooses one.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from fleetpose.errors import UsageError, unknown_name
from latency.dataset.rows import TableRow
from latency.dataset.runtimes import kernel_class
from latency.dataset.sample import Sample
from latency.dataset.tvm_kernels import failure_of, fastest, is_tvm_row, tvm_row_sample
from models.graph.layer import Layer, Step

log = logging.getLogger("latency.dataset.tables")

REQUIRED = ("framework", "device", "op", "cin", "cout", "h_in", "h_out", "k", "stride", "groups")
TIMES = ("ms_median", "ms")

#: multiply-adds of one layer; a thousand large networks have so many
MOST_MACS = 10**15

#: what precedes each fused step in the name of a kernel
LINKED = "linked_:_"
#: names of convolutions
CONVOLUTIONS = ("conv", "dw", "group", "CONV_2D", "CONV_2D_GROUP", "DEPTHWISE_CONV_2D")
#: other operators that a table may have -> the op they are
OTHERS = {
    "FULLY_CONNECTED": "conv",
    "MEAN": "avg_pool",
    "aten::adaptive_avg_pool2d": "avg_pool",
    "AVERAGE_POOL_2D": "avg_pool",
    "aten::avg_pool2d": "avg_pool",
    "MAX_POOL_2D": "max_pool",
    "aten::max_pool2d": "max_pool",
    "CONCATENATION": "concat",
    "aten::add": "add",
    "aten::mul": "add",
    "aten::relu": "relu",
    "aten::sigmoid": "sigmoid",
    "aten::hardswish": "hardswish",
    "vulkan_prepack::run_batchnorm_context": "relu",
}


def table_samples(
    rows: Sequence[TableRow], where: Mapping[str, Sequence[str]], every_op: bool = False, configurations: bool = False
) -> list[Sample]:
    """The samples of the rows that `where` (column -> values, any of them) lets through.

    Args:
        every_op: not convolutions only.
        configurations: of kernels that were tuned, every configuration is a sample; else the fastest of each layer and
            class of kernel is, and its configuration is left out. Those that failed have no time and are no samples.

    Raises:
        UsageError: see `TableRow`.
    """
    chosen = [row for row in rows if passes(row, where)]
    tuned = [row for row in chosen if is_tvm_row(row)]
    others = list(_samples([row for row in chosen if not is_tvm_row(row)], epilogues(rows), every_op))
    kernels = _tuned_samples(tuned)
    return others + (kernels if configurations else fastest(kernels))


def _tuned_samples(rows: Sequence[TableRow]) -> list[Sample]:
    """The samples of kernels that were tuned. How many failed, and why, is said, and how many the table doubts."""
    doubted = sum(row.values.get("suspect", "0") == "1" for row in rows)
    failures = Counter(failure_of(row) for row in rows if row.values.get("suspect", "0") != "1")
    failed = {reason: count for reason, count in failures.items() if reason}
    if failed or doubted:
        reasons = [f"{count}: {reason}" for reason, count in sorted(failed.items(), key=lambda item: -item[1])]
        said = "%s: %d of %d configurations failed and have no time, %d are marked as suspect; left out (%s)"
        log.warning(said, rows[0].path, sum(failed.values()), len(rows), doubted,
                    "; ".join(reasons) or "none failed")  # fmt: skip
    return [tvm_row_sample(row) for row in rows if row.values.get("suspect", "0") != "1" and not failure_of(row)]


def passes(row: TableRow, where: Mapping[str, Sequence[str]]) -> bool:
    """Whether each column of `where` has one of its values."""
    return all(row.values[name] in values for name, values in where.items())


def epilogues(rows: Sequence[TableRow]) -> dict[tuple, tuple[str, ...]]:
    """The steps fused into layers, by layer, from those names of kernels that tell them."""
    steps: dict[tuple, tuple[str, ...]] = {}
    for row in rows:
        name = (row.values.get("kernels") or row.values.get("kernel") or "").split("|")[0]
        if LINKED in name:
            texts = (text.strip("_") for text in name.split(LINKED)[1:])
            steps[_identity(row)] = tuple(_step(text) for text in texts)
    return steps


def _identity(row: TableRow) -> tuple:
    """What says that rows of several devices are of the same layer."""
    names = ("framework", "model", "op_index") if "op_index" in row.values else ("framework", *REQUIRED[2:])
    return tuple(row.values.get(name) for name in names)


def _step(text: str) -> str:
    """The step of an epilogue that a part of a kernel's name means; names may be cut off after a few letters."""
    for start, kind in (("a", "add"), ("hard", "hardswish"), ("sig", "sigmoid"), ("min", "relu6")):
        if text.startswith(start):
            return kind
    return "relu"


def _samples(rows: Sequence[TableRow], fused: Mapping[tuple, tuple[str, ...]], every_op: bool) -> Iterator[Sample]:
    for row in rows:
        op = row.values["op"]
        if op not in CONVOLUTIONS and op not in OTHERS:
            raise UsageError(f"{row.place}: {unknown_name('op', op[:80], [*CONVOLUTIONS, *OTHERS])}")
        if op in CONVOLUTIONS or every_op:
            yield sample_of(row, fused.get(_identity(row), ()))


def sample_of(row: TableRow, steps: Sequence[str] = ()) -> Sample:
    """The sample of one line, `steps` fused into its layer. Raises UsageError for cells that are no shape or time."""
    values = row.values
    clock = next((name for name in TIMES if name in values), None)
    if clock is None:
        raise UsageError(f"{row.path} has no column {' or '.join(map(repr, TIMES))}")
    ms = row.ms(clock)
    spread = (row.ms("ms_max") - row.ms("ms_min")) / ms if {"ms_min", "ms_max"} <= values.keys() else None
    try:
        layer = with_steps(layer_of(row), steps)
        if layer.macs > MOST_MACS:
            raise ValueError(f"a layer of {float(layer.macs):.0e} multiply-adds; is a column in another unit?")
    except ValueError as error:
        raise UsageError(f"{row.place}: {error}") from error
    framework, gpu = values["framework"], values.get("gpu", "")
    return Sample(
        layer,
        kernel_class(layer, framework, gpu),
        ms=ms,
        spread=spread,
        networks=(values["model"],) if values.get("model") else (),
        families=(values["family"],) if values.get("family") else (),
        framework=framework,
        device=values["device"],
        gpu=gpu,
    )


def with_steps(layer: Layer, steps: Sequence[str]) -> Layer:
    """A convolution with `steps` in its epilogue; each "add" brings an addend of the output's shape."""
    if layer.op != "conv" or not steps:
        return layer
    shapes = layer.in_shapes + (layer.out_shape,) * list(steps).count("add")
    return replace(layer, inputs=("",) * len(shapes), in_shapes=shapes, epilogue=tuple(Step(kind) for kind in steps))


def layer_of(row: TableRow) -> Layer:
    """The layer of one line, without names."""
    op = row.values["op"]
    if op in CONVOLUTIONS:
        return _convolution(row)
    kind, cin = OTHERS[op], row.number("cin")
    side = row.number("h_in", 1)
    source = (cin, side, side)
    if kind == "conv":
        return Layer("", "conv", ("",), ((cin, 1, 1),), (row.number("cout"), 1, 1), bias=True)
    if kind == "concat":
        joined = row.number("cout")
        more = ((joined - cin, side, side),) if joined > cin else ()
        return Layer("", "concat", ("",) * (1 + len(more)), (source, *more), (joined, side, side))
    if op in ("MEAN", "aten::adaptive_avg_pool2d"):
        return Layer("", "avg_pool", ("",), (source,), (cin, 1, 1), kernel=(side, side))
    if kind in ("avg_pool", "max_pool"):
        out, kernel, stride = row.number("h_out"), row.number("k"), row.number("stride")
        return Layer("", kind, ("",), (source,), (cin, out, out), (kernel, kernel), (stride, stride))
    shapes = (source, source) if kind == "add" else (source,)
    return Layer("", "elementwise", ("",) * len(shapes), shapes, source, epilogue=(Step(kind),))


def _convolution(row: TableRow) -> Layer:
    names = ("cin", "cout", "h_in", "h_out", "k", "stride", "groups")
    cin, cout, h_in, h_out, k, stride, groups = (row.number(name) for name in names)
    if cin % groups or cout % groups:
        raise ValueError(f"{groups} groups do not divide {cin} and {cout} channels")
    missing = max(0, (h_out - 1) * stride + k - h_in)  # what padding has to add, where h_in does not include it
    padding = (missing + 1) // 2
    return Layer(
        "", "conv", ("",), ((cin, h_in, h_in),), (cout, h_out, h_out),
        kernel=(k, k), stride=(stride, stride), padding=(padding, padding), groups=groups, bias=True,
    )  # fmt: skip
