"""Run an artifact on a photograph or a video: `python -m codegen.run`. Imports neither torch nor TVM's compiler."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from codegen.artifact.device_fit import add_artifact
from codegen.artifact.follow import FollowSettings, follow_video
from codegen.artifact.loaded import Artifact
from codegen.artifact.photograph import run_on, run_photograph
from codegen.artifact.pose import check_pose
from codegen.artifact.reports import photograph_report, print_photograph, print_video, video_report
from codegen.artifact.video import VideoReader, check_suffix
from devices import open_device
from devices.opening import check_runs_kernels
from devices.rpc import lean
from fleetpose import cli
from fleetpose.errors import UsageError
from fleetpose.options import COUNT, POSITIVE, whole
from fleetpose.outputs import check_outputs
from fleetpose.progress import status
from models.pose.drawing.draw import check_picture, draw_people, write_picture
from models.preprocess import read_image

PICTURES = (".png", ".jpg", ".jpeg", ".webp")


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("codegen.run", "Find the people in a photograph, or follow them through a video.")
    add_artifact(parser)
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
    image.add_argument("--repeats", type=whole(), default=10, help="how many runs are timed; 0 for none")
    image.add_argument("--sustained", type=POSITIVE, metavar="MINUTES",
                       help="run on for so many minutes and tell the first of them from the last (10)")  # fmt: skip
    video = parser.add_argument_group("with --video")
    video.add_argument("--no-smooth", action="store_true", help="draw keypoints as found, not steadied over frames")
    video.add_argument("--max-frames", type=COUNT, help="stop after this many frames (default: at the end)")
    return parser


def main(arguments: argparse.Namespace) -> int:
    lean.without_compiler()
    check_runs_kernels(arguments.device)
    if arguments.video is not None:
        return _follow(arguments)
    _check_image_flags(arguments)
    image = read_image(arguments.image)
    if arguments.out:
        check_picture(arguments.out, image.shape[:2])
    with open_device(arguments.device) as session:
        artifact = Artifact(arguments.artifact, session, arguments.force_device)
        if not arguments.no_people:  # times are to be had of any network
            check_pose(artifact.manifest)
        run = run_photograph(artifact, image, not arguments.no_people, arguments.repeats, arguments.layers)
        if arguments.sustained is not None:
            with status(arguments.image.name) as progress:
                run = replace(run, sustained=run_on(artifact, image, arguments.sustained, progress))
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
        artifact = Artifact(arguments.artifact, session, arguments.force_device)
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
    if arguments.out and arguments.no_people:
        raise UsageError("--no-people draws nothing; leave out -o")
    if arguments.out:
        _check_files(arguments)
        if arguments.out.suffix.lower() not in PICTURES:
            raise UsageError(f"{arguments.out.name}: pictures are written as {', '.join(PICTURES)}")


def _check_video_flags(arguments: argparse.Namespace) -> None:
    """Raise UsageError for flags that do not fit a video, before anything is opened."""
    for flag in ("layers", "no_people", "sustained"):
        if getattr(arguments, flag):
            raise UsageError(f"--{flag.replace('_', '-')} goes with --image, not with --video")
    if arguments.out:
        check_suffix(arguments.out)
        _check_files(arguments)


def _check_files(arguments: argparse.Namespace) -> None:
    """Raise UsageError for an output that cannot be written, or would replace what is read or exists."""
    inputs = {"--image": arguments.image, "--video": arguments.video}
    check_outputs({"-o": arguments.out}, inputs, force=arguments.force)


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
