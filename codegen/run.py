"""Run an artifact on a photograph or a video: `python -m codegen.run`. Imports neither torch nor TVM's compiler."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codegen.artifact.breakdown import Breakdown, break_down
from codegen.artifact.follow import FollowedVideo, FollowSettings, follow_video
from codegen.artifact.loaded import Artifact
from codegen.artifact.pose import PoseResult, check_pose, find_people, prepare
from codegen.artifact.video import VideoReader, check_suffix
from devices import open_device
from devices.opening import check_runs_kernels
from devices.rpc import lean
from devices.timing.measure import measure
from devices.timing.measurement import Measurement
from fleetpose import cli
from fleetpose.codec import encode
from fleetpose.errors import FleetposeError, UsageError
from fleetpose.files import check_writable
from fleetpose.progress import status
from models.pose.drawing.draw import draw_people, write_picture
from models.preprocess import read_image

PICTURES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class PhotographRun:
    """What an artifact made of a photograph; `timing` and `breakdown` where they were asked for."""

    result: PoseResult
    timing: Measurement | None = None
    breakdown: Breakdown | None = None


def run_photograph(
    artifact: Artifact, image: np.ndarray, people: bool = True, repeats: int = 10, layers: bool = False
) -> PhotographRun:
    """Find the people in a photograph, and see where the time goes.

    Args:
        image: (H, W, 3) uint8 BGR.
        people: False: time the network only, whatever its outputs are.
        repeats: timed runs; 0 for none.
        layers: time every layer, too.

    Raises:
        FleetposeError: the timing failed.
    """
    tensor, placement = prepare(artifact.manifest, image)
    result = find_people(artifact, image) if people else PoseResult([], placement.input_size, None)
    timing = measure(artifact.session, **artifact.call_arguments(tensor), repeats=repeats) if repeats else None
    breakdown = break_down({"": artifact}, tensor)[""] if layers else None
    if timing is not None and not timing.ok:
        raise FleetposeError(f"timing failed: {timing.error}")
    return PhotographRun(result, timing, breakdown)


def about(artifact: Artifact, input_size: tuple[int, int]) -> dict[str, Any]:
    """What a photograph's and a video's JSON object begin with."""
    return {
        "artifact": str(artifact.path),
        "model": artifact.manifest.model,
        "device": encode(artifact.session.info),
        "input_size": list(input_size),
    }


def photograph_report(artifact: Artifact, run: PhotographRun) -> dict[str, Any]:
    """Everything a run on a photograph showed, as one JSON object."""
    result = run.result
    return {
        **about(artifact, result.input_size),
        "people": [person.to_coco(0) for person in result.people],
        "decode_ms": None if result.decode_secs is None else 1e3 * result.decode_secs,
        "timing": encode(run.timing),
        **(layers_report(run.breakdown) if run.breakdown else {"layers": []}),
    }


def layers_report(breakdown: Breakdown) -> dict[str, Any]:
    """Where an inference's time goes, as JSON values; the parts add up to "wall_ms"."""
    wall_ms = 1e3 * breakdown.wall_secs
    return {
        "layers": [
            {"layer": layer.code.layer, "kernels": layer.code.kernels, "schedule": layer.code.schedule,
             "ms": 1e3 * layer.secs}
            for layer in breakdown.layers()
        ],
        "gaps_ms": breakdown.gap_share * wall_ms,
        "outside_ms": breakdown.outside_share * wall_ms,
        "wall_ms": wall_ms,
    }  # fmt: skip


def video_report(
    artifact: Artifact, video: VideoReader, result: FollowedVideo, out: Path | None, smooth: bool
) -> dict[str, Any]:
    """Everything a run on a video showed, as one JSON object; "people" is COCO's result format."""
    return {
        **about(artifact, result.input_size),
        "video": {"source": video.source, "size": list(video.size), "fps": video.fps, "frames": video.frames or None},
        "out": str(out) if out else None,
        "smooth": smooth,
        "interrupted": result.interrupted,
        "secs": result.secs,
        "identities": len(result.identities),
        "frames": result.frames,
        "people": result.people,
    }


