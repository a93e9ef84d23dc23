"""`models.replace` with latency measured on a device, which then decides: `python -m codegen.replace`."""

from __future__ import annotations

import argparse
import sys

from codegen.graph_latency import measured_latency
from devices import open_device
from devices.opening import check_runs_kernels
from fleetpose import cli
from models.replace import __main__ as replace


def make_parser() -> argparse.ArgumentParser:
    parser = replace.make_parser("codegen.replace")
    parser.add_argument("--device", default="host", help="host or rpc:KEY: where every replacement is timed")
    parser.add_argument("--profile", help="profile name or TOML file, instead of the device's own")
    return parser


def main(arguments: argparse.Namespace) -> None:
    check_runs_kernels(arguments.device)
    replace.check(arguments)
    with open_device(arguments.device, arguments.profile) as session:
        replace.main(arguments, measured_latency(session))


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
