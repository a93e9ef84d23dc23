"""Flags that several commands of this package share."""

from __future__ import annotations

import argparse

from devices.profile import ITEM_BYTES
from fleetpose.cli import image_size
from fleetpose.options import add_flags
from fleetpose.trust import add_trust_flag
from latency.cost_model.box.shipped import names
from latency.cost_model.fitting import FitOptions
from latency.dataset.foreign.measured_on import MeasuredOn
from latency.dataset.observations import CLOCKS
from models.resolve import MODEL_HELP


def add_network(parser: argparse.ArgumentParser, box: bool = False) -> None:
    """A network and the predictor that is to say its times; with `box` one that comes with the package will do."""
    parser.add_argument("--model", required=True, help=MODEL_HELP)
    add_trust_flag(parser)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--predictor", metavar="FILE", help="what latency.fit wrote")
    if box:
        which.add_argument("--device-model", choices=names(), metavar="NAME",
                           help="a predictor that comes with the package, of others' kernels: "
                           + ", ".join(names()))  # fmt: skip
    parser.add_argument("--size", type=image_size, metavar="HxW", help="input size (default: the model's own)")
    parser.add_argument("--profile", help="profile name or TOML file (default: the predictor's)")
    parser.add_argument("--dtype", choices=tuple(ITEM_BYTES), default="float32", help="of activations and weights")
    parser.add_argument("--tuned", metavar="FILE", help="tuned data, or none (default: that of the profile)")


def origin_of(arguments: argparse.Namespace) -> MeasuredOn:
    """What the flags of `add_data` say of files that do not say where they were measured."""
    return MeasuredOn(arguments.gpu, arguments.data_device)


def add_sparsities(parser: argparse._ActionsContainer) -> None:
    """The sparsities that a decision chooses among; `latency.planning.options.read_sparsities` reads them."""
    parser.add_argument("--sparsity", nargs="+", default=[], metavar="TEXT",
                        help="what layers may have, e.g. columns:0.75:8x1 (default: a set for each)")  # fmt: skip


def add_data(parser: argparse.ArgumentParser) -> None:
    """Measurements, and how a predictor is fitted to them."""
    parser.add_argument(
        "--data", nargs="+", required=True, metavar="FILE",
        help="measurements: JSONL of latency.collect, CSV, or what AutoTVM, MetaSchedule, nn-Meter, LiteRT's "
        "benchmark_model or benchncnn wrote; the content says which, and each may be gzipped",
    )  # fmt: skip
    parser.add_argument(
        "--gpu", default="", metavar="NAME",
        help='the GPU that times are of, where a file does not say it, such as "Adreno 650" or "Mali-G76 MP12"',
    )  # fmt: skip
    parser.add_argument(
        "--data-device", default="", metavar="NAME",
        help="the device that they are of (default: what the file names, or a name made of --gpu)",
    )  # fmt: skip
    parser.add_argument(
        "--where", nargs="+", action="extend", default=[], metavar="COLUMN=VALUE",
        help="rows to take (default: all); several values of one column mean any of them",
    )  # fmt: skip
    parser.add_argument(
        "--clock", choices=CLOCKS, default="auto", help="clock of our records; auto: events where there are any"
    )
    parser.add_argument("--every-op", action="store_true", help="also take pools, joins and so on of CSV tables")
    parser.add_argument(
        "--configurations", action="store_true",
        help="of tuned kernels take every configuration, not the fastest of each layer and kind",
    )  # fmt: skip
    parser.add_argument(
        "--base",
        nargs="+",
        default=[],
        metavar="FILE",
        help="predictors of other devices to adapt to this one: files, or names in the box (see latency.predict)",
    )
    add_flags(parser, FitOptions, ("monotone", "wide", "seed"))
