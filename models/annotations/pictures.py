"""Files of photographs before work begins: whether they are there and whole, and how large the pictures are."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from fleetpose.disk.reading import only_files
from fleetpose.errors import UsageError

#: EXIF's tag that says how a picture has to be turned to be upright
_ORIENTATION = 0x0112
#: The first bytes of a format -> the last ones, behind which some cameras and tools put a little more, and its name.
_ENDS = {b"\xff\xd8": (b"\xff\xd9", "JPEG"), b"\x89PNG\r\n\x1a\n": (b"IEND\xaeB`\x82", "PNG")}
_TAIL_BYTES = 1 << 16

# Pillow tells every marker that it meets to whoever logs at -vv.
logging.getLogger("PIL").setLevel(logging.INFO)


@dataclass(frozen=True)
class StoredPicture:
    """What the head of a picture's file says.

    size: (height, width) of the pixels as they are stored. orientation: EXIF's, 1 to 8; 1 is upright.
    """

    size: tuple[int, int]
    orientation: int


def read_head(path: Path) -> StoredPicture | None:
    """A picture's size and orientation, its pixels not decoded; None of a format that Pillow does not know."""
    try:
        with warnings.catch_warnings(), Image.open(path) as picture:
            warnings.simplefilter("ignore")  # of odd EXIF, and of pictures that would take much memory
            known = picture.format != "PNG" or "exif" in picture.info  # else Pillow would decode all to look behind it
            orientation = picture.getexif().get(_ORIENTATION, 1) if known else 1
            return StoredPicture((picture.height, picture.width), orientation if orientation in range(2, 9) else 1)
    except Exception:  # Pillow's readers raise what they like; OpenCV, which reads the picture, has the say
        return None


def check_whole(path: Path) -> None:
    """Raise UsageError for a file that is missing or empty, and for a JPEG or PNG whose end is missing.

    OpenCV would fill what is missing with grey.
    """
    try:
        with open(path, "rb", opener=only_files) as stream:
            start = stream.read(8)
            size = stream.seek(0, 2)
            stream.seek(max(0, size - _TAIL_BYTES))
            tail = stream.read()
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if not size:
        raise UsageError(f"{path} is empty; remove it or fetch it again")
    for beginning, (end, kind) in _ENDS.items():
        if start.startswith(beginning) and end not in tail:
            raise UsageError(f"{path} is a truncated {kind} ({size} bytes); remove it or fetch it again")
