"""torch's `run_decompositions`, without most of what it does before it looks at the program.

It overrides every composite operator of torch for every kind of device, and asks its dispatcher for all of them once
for each of its two dozen namespaces of operators: half of the time of tracing a small network. Here it asks once, and
overrides for the devices that the program's tensors lie on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

import torch
import torch._export.utils
import torch.export.exported_program
from torch.export import ExportedProgram

#: of torch.export.exported_program: the dispatch keys for which it overrides operators
KEY_LISTS = ("_BACKEND_KEYS_TO_OVERRIDE", "_AUTOGRAD_ALIAS_BACKEND_KEYS_TO_OVERRIDE")
#: of torch._export.utils: makes Python's objects of the operators that torch's dispatcher lists
LIST_OPERATORS = "_materialize_cpp_cia_ops"
#: devices of what is traced, whatever the program's tensors lie on
ALWAYS = {"CPU", "META"}


def run_decompositions(program: ExportedProgram, table: Mapping[Any, Callable[..., Any]]) -> ExportedProgram:
    """`program` with the operators of `table` as their functions write them."""
    tensors = [value for value in (*program.state_dict.values(), *program.constants.values()) if torch.is_tensor(value)]
    devices = ALWAYS | {tensor.device.type.upper() for tensor in tensors}
    with ExitStack() as changes:
        for name in KEY_LISTS:
            keys = [key for key in getattr(torch.export.exported_program, name, ()) if _device_of(key) in devices]
            changes.enter_context(_changed(torch.export.exported_program, name, keys))
        if list_operators := getattr(torch._export.utils, LIST_OPERATORS, None):
            list_operators()
            changes.enter_context(_changed(torch._export.utils, LIST_OPERATORS, lambda: None))
        return program.run_decompositions(dict(table))


def _device_of(key: Any) -> str:
    return str(key.name).removeprefix("Autograd").upper()


@contextmanager
def _changed(module: ModuleType, name: str, value: Any) -> Iterator[None]:
    """A module's attribute is `value` for a while, where it has that attribute: another torch may not."""
    if not hasattr(module, name):
        yield
        return
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)
