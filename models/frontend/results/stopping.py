"""Modules whose Python depends on data (if, for, .item(), .numpy()): exported up to the first place where it does.

torch.export cannot follow such a module. Where all of its weights were read before that place, what follows is
post-processing: the module is exported once more, stopped there, and gives what it asked of and what is not read yet.
"""

from __future__ import annotations

import io
import logging
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from models.frontend.results.failing import silent_torch
from models.frontend.results.forwarding import other_forward

_PREFIX = "stopped|"
#: functions that bring numbers to Python, or make tensors of a shape that numbers tell
_STOPS = {
    *("item", "__bool__", "__int__", "__float__", "__index__", "tolist", "numpy", "__array__"),
    *("nonzero", "argwhere", "masked_select", "unique", "nms"),
}


@dataclass(frozen=True)
class Stop:
    """Where a module was stopped: before the function `op`, in the line `line` of its source ("net.py:12" or "")."""

    op: str
    line: str


class _Stopped(Exception):
    """Ends a module's forward where it depends on data."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop.op)
        self.stop = stop


class _Watch(TorchFunctionMode):
    """Follows what depends on the input, and stops where Python wants to know its numbers."""

    def __init__(self, inputs: Any) -> None:
        super().__init__()
        self.varying: dict[int, torch.Tensor] = {id(leaf): leaf for leaf in _tensors(inputs)}
        self.unread: dict[int, torch.Tensor] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        read = [leaf for leaf in _tensors((args, kwargs)) if id(leaf) in self.varying]
        name = getattr(func, "__name__", "")
        if read and name in _STOPS:
            self.unread |= {id(leaf): leaf for leaf in read}
            raise _Stopped(Stop(name.strip("_"), _source_line()))
        result = func(*args, **(kwargs or {}))
        if read:
            results = {id(leaf): leaf for leaf in _tensors(result)}
            self.varying |= results
            self.unread |= results
            for leaf in read:
                if id(leaf) not in results:
                    self.unread.pop(id(leaf), None)
        return result


def export_until_data(module: nn.Module, example: torch.Tensor) -> ExportedProgram | None:
    """`module`, in eval mode, exported to where its Python depends on data; None where that is not its end."""
    try:
        with _stopping(module), torch.no_grad(), quiet_export():
            program = torch.export.export(module, (example,), strict=False)
    except Exception:  # torch.export documents no base class for what it raises
        return None
    return program if _reads_all_weights(program) else None


@contextmanager
def quiet_export() -> Iterator[None]:
    """No warnings of torch.export, nor the graphs that it logs and prints where it fails."""
    log = logging.getLogger("torch.fx.experimental.symbolic_shapes")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()), silent_torch():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def stop_of(names: list[str]) -> Stop | None:
    """Where a program was stopped, which the names of its outputs tell."""
    if not names or not all(name.startswith(_PREFIX) for name in names):
        return None
    _, op, line, _ = names[0].split("|")
    return Stop(op, line)


@contextmanager
def _stopping(module: nn.Module) -> Iterator[None]:
    """For a while `module` returns, by name, what it had when it was stopped."""
    forward: Callable[..., Any] = module.forward

    def run(*args: Any, **named: Any) -> Any:
        watch = _Watch((args, named))
        try:
            with watch:
                return forward(*args, **named)
        except _Stopped as stopped:
            stop = stopped.stop
            _leave_modules(stopped)
        tensors = [leaf for leaf in watch.unread.values() if leaf.numel()]
        return {f"{_PREFIX}{stop.op}|{stop.line}|{number}": leaf for number, leaf in enumerate(tensors)}

    with other_forward(module, run):
        yield


def _leave_modules(stopped: _Stopped) -> None:
    """Have torch's tracer leave the modules that a stop came through, which it does not do at an exception."""
    for frame, _ in traceback.walk_tb(stopped.__traceback__):
        open_modules = getattr(frame.f_locals.get("self"), "module_stack", None)
        if frame.f_code.co_name == "call_module" and isinstance(open_modules, dict):
            open_modules.pop(frame.f_locals.get("module_key"), None)


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _source_line() -> str:
    others = (str(Path(torch.__file__).parent), str(Path(__file__).parent), "<")
    frames = [frame for frame in traceback.extract_stack() if not frame.filename.startswith(others)]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def _reads_all_weights(program: ExportedProgram) -> bool:
    """Whether every weight of several axes is read: no layer follows where the program was stopped."""
    nodes = {node.name: node for node in program.graph.nodes}
    return all(
        nodes[spec.arg.name].users
        for spec in program.graph_signature.input_specs
        if spec.kind is InputKind.PARAMETER and spec.target and program.state_dict[spec.target].ndim > 1
    )
