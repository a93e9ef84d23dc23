"""Compile, check and time one layer on a device: `python -m codegen.layer`."""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codegen.lowering.hosts import host_for
from codegen.lowering.layer import LoadedLayer, compile_layer, random_operands, standalone_planes
from codegen.lowering.sizes import trace_sizes
from codegen.tuning.database import Tuned, load_tuned
from devices import open_device
from devices.profile import ITEM_BYTES
from devices.session import Session
from devices.timing.measure import measure
from fleetpose import cli
from fleetpose.codec import encode
from fleetpose.errors import FleetposeError, UsageError, unknown_name
from fleetpose.files import make_folder, text_bytes, write_together
from fleetpose.options import COUNT, SEED, add_flags, from_arguments, option, real, whole
from fleetpose.outputs import check_outputs
from fleetpose.trust import add_trust_flag
from models.graph.layer import STEPS, Layer, Step
from models.graph.network import check_layer_names
from models.plans.sparsity import Sparsity, parse_variant, variant_text
from models.resolve import MODEL_HELP, model_files, model_spec

#: what --dump writes: OpenCL, TIR, and what was measured
DUMPED = ("kernel.cl", "kernel.py", "manifest.json")
STEP_DEFAULTS: dict[str, tuple[float, ...]] = {"hardtanh": (-1, 1), "elu": (1,), "leaky_relu": (0.01,)}


@dataclass(frozen=True)
class ConvOptions:
    """What a convolution is besides its channels and its input's size; the same both ways."""

    kernel: int = option(3, "the kernel of --conv, both ways", type=COUNT)
    stride: int = option(1, "the stride of --conv, both ways", type=COUNT)
    dilation: int = option(1, "the dilation of --conv, both ways", type=COUNT)
    groups: int = option(1, "the groups of --conv", type=COUNT)
    padding: int | None = option(None, "the padding of --conv (default: keeps the size at stride 1)")
    epilogue: tuple[str, ...] = option((), f"what follows --conv: {', '.join(STEPS)}", nargs="*", metavar="STEP")


