"""What a stream can show: whether it is a terminal that draws, whether it has colours, and a verdict in colour.

Pipes and files get neither colours nor lines that move, nor does TERM=dumb; NO_COLOR (https://no-color.org) turns off
colours alone.
"""

from __future__ import annotations

import os
import sys
from typing import TextIO

_RESET = "\033[0m"
#: colours of `tint`
_COLOURS = {"green": "\033[32m", "yellow": "\033[33m", "red": "\033[31m"}


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
    return text if good is None else tint(text, "green" if good else "red", stream)


def tint(text: str, colour: str, stream: TextIO | None = None) -> str:
    """`text` in "green", "yellow" or "red", or as it is for ""; the rest as in `verdict`."""
    return f"{_COLOURS[colour]}{text}{_RESET}" if colour and has_colours(stream or sys.stdout) else text
