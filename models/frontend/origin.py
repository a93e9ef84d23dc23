"""Where a node of an exported program comes from: the module, and the line of the model's source."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

import torch
from torch import fx

from models.frontend.refusal import Origin

_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
#: modules of torch's own, also those whose weights are computed, as by a weight norm
_LEAVES = ("torch.nn.modules.", "torch.nn.utils.parametrize.Parametrized")
_TORCH = str(Path(torch.__file__).parent)


def origin_of(node: fx.Node) -> Origin:
    """Where `node` was called; an exported program keeps that through decompositions and files."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path, kind = stack[-1] if stack else ("", "")
    kind = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
    leaf = kind.startswith(_LEAVES)
    return Origin(re.sub(r"@\d+", "", path), leaf, _source_line(node))


def failing_line(error: BaseException) -> str:
    """The innermost line that an exception came through and that is neither torch's nor ours, as "file.py:123"."""
    others = (_TORCH, "<", str(Path(__file__).parents[2] / "models"))
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(others)]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def _source_line(node: fx.Node) -> str:
    """The innermost line that is not torch's own, as "file.py:123"."""
    frames = _FRAME.findall(node.meta.get("stack_trace") or "")
    own = [(file, line) for file, line in frames if not file.startswith((_TORCH, "<"))]
    return f"{Path(own[-1][0]).name}:{own[-1][1]}" if own else ""
