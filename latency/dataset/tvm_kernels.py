"""TVM's own OpenCL kernels, as AutoTVM tunes them on phones, as samples: the layer, the kind, the configuration.

A configuration is a point of a template's space, knob by knob ("tile_fc" is "1x32"). Of its splits these parts are
told apart, for the templates of TVM's `topi` for Mali (threads, then what a work-item computes), of its texture
templates for Adreno (what a work-item computes, then threads, four filters each) and of those made like CUDA's
(repeats, threads, what a work-item computes): the tile of a work-item and the work-group.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod

from fleetpose.errors import UsageError, unknown_name
from latency.dataset.rows import TableRow
from latency.dataset.runtimes import kernel_class
from latency.dataset.sample import Sample, pairs
from models.graph.layer import Layer
from models.graph.network import Widened

#: the `framework` of TVM's kernels
TVM = "tvm"
#: columns that a table of them has besides those of any table
COLUMNS = ("kind", "dtype", "config", "schedule", "ms")
#: a table's dtype -> that of a sample, and what of it is float32 all the same
DTYPES: dict[str, tuple[str, Widened]] = {
    "fp16": ("float16", ""),
    "fp16_acc32": ("float16", "sums"),
    "fp32": ("float32", ""),
}
#: axis of the output -> knobs that split it
AXES = {
    "filters": ("tile_co", "tile_fc", "tile_c", "tile_f", "tile_bna"),
    "rows": ("tile_oh", "tile_y", "tile_h"),
    "columns": ("tile_ow", "tile_x", "tile_w", "tile_bnb"),
}
#: knobs for how much of a sum one turn of the loop takes, and for unrolling
STEPS, UNROLLS = ("tile_rcc", "tile_rc", "c_unroll", "tile_k"), ("auto_unroll_max_step",)
#: filters that the texture templates keep in one vector
LANES = 4
#: kernels that Winograd launches
WINOGRAD_GRIDS = 3
#: AutoTVM's numbers of errors, `tvm.autotvm.measure.MeasureErrorNo`
FAILURES = {
    1: "the configuration cannot be instantiated",
    2: "it did not compile on the host",
    3: "it did not compile on the device",
    4: "it failed on the device",
    5: "it computed something else",
    6: "compiling took too long",
    7: "running took too long",
    8: "of an unknown kind",
}


def is_tvm_row(row: TableRow) -> bool:
    """Whether a table's line is of a kernel of TVM's."""
    return row.values["framework"] == TVM and all(name in row.values for name in COLUMNS)


def failure_of(row: TableRow) -> str:
    """Why a configuration has no time, in words; "" where it has one."""
    text = row.values.get("error", "").strip() or "0"
    if text == "0":
        return "" if row.values["ms"].strip() else FAILURES[8]
    return FAILURES.get(int(text), FAILURES[8]) if text.isdecimal() and len(text) < 9 else FAILURES[8]


def parse_config(text: str) -> dict[str, str]:
    """Knobs by name: "tile_fc=1x32;unroll_explicit=0" is {"tile_fc": "1x32", "unroll_explicit": "0"}.

    Raises ValueError for a text of another form.
    """
    parts = [part.partition("=") for part in text.split(";") if part]
    if any(not name or not equals for name, equals, _ in parts):
        raise ValueError(f"the configuration {text!r:.80} is not NAME=VALUE;NAME=VALUE...")
    return {name: value for name, _, value in parts}


def tvm_sample(  # noqa: PLR0913  the columns of a table
    layer: Layer,
    *,
    kind: str,
    schedule: str,
    dtype: str,
    config: Mapping[str, str],
    ms: float | None,
    device: str,
    gpu: str,
    layout: str = "",
    memory: str = "",
    spread: float | None = None,
) -> Sample:
    """The sample of one kernel.

    Args:
        kind: "direct", "winograd", "depthwise" or "dense".
        schedule: name of the template.
        dtype: one of DTYPES.
        config: knobs by name, as text.
        ms: milliseconds, None where it failed.
        layout: of the activations, "NCHW"; memory: "texture" where weights or activations are images.

    Raises:
        UsageError: a dtype that is none of DTYPES.
    """
    if dtype not in DTYPES:
        raise unknown_name("dtype of TVM's kernels", dtype[:80], DTYPES)
    element, widened = DTYPES[dtype]
    winograd = kind == "winograd"
    numbers = {**tiling(schedule, config), "texture": float("texture" in memory), "channels_last": layout == "NHWC"}
    return Sample(
        layer, "winograd4" if winograd else kernel_class(layer, TVM, gpu), None, element, pairs(numbers),
        WINOGRAD_GRIDS if winograd else 1, ms, spread, framework=TVM, device=device, gpu=gpu, widened=widened,
        textures="texture" in memory,
    )  # fmt: skip


def tiling(schedule: str, config: Mapping[str, str]) -> dict[str, float]:
    """What of a configuration decides the work: the tile of a work-item, the work-group and the loop, by name."""
    values: dict[str, float] = {}
    order = _order(schedule)
    for axis, knobs in AXES.items():
        name = next((knob for knob in knobs if knob in config), "")
        numbers = split_numbers(config.get(name, ""))
        if numbers:
            item, threads = order(numbers)
            values[axis] = item * (LANES if name == "tile_fc" else 1)
            values[f"group_{axis}"] = threads
    for name, knobs in (("step", STEPS), ("unroll", UNROLLS)):
        texts = [config[knob] for knob in knobs if knob in config]
        numbers = split_numbers(texts[0]) if texts else ()
        if numbers:
            values[name] = float(numbers[-1])
    return values


def split_numbers(text: str) -> tuple[int, ...]:
    """ "1x32" as (1, 32); () for what is no split."""
    return tuple(map(int, text.split("x"))) if re.fullmatch(r"\d{1,6}(x\d{1,6}){0,3}", text) else ()


def _order(schedule: str) -> Callable[[Sequence[int]], tuple[int, int]]:
    """From the numbers of a split to (what a work-item computes, threads), for a template."""
    texture = ".image2d" in schedule

    def parts(numbers: Sequence[int]) -> tuple[int, int]:
        if len(numbers) == 1:
            return numbers[0], 1
        if len(numbers) == 2:
            return (numbers[0], numbers[1]) if texture else (numbers[1], numbers[0])
        return prod(numbers) // numbers[1], numbers[1]

    return parts


def layer_of_tvm(row: TableRow) -> Layer:
    """The convolution of one line; a padding that is not the same on both sides is taken to be its mean, rounded up.

    Raises UsageError for cells that are no numbers, ValueError for what is no layer.
    """
    names = ("cin", "cout", "h_in", "h_out", "k", "stride", "groups")
    cin, cout, h_in, h_out, square, stride, groups = (row.number(name, 1) for name in names)
    w_in, w_out = row.number("w_in", h_in), row.number("w_out", h_out)
    kernel = (row.number("kh", square), row.number("kw", square))
    dilation = row.number("dilation", 1)
    if cin % groups or cout % groups:
        raise ValueError(f"{groups} groups do not divide {cin} and {cout} channels")
    reach = [dilation * (size - 1) + 1 for size in kernel]
    missing = [max(0, (out - 1) * stride + size - of)
               for out, size, of in zip((h_out, w_out), reach, (h_in, w_in), strict=True)]  # fmt: skip
    return Layer(
        "", "conv", ("",), ((cin, h_in, w_in),), (cout, h_out, w_out), kernel=kernel, stride=(stride, stride),
        dilation=(dilation, dilation), padding=((missing[0] + 1) // 2, (missing[1] + 1) // 2), groups=groups,
    )  # fmt: skip


def tvm_row_sample(row: TableRow) -> Sample:
    """The sample of one line of a table. Raises UsageError, with the line, for cells that are no kernel of TVM's."""
    values = row.values
    try:
        return tvm_sample(
            layer_of_tvm(row), kind=values["kind"], schedule=values["schedule"], dtype=values["dtype"],
            config=parse_config(values["config"]), ms=None if failure_of(row) else row.ms("ms"),
            device=values["device"], gpu=values.get("gpu", ""), layout=values.get("layout", ""),
            memory=values.get("memory", ""),
        )  # fmt: skip
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(f"{row.place}: {error}") from error


def fastest(samples: Sequence[Sample]) -> list[Sample]:
    """Of each layer, dtype and class of kernel on a device the fastest, its configuration left out.

    What is predicted of a layer that nobody tuned is the kernel that tuning would find, whose configuration nobody
    knows yet.
    """
    best: dict[str, Sample] = {}
    for sample in samples:
        bare = replace(sample, schedule=(), _keys={})
        kept = best.get(bare.key)
        if kept is None or (bare.ms or 0.0) < (kept.ms or 0.0):
            best[bare.key] = bare
    return list(best.values())
