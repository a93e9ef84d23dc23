"""Reading videos and cameras, and writing videos, with OpenCV. Knows nothing of people or networks."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fleetpose.disk.reading import check_file
from fleetpose.disk.refusals import check_text, reason_and_mend, refusal
from fleetpose.errors import FleetposeError, UsageError
from fleetpose.files import atomic_output, target_of

log = logging.getLogger("fleetpose.video")

#: Suffix of a video written -> the codecs that are tried, in turn. Without licences OpenCV's wheels write no H.264.
CODECS = {".mp4": ("mp4v", "avc1"), ".mov": ("mp4v", "avc1"), ".mkv": ("mp4v", "MJPG"), ".avi": ("MJPG", "XVID")}
#: Suffixes of pictures, which OpenCV would take for the first of a numbered sequence.
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".jp2", ".avif", ".ppm", ".pgm", ".exr", ".hdr")
#: Frames per second of a source that does not say, or says what cannot be.
_USUAL_FPS = 30.0
#: Seconds for which a live picture is repeated in a video, at most, until the next one comes.
_LONGEST_STILL_SECS = 2.0


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a video.

    number: from 0. secs: since the first frame; grows strictly. image: (H, W, 3) uint8 BGR.
    """

    number: int
    secs: float
    image: np.ndarray


class VideoReader:
    """A video file, a URL ("rtsp://...") or a camera's index ("0"); iterate over its frames, once.

    Attributes:
        live: the source goes on whether it is read or not, and has no end: a camera, or a URL behind which there is no
            recording, of which the number of frames would be known.
        fps: nominal frames per second. frames: how many there are, by the file's own account; 0 if it does not say.
        size: (height, width) of all frames: a later one of another size is scaled to the first.

    Raises:
        UsageError: no such file or camera, or nothing in it that OpenCV can decode.
    """

    def __init__(self, source: str) -> None:
        _silence_opencv()
        self.source = source
        check_text(source, "the video")
        camera, url = is_camera(source), "://" in source
        if not (camera or url):
            _check_file(Path(source))
        self._capture = _open(source, camera)
        opened, first = _read(self._capture) if self._capture.isOpened() else (False, None)
        if not opened or first is None:
            self.close()
            raise UsageError(_no_camera(source) if camera else f"{source:.200} is not a video that OpenCV can decode")
        self._first: np.ndarray = first
        self._started = time.monotonic()
        self._first_ms = self._capture.get(cv2.CAP_PROP_POS_MSEC)
        fps, frames = self._capture.get(cv2.CAP_PROP_FPS), self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.fps = fps if 0.5 <= fps <= 1000 else _USUAL_FPS
        self.frames = int(frames) if 0 < frames < 1e9 else 0
        self.live = camera or (url and not self.frames)
        self.size = (first.shape[0], first.shape[1])

    def __iter__(self) -> Iterator[Frame]:
        image: np.ndarray | None = self._first
        number, secs = 0, 0.0
        while image is not None:
            yield Frame(number, secs, image)
            read, image = _read(self._capture)
            if not read or image is None:
                return
            if image.shape[:2] != self.size:
                image = cv2.resize(image, self.size[::-1], interpolation=cv2.INTER_AREA)
            number, secs = number + 1, self._secs_after(secs)

    def _secs_after(self, before: float) -> float:
        """Time of the frame just read: by the clock if live, else by its time stamp, where that makes sense."""
        if self.live:
            return max(time.monotonic() - self._started, before + 1e-6)
        stamp = (self._capture.get(cv2.CAP_PROP_POS_MSEC) - self._first_ms) / 1e3
        return stamp if math.isfinite(stamp) and before < stamp < before + 60 else before + 1 / self.fps

    def close(self) -> None:
        self._capture.release()

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def is_camera(source: str) -> bool:
    """Whether it is the index of a camera; a file of that name goes first."""
    return source.isascii() and source.isdecimal() and len(source) <= 4 and not Path(source).exists()


def _open(source: str, camera: bool) -> cv2.VideoCapture:
    """OpenCV's reader. Raises UsageError for a picture: OpenCV would look for others that are numbered after it."""
    try:
        capture = cv2.VideoCapture(int(source) if camera else source)
        backend = capture.getBackendName() if capture.isOpened() else ""
    except cv2.error as error:
        raise UsageError(f"{source:.200} is not a video that OpenCV can decode") from error
    if backend in ("CV_IMAGES", "IMAGES"):
        capture.release()
        raise UsageError(f"{source:.200} is a picture, or one of several; --video takes a video, --image a picture")
    return capture