def make_conv(channels: tuple[int, int], size: tuple[int, int], options: ConvOptions) -> Layer:
    """A convolution of (in, out) channels on (height, width). Raises UsageError where the options make none."""
    (cin, cout), (height, width) = channels, size
    kernel, stride, dilation, groups = options.kernel, options.stride, options.dilation, options.groups
    padding = dilation * (kernel - 1) // 2 if options.padding is None else options.padding
    if min(*channels, *size, kernel, stride, dilation, groups) < 1 or padding < 0:
        raise UsageError("channels, sizes, kernel, stride, dilation and groups are at least 1, padding at least 0")
    if cin % groups or cout % groups:
        raise UsageError(f"--groups {groups} does not divide {cin} and {cout} channels")
    out = [(extent + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1 for extent in (height, width)]
    if min(out) < 1:
        raise UsageError(f"a {kernel}x{kernel} kernel does not fit into {height}x{width} with padding {padding}")
    steps = tuple(_step(text) for text in options.epilogue)
    shape = (cout, out[0], out[1])
    adds = sum(step.reads for step in steps)
    return Layer(
        "conv", "conv", ("x", *(f"addend{i}" for i in range(adds))), ((cin, height, width), *[shape] * adds), shape,
        (kernel, kernel), (stride, stride), (padding, padding), (dilation, dilation), groups, True, steps,
    )  # fmt: skip


def _step(text: str) -> Step:
    kind, *numbers = text.split(":")
    if kind not in STEPS:
        raise unknown_name("epilogue step", kind, STEPS)
    try:
        values = tuple(map(float, numbers))
        if not all(map(math.isfinite, values)):
            raise ValueError(f"{text} is not finite")
        return Step(kind, values or STEP_DEFAULTS.get(kind, ()))
    except ValueError:
        wanted = ":".join([kind, *(name.upper() for name in STEPS[kind])])
        raise UsageError(f"epilogue step {text!r} should be {wanted}") from None


def layer_of_model(model: str, name: str, size: tuple[int, int] | None) -> Layer:
    """The layer called `name` of a registered model. Raises UsageError, with "did you mean", where there is none."""
    graph = trace_sizes(model, None, 0, [size or model_spec(model).size])[0]
    check_layer_names([name], graph)
    return graph.layer(name)


def check_layer(
    layer: Layer,
    session: Session,
    seed: int = 0,
    repeats: int = 20,
    tuned: Tuned | None = None,
    dtype: str = "float32",
    sparsity: Sparsity | None = None,
) -> dict[str, Any]:
    """Compile `layer` for the session's device, judge it by float64 on random data, and time it.

    With a `sparsity`, the smallest of the random weights are made zero, and sparse schedules may answer.

    The schedule is the one `tuned` knows, that of the session's profile where it is not given.

    Returns:
        The JSON object the command prints: shapes, schedule, "fault" (what is wrong with the result, in words; None
        where rounding explains all differences), "max_relative_error" (over the largest magnitude of the result; None
        if that is not finite), "event_ms" and "wall_ms" (medians), "gflops"; and the code, "source" and
        "tir".

    Raises:
        UsageError: a dtype that the device does not have, or a sparsity that the layer cannot have.
        FleetposeError: the timing failed.
    """
    from codegen.judging.layers import RightResult

    inputs, weights = random_operands(layer, seed)
    if sparsity is not None:
        if refusal := sparsity.applies_to(layer):
            raise UsageError(f"{sparsity}: {refusal}")
        weights = weights.pruned(sparsity)
    workload = standalone_planes(layer, session.profile.lanes_of(dtype), dtype=dtype, sparsity=sparsity)
    choice = (load_tuned(session.profile) if tuned is None else tuned).choice(workload, session.profile)
    compiled = compile_layer(workload, weights, session.profile, host_for(session.profile, session), choice)
    loaded = LoadedLayer(compiled, session)
    result = compiled.workload.output.unpack(loaded.run(inputs))
    right = RightResult(layer, dtype, inputs, weights)
    error = right.relative_error(result)
    timing = measure(session, **loaded.call_arguments(inputs), repeats=repeats)
    if not timing.ok:
        raise FleetposeError(f"timing failed: {timing.error}")
    secs = timing.event_median_secs or timing.wall_median_secs or float("nan")
    return {
        "layer": compiled.workload.label,
        "schedule": compiled.kernel.schedule,
        "tile": compiled.kernel.note,
        "dtype": dtype,
        "sparsity": variant_text(sparsity),
        "macs": layer.macs,
        "fault": right.fault(result, compiled.kernel.choice),
        "max_relative_error": error if np.isfinite(error) else None,
        "event_ms": None if timing.event_median_secs is None else 1e3 * timing.event_median_secs,
        "wall_ms": 1e3 * (timing.wall_median_secs or 0),
        "gflops": 2e-9 * layer.macs / secs,
        "timing": encode(timing),
        "source": compiled.source,
        "tir": compiled.kernel.func.script(),  # type: ignore[attr-defined]
    }


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("codegen.layer", "Compile, check and time one layer on a device.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--conv", type=whole(1, 1 << 16), nargs=4, metavar=("CIN", "COUT", "H", "W"), help="a convolution, H x W input"
    )
    what.add_argument("--model", help=f"{MODEL_HELP}; name the layer with --layer")
    add_trust_flag(parser)
    parser.add_argument("--layer", help="layer of --model")
    parser.add_argument("--size", type=cli.image_size, metavar="HxW", help="input size of --model")
    add_flags(parser, ConvOptions)
    parser.add_argument("--dtype", choices=tuple(ITEM_BYTES), default="float32", help="of activations and weights")
    parser.add_argument(
        "--sparsity", type=parse_variant, metavar="TEXT", help="zeros for the weights, such as block_punched:0.75:8x4"
    )
    parser.add_argument("--device", default="host", help="host or rpc:KEY")
    parser.add_argument("--profile", help="profile name or TOML file, instead of the device's own")
    parser.add_argument("--tuned", metavar="FILE", help="tuned data, or none (default: that of the profile)")
    parser.add_argument("--repeats", type=COUNT, default=20, help="samples")
    parser.add_argument("--seed", type=SEED, default=0, help="seed of the random data")
    parser.add_argument(
        "--max-error",
        type=real(),
        help="largest error, relative to the largest result (default: what rounding explains, element by element)",
    )
    parser.add_argument("--dump", type=Path, metavar="DIR", help="write the OpenCL source there")
    parser.add_argument("--force", action="store_true", help="replace existing files of --dump")
    return parser


def main(arguments: argparse.Namespace) -> int:
    if arguments.model and not arguments.layer:
        raise UsageError("--model needs --layer; python -m codegen.run --layers lists an artifact's layers")
    if arguments.model:
        layer = layer_of_model(arguments.model, arguments.layer, arguments.size)
    else:
        cin, cout, height, width = arguments.conv
        layer = make_conv((cin, cout), (height, width), from_arguments(ConvOptions, arguments))
    if arguments.dump:
        inputs = {"--model": model_files(arguments.model or ""), "--profile": arguments.profile,
                  "--tuned": arguments.tuned}  # fmt: skip
        check_outputs({"--dump": [arguments.dump / name for name in DUMPED]}, inputs, force=arguments.force)
        make_folder(arguments.dump)
    with open_device(arguments.device, arguments.profile) as session:
        tuned = load_tuned(session.profile, arguments.tuned)
        result = check_layer(
            layer, session, arguments.seed, arguments.repeats, tuned, arguments.dtype, arguments.sparsity
        )
    texts = [result.pop("source"), result.pop("tir"), json.dumps(result, indent=1)]
    if arguments.dump:
        files = zip((arguments.dump / name for name in DUMPED), map(text_bytes, texts), strict=True)
        write_together(dict(files), force=True)
    if arguments.json:
        cli.print_json(result)
    else:
        kernel = "" if result["event_ms"] is None else f"{result['event_ms']:.3f} ms kernel, "
        print(
            f"{result['layer']}: {result['schedule']} {result['tile']}, {kernel}{result['wall_ms']:.3f} ms wall, "
            f"{result['gflops']:.1f} GFLOP/s, error {result['max_relative_error']}"
        )
    if (fault := _fault(result, arguments.max_error)) is not None:
        print(fault, file=sys.stderr)
        return 1
    return 0


def _fault(result: dict[str, Any], max_error: float | None) -> str | None:
    """What is wrong with a checked layer, by the bound that was given or by what rounding explains."""
    if max_error is None:
        return result["fault"]
    error = result["max_relative_error"]
    return f"the error is above {max_error:g}" if error is None or error > max_error else None


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
