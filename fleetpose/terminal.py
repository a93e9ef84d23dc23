"""What a stream can show: whether it is a terminal that draws, whether it has colours, and a verdict in colour.

Pipes and files get neither colours nor lines that move, nor does TERM=dumb; NO_COLOR (https://no-color.org) turns off
colours alone.
"""

from __future__ import annotations

import os
import sys
from typing import TextIO

_GREEN, _RED, _RESET = "\033[32m", "\033[31m", "\033[0m"


def draws(stream: TextIO) -> bool:
    """Whether a line of the stream can be drawn again in place."""
    try:
        return stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
    except ValueError:  # closed
        return False


def has_colours(stream: TextIO) -> bool:
    """Whether colours are wanted there."""
    return draws(stream) and not os.environ.get("NO_COLOR")


def verdict(text: str, good: bool | None, stream: TextIO | None = None) -> str:
    """`text` in green where it is good and in red where it is bad, if the stream it is for has colours.

    Args:
        text: one line.
        good: None for what is neither.
        stream: that the text will be written to (default: stdout).
    """
    if good is None or not has_colours(stream or sys.stdout):
        return text
    return f"{_GREEN if good else _RED}{text}{_RESET}"