def _read(capture: cv2.VideoCapture) -> tuple[bool, np.ndarray | None]:
    """The next frame. OpenCV raises for some of what cannot be decoded, and answers False for the rest."""
    try:
        return capture.read()
    except cv2.error:
        return False, None


def _check_file(path: Path) -> None:
    try:
        if path.is_dir():
            raise UsageError(f"{path} is a directory; give a video file")
        check_file(path)
    except OSError as error:
        raise UsageError(f"cannot read video {path}: {error.strerror}") from error
    except ValueError as error:  # a NUL, of which no name has one
        raise UsageError(f"--video {str(path)!r:.80} is no name of a file") from error
    if path.suffix.lower() in PICTURES:
        raise UsageError(f"{path.name} is a picture; use --image")


def _no_camera(source: str) -> str:
    there = sorted(path.name for path in Path("/dev").glob("video*"))
    known = f"this machine has /dev/{', /dev/'.join(there)}" if there else "this machine shows none (no /dev/video*)"
    return f"camera {source} gives no pictures; {known}"


class VideoWriter:
    """Writes frames at a constant rate. Made by `video_writer`."""

    def __init__(self, path: Path, size: tuple[int, int], fps: float, follow_clock: bool) -> None:
        _silence_opencv()
        self.path, self.size, self.fps, self.frames = path, size, fps, 0
        self._follow_clock = follow_clock
        self._writer = self._open()

    def _open(self) -> cv2.VideoWriter:
        for codec in CODECS[self.path.suffix.lower()]:
            writer = cv2.VideoWriter(str(self.path), cv2.VideoWriter.fourcc(*codec), self.fps, self.size[::-1])
            if writer.isOpened():
                return writer
        mend = "" if self.path.suffix.lower() == ".avi" else "; give -o NAME.avi"
        height, width = self.size
        raise UsageError(f"OpenCV writes no {self.path.suffix} of {width}x{height} pixels here{mend}")

    def write(self, image: np.ndarray, secs: float) -> None:
        """Append (H, W, 3) uint8 BGR; live pictures as often as it takes for the video to play at the true speed."""
        times = 1
        if self._follow_clock:
            due = round(secs * self.fps) + 1 - self.frames
            times = min(max(due, 0 if self.frames else 1), math.ceil(_LONGEST_STILL_SECS * self.fps))
        for _ in range(times):
            self._writer.write(image)
        self.frames += times

    def finish(self) -> None:
        """Close the file. Raises FleetposeError if what was written cannot be read back: OpenCV reports no errors."""
        self._writer.release()
        check = cv2.VideoCapture(str(self.path))
        frames = int(check.get(cv2.CAP_PROP_FRAME_COUNT)) if check.isOpened() else 0
        check.release()
        # Some containers tell their length only as a time, from which frames are guessed.
        if frames < 0.99 * self.frames - 1:
            refused = refusal(self.path.parent)
            why = f": {reason_and_mend(refused)}" if refused is not None else "; is the disk full?"
            raise FleetposeError(f"only {frames} of {self.frames} frames could be written{why}")


def check_suffix(path: Path) -> None:
    """Raises UsageError for a name whose suffix is none of `CODECS`, or in a folder that OpenCV cannot write to."""
    if path.suffix.lower() not in CODECS:
        raise UsageError(f"{path.name}: videos are written as {', '.join(CODECS)}")
    check_text(target_of(path).parent, "the folder")  # the name itself may be anything


@contextmanager
def video_writer(path: Path, like: VideoReader, force: bool = False) -> Iterator[VideoWriter]:
    """A VideoWriter for a video as `like`; the file appears when the block is left, and not at all after an error.

    Raises:
        UsageError: `path` exists (without `force`), cannot be written, or has a suffix OpenCV does not write.
    """
    check_suffix(path)
    with atomic_output(path, force=force) as temporary:
        writer = VideoWriter(temporary, like.size, like.fps, follow_clock=like.live)
        yield writer
        try:
            writer.finish()
        except FleetposeError as error:
            raise FleetposeError(f"{path}: {error}") from error


def _silence_opencv() -> None:
    """OpenCV and FFmpeg write of every oddity to stderr; what matters is in our errors. Set variables are kept.

    FFmpeg's is read once, when a process first opens a video.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    logging_of_cv2 = getattr(cv2.utils, "logging", None)
    if logging_of_cv2 is not None and "OPENCV_LOG_LEVEL" not in os.environ:
        logging_of_cv2.setLogLevel(logging_of_cv2.LOG_LEVEL_SILENT)
