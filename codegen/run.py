"""Run an artifact on a photograph or a video: `python -m codegen.run`. Imports neither torch nor TVM's compiler."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from codegen.artifact import follow
from codegen.artifact.loaded import Artifact, LayerTime
from codegen.artifact.pose import PoseResult, check_pose, find_people, prepare
from codegen.artifact.video import VideoReader
from devices import open_device
from devices.opening import check_runs_kernels
from devices.rpc import lean
from devices.timing.measure import measure
from devices.timing.measurement import Measurement
from fleetpose import cli
from fleetpose.codec import encode
from fleetpose.errors import FleetposeError, UsageError
from fleetpose.files import atomic_output, check_writable
from models.pose.drawing.draw import draw_people
from models.preprocess import read_image

if TYPE_CHECKING:
    from devices.session import Session

PICTURES = (".png", ".jpg", ".jpeg", ".webp")


def write_picture(path: Path, picture: np.ndarray, force: bool = False) -> None:
    """Encode by the path's suffix. Raises UsageError for one OpenCV does not write."""
    with atomic_output(path, force=force) as temporary:
        if not cv2.imwrite(str(temporary), picture):
            raise UsageError(f"cannot write {path}")


def report(
    artifact: Artifact, result: PoseResult, timing: Measurement | None, layers: list[LayerTime]
) -> dict[str, Any]:
    """Everything a run found, as one JSON object."""
    return {
        "artifact": str(artifact.path),
        "model": artifact.manifest.model,
        "device": encode(artifact.session.info),
        "input_size": list(result.input_size),
        "people": [person.to_coco(0) for person in result.people],
        "decode_ms": None if result.decode_secs is None else 1e3 * result.decode_secs,
        "timing": encode(timing),
        "layers": [
            {
                "layer": layer.code.layer,
                "kernels": layer.code.kernels,
                "schedule": layer.code.schedule,
                "ms": 1e3 * layer.secs,
            }
            for layer in layers
        ],
    }


def print_layers(layers: list[LayerTime]) -> None:
    """The per-layer table: times by OpenCL events, and the share of the whole."""
    total = sum(layer.secs for layer in layers)
    rows = []
    for layer in layers:
        code = layer.code
        shape = "x".join(map(str, code.out_shape))
        rate = f"{2e-9 * code.macs / layer.secs:.1f}" if code.macs and layer.secs else ""
        rows.append(
            (code.layer, code.schedule, code.tile, shape, f"{code.macs / 1e6:.1f}", f"{1e3 * layer.secs:.3f}",
             f"{100 * layer.secs / total:.1f}", rate)
        )  # fmt: skip
    cli.print_table(("layer", "schedule", "tile", "output", "MMACs", "ms", "%", "GFLOP/s"), rows)
    print(f"{len(layers)} kernels, {1e3 * total:.2f} ms of kernel time")


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("codegen.run", "Find the people in a photograph, or follow them through a video.")
    parser.add_argument("--artifact", type=Path, required=True, help="the .so written by codegen.build")
    parser.add_argument("--device", default="host", help="host or rpc:KEY")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--image", type=Path, help="a photograph")
    source.add_argument("--video", help="a video file, a stream's URL or a camera's index (0); Ctrl-C ends it")
    parser.add_argument(
        "-o", "--out", type=Path, help="with people drawn: .png, .jpg, .webp, or of a video .mp4, .mov, .mkv, .avi"
    )
    parser.add_argument("--force", action="store_true", help="replace an existing file")
    image = parser.add_argument_group("with --image")
    image.add_argument("--no-people", action="store_true", help="times only: do not decode or draw (random weights)")
    image.add_argument("--layers", action="store_true", help="print a table of the time of every layer")
    image.add_argument("--repeats", type=int, default=10, help="how many runs are timed; 0 for none")
    video = parser.add_argument_group("with --video")
    video.add_argument("--no-smooth", action="store_true", help="draw keypoints as found, not steadied over frames")
    video.add_argument("--max-frames", type=int, help="stop after this many frames (default: at the end)")
    return parser


def main(arguments: argparse.Namespace) -> int:
    lean.without_compiler()
    check_runs_kernels(arguments.device)
    if arguments.video is not None:
        follow.check_arguments(arguments)
        with VideoReader(arguments.video) as video, open_device(arguments.device) as session:
            return follow.run_video(arguments, _load(arguments, session), video)
    _check_image_arguments(arguments)
    image = read_image(arguments.image)
    with open_device(arguments.device) as session:
        _run_image(arguments, _load(arguments, session), image)
    return 0


def _check_image_arguments(arguments: argparse.Namespace) -> None:
    if arguments.no_smooth or arguments.max_frames is not None:
        raise UsageError("--no-smooth and --max-frames go with --video, not with --image")
    if arguments.repeats < 0:
        raise UsageError(f"--repeats {arguments.repeats} is negative")
    if arguments.out and arguments.no_people:
        raise UsageError("--no-people draws nothing; leave out -o")
    if arguments.out:
        check_writable(arguments.out, force=arguments.force)
        if arguments.out.suffix.lower() not in PICTURES:
            raise UsageError(f"{arguments.out.name}: pictures are written as {', '.join(PICTURES)}")


def _load(arguments: argparse.Namespace, session: Session) -> Artifact:
    artifact = Artifact(arguments.artifact, session)
    if arguments.video is not None or not arguments.no_people:  # times are to be had of any network
        check_pose(artifact.manifest)
    return artifact


def _run_image(arguments: argparse.Namespace, artifact: Artifact, image: np.ndarray) -> None:
    tensor, placement = prepare(artifact.manifest, image)
    result = PoseResult([], placement.input_size, None) if arguments.no_people else find_people(artifact, image)
    timing = None
    if arguments.repeats:
        timing = measure(artifact.session, **artifact.call_arguments(tensor), repeats=arguments.repeats)
    layers = artifact.layer_times(tensor) if arguments.layers else []
    if timing is not None and not timing.ok:
        raise FleetposeError(f"timing failed: {timing.error}")
    if arguments.out:
        write_picture(arguments.out, draw_people(image, result.people), force=arguments.force)
    if arguments.json:
        cli.print_json(report(artifact, result, timing, layers))
    else:
        _print(arguments, artifact, result, timing, layers)


def _print(
    arguments: Any, artifact: Artifact, result: PoseResult, timing: Measurement | None, layers: list[LayerTime]
) -> None:
    if layers:
        print_layers(layers)
    height, width = result.input_size
    print(f"{artifact.manifest.model} at {height}x{width} on {artifact.session.info.name}")
    if timing:
        wall, event = 1e3 * (timing.wall_median_secs or 0), timing.event_median_secs
        kernels = "" if event is None else f", {1e3 * event:.1f} ms of it in kernels"
        print(f"network: {wall:.1f} ms{kernels} (median of {len(timing.wall_secs)} runs)")
    if result.decode_secs is not None:
        count = len(result.people)
        print(f"{count} {'person' if count == 1 else 'people'} found; decoding took {1e3 * result.decode_secs:.1f} ms")
        if arguments.out:
            print(f"picture: {arguments.out}")


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
