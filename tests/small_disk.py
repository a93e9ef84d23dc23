"""A disk of a few kilobytes: a tmpfs in a mount namespace of its own, for which no rights are needed on most systems.

Where it cannot be had, tests are skipped with the reason. What lies there vanishes with the last process that sees it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

#: what to put before a command that mounts disks itself
NAMESPACE = ("unshare", "-rm")
#: mounts the disk, and becomes the command behind the first two words
MOUNT = 'mount -t tmpfs -o size="$1" none "$2" && shift 2 && exec "$@"'


@functools.cache
def refusal() -> str:
    """Why there can be no such disk here; "" where there can."""
    try:
        done = subprocess.run([*command("64k", Path("/tmp")), "true"], capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return done.stderr.strip() or "mount fails" if done.returncode else ""


def command(size: str, folder: Path) -> list[str]:
    """What to put before a command so that `folder` is a disk of that size, such as "64k", for it and its children."""
    return [*NAMESPACE, "sh", "-c", MOUNT, "sh", size, str(folder)]


@contextlib.contextmanager
def file_limit(size: int) -> Iterator[None]:
    """Let files of this process grow to so many bytes inside; more of them is an OSError, as Python ignores SIGXFSZ."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def need() -> None:
    """Skip the test where there can be no such disk."""
    if refusal():
        pytest.skip(f"no small disk can be mounted here: {refusal()}")


def run_python(code: str, size: str, folder: Path, *arguments: object, **variables: str) -> subprocess.CompletedProcess:
    """Run Python code where `folder` is a small disk; `arguments` are its sys.argv[1:]."""
    words = [*command(size, folder), sys.executable, "-c", code, *map(str, arguments)]
    environment = {**os.environ, **variables}
    return subprocess.run(words, capture_output=True, text=True, check=False, env=environment, timeout=900)
