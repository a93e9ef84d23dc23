"""What the operating system says of a file that cannot be written, in one line with the mend.

Native libraries have words of their own for a full disk, or end the process; what they write goes to memory first, and
from there to the disk by Python, whose errors come here.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fleetpose.errors import UsageError

#: errors that are of the disk or of a name, and how a person mends each
_MENDS = {
    errno.ENOSPC: "free some space there, or write to another disk",
    errno.EDQUOT: "free some of your quota there, or write to another disk",
    errno.EFBIG: "raise the limit (ulimit -f), or write to another file system",
    errno.EROFS: "write to another folder",
    errno.EACCES: "write to a folder that you may write to",
    errno.EPERM: "write to a folder that you may write to",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ELOOP: "the links lead in a circle; give another name",
    errno.EIO: "the disk may be damaged; write to another one",
    errno.ESTALE: "the network's folder has changed; try again",
}
#: those of them that only a disk has, so that a foreign text that quotes one is about a disk
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
#: how the names of folders for temporary files begin; `fleetpose.disk.temporaries` makes them
WORK_FOLDER = "fleetpose-work-"


class CannotWrite(UsageError):
    """The system refuses a file. It is never the fault of a kernel that was to be compiled, timed or sent."""


def is_disk_error(error: BaseException) -> bool:
    """Whether an error is the disk's, or that of a name, and not a fault of the program or of a connection."""
    return isinstance(error, OSError) and error.errno in _MENDS and not isinstance(error, ConnectionError)


def reason_and_mend(error: OSError) -> str:
    """ "No space left on device; free some space there, ...": the system's words, and ours for the mend."""
    mend = _MENDS.get(error.errno or 0)
    words = error.strerror or str(error) or type(error).__name__
    return f"{words}; {mend}" if mend else words


def write_error(path: Path | str, error: OSError) -> CannotWrite:
    """The error for an output that cannot be written. It names the file that failed, where that is another one."""
    culprit = f"{error.filename}: " if error.filename is not None and str(error.filename) != str(path) else ""
    temporary = any(part.startswith("fleetpose-") for part in Path(path).parent.parts)
    mend = "; TMPDIR says where temporary files go" if temporary else ""
    named = f"{str(path)[:60]}..." if error.errno == errno.ENAMETOOLONG else path
    return CannotWrite(f"cannot write {named}: {culprit}{reason_and_mend(error)}{mend}")


@contextmanager
def naming_output(path: Path | str, written: Path | None = None) -> Iterator[None]:
    """Turn the system's errors inside into a CannotWrite that names an output; those of connections pass.

    Args:
        path: the output, as the user calls it.
        written: the file that is written in its place, which errors need not name.
    """
    try:
        yield
    except (ConnectionError, TimeoutError):
        raise
    except OSError as error:
        if str(written or path) in map(str, (error.filename, error.filename2)):  # of a copy the source comes first
            error.filename = None
        raise write_error(path, error) from error


def full_disk_in(text: str) -> OSError | None:
    """The error that a foreign program's text quotes, where it is that of a full or read-only disk."""
    quoted = (number for number in _FULL if os.strerror(number).lower() in text.lower())
    return next((OSError(number, os.strerror(number)) for number in quoted), None)


def refusal(folder: Path, size: int = 1 << 20) -> OSError | None:
    """What the system says when a file of `size` bytes is written into a folder; None where it takes it.

    For libraries that say no more than that something went wrong, or nothing at all.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(size))
    except OSError as error:
        return error
    return None


def is_text(name: Path | str) -> bool:
    """Whether a name is UTF-8; native libraries take no other, and OpenCV ends the process at one."""
    try:
        str(name).encode()
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def text_name(path: Path) -> Iterator[Path]:
    """Yield a name that is UTF-8 for a file to be read: its own, or that of a descriptor. Raises OSError."""
    if is_text(path):
        yield path
        return
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)


def check_text(name: Path | str, what: str) -> None:
    """Raise UsageError for a name that is not UTF-8, where `what` is read or written by a library that takes no other.

    Args:
        what: in words, such as "the video".
    """
    if not is_text(name):
        raise UsageError(f"{what} {shown(name)} has a name that is not UTF-8; rename it, or its folder")


def shown(text: Path | str) -> str:
    r"""A text as it can be printed anywhere that takes UTF-8: for bytes of a name that are not stands "\udcff"."""
    return str(text).encode(errors="backslashreplace").decode()
