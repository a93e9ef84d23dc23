"""`models.depth` with latency measured on a device: `python -m codegen.depth`."""

from __future__ import annotations

import argparse
import sys

from codegen.graph_latency import measured_latency
from devices import open_device
from devices.opening import check_runs_kernels
from fleetpose import cli
from models import depth


def make_parser() -> argparse.ArgumentParser:
    parser = depth.make_parser("codegen.depth")
    parser.add_argument("--device", default="host", help="host or rpc:KEY: where every network is timed")
    parser.add_argument("--profile", help="profile name or TOML file, instead of the device's own")
    return parser


def main(arguments: argparse.Namespace) -> int:
    check_runs_kernels(arguments.device)
    with open_device(arguments.device, arguments.profile) as session:
        return depth.main(arguments, measured_latency(session))


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