def print_layers(breakdown: Breakdown) -> None:
    """The per-layer table: times by OpenCL events, the share of the wall time, and what is no layer."""
    wall_ms = 1e3 * breakdown.wall_secs
    layers, rows = breakdown.layers(), []
    for layer in layers:
        code = layer.code
        shape = "x".join(map(str, code.out_shape))
        rate = f"{2e-9 * code.macs / layer.secs:.1f}" if code.macs and layer.secs else ""
        rows.append(
            (code.layer, code.schedule, code.tile, shape, f"{code.macs / 1e6:.1f}", f"{1e3 * layer.secs:.3f}",
             f"{1e5 * layer.secs / wall_ms:.1f}", rate)
        )  # fmt: skip
    cli.print_table(("layer", "schedule", "tile", "output", "MMACs", "ms", "%", "GFLOP/s"), rows)
    parts = (breakdown.kernel_share, breakdown.gap_share, breakdown.outside_share)
    kernels, gaps, outside = (f"{part * wall_ms:.2f} ms" for part in parts)
    print(f"{wall_ms:.2f} ms by the wall clock: {kernels} in layers' kernels, {gaps} between them, {outside} outside")


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
    parser.add_argument("--names", action="store_true", help="write the names of joints beside them in what is drawn")
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
        return _follow(arguments)
    _check_image_flags(arguments)
    image = read_image(arguments.image)
    with open_device(arguments.device) as session:
        artifact = Artifact(arguments.artifact, session)
        if not arguments.no_people:  # times are to be had of any network
            check_pose(artifact.manifest)
        run = run_photograph(artifact, image, not arguments.no_people, arguments.repeats, arguments.layers)
    if arguments.out:
        drawn = draw_people(image, run.result.people, names=arguments.names)
        write_picture(arguments.out, drawn, force=arguments.force)
    if arguments.json:
        cli.print_json(photograph_report(artifact, run))
    else:
        print_photograph(artifact, run, arguments.out)
    return 0


def _follow(arguments: argparse.Namespace) -> int:
    """The command with --video. Its status is 130 if a file was not read to its end because of Ctrl-C."""
    _check_video_flags(arguments)
    out, smooth = arguments.out, not arguments.no_smooth
    with VideoReader(arguments.video) as video, open_device(arguments.device) as session:
        artifact = Artifact(arguments.artifact, session)
        check_pose(artifact.manifest)
        with status(video.source) as progress:
            settings = FollowSettings(smooth, arguments.max_frames, arguments.json, arguments.names)
            result = follow_video(artifact, video, settings, out, arguments.force, progress)
    if arguments.json:
        cli.print_json(video_report(artifact, video, result, out, smooth))
    else:
        print_video(artifact, video.source, result, out)
    if result.interrupted:
        print(f"interrupted after {len(result.frames)} frames", file=sys.stderr)
    return 130 if result.interrupted and not video.live else 0


def _check_image_flags(arguments: argparse.Namespace) -> None:
    """Raise UsageError for flags that do not fit a photograph, before anything is opened."""
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


def _check_video_flags(arguments: argparse.Namespace) -> None:
    """Raise UsageError for flags that do not fit a video, before anything is opened."""
    for flag in ("layers", "no_people"):
        if getattr(arguments, flag):
            raise UsageError(f"--{flag.replace('_', '-')} goes with --image, not with --video")
    if arguments.max_frames is not None and arguments.max_frames < 1:
        raise UsageError(f"--max-frames {arguments.max_frames} is not positive")
    if arguments.out:
        check_suffix(arguments.out)
        if arguments.out.exists() and arguments.out.resolve() == Path(arguments.video).resolve():
            raise UsageError(f"-o {arguments.out} is the video itself; give another name")
        check_writable(arguments.out, force=arguments.force)


def _print_network(artifact: Artifact, input_size: tuple[int, int]) -> None:
    print(f"{artifact.manifest.model} at {input_size[0]}x{input_size[1]} on {artifact.session.info.name}")


def print_photograph(artifact: Artifact, run: PhotographRun, out: Path | None) -> None:
    """A run on a photograph, for people."""
    if run.breakdown:
        print_layers(run.breakdown)
    _print_network(artifact, run.result.input_size)
    if run.timing:
        wall, event = 1e3 * (run.timing.wall_median_secs or 0), run.timing.event_median_secs
        kernels = "" if event is None else f", {1e3 * event:.1f} ms of it in kernels"
        print(f"network: {wall:.1f} ms{kernels} (median of {len(run.timing.wall_secs)} runs)")
    if run.result.decode_secs is not None:
        count, decode_ms = len(run.result.people), 1e3 * run.result.decode_secs
        print(f"{count} {'person' if count == 1 else 'people'} found; decoding took {decode_ms:.1f} ms")
        if out:
            print(f"picture: {out}")


def print_video(artifact: Artifact, source: str, result: FollowedVideo, out: Path | None) -> None:
    """A run on a video, for people."""
    frames, secs = len(result.frames), result.secs
    _print_network(artifact, result.input_size)
    print(f"{frames} frames of {source} in {secs:.1f} s: {frames / secs:.1f} fps, reading and drawing included")
    find_ms, decode_ms = (result.median(name) for name in ("find_ms", "decode_ms"))
    print(f"one frame to people: {find_ms:.1f} ms, decoding {decode_ms:.1f} ms (medians)")
    mean = sum(frame["people"] for frame in result.frames) / frames
    print(f"{len(result.identities)} identities, {mean:.1f} people in a frame")
    if out:
        print(f"video: {out}")


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
