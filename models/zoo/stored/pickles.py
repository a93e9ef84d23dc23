"""What a pickle of torch.save would do, found out without doing it: the names it asks for, and the storages it reads.

The pickle is run with stand-ins for all that it imports, by Python's own unpickler, so that nothing of it is called.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any

from fleetpose.errors import DataError, first_line, quoted

#: bytes of an element, by the name of the storage that holds it
ITEM_BYTES = {
    **dict.fromkeys(("ByteStorage", "CharStorage", "BoolStorage", "UntypedStorage"), 1),
    **dict.fromkeys(("QInt8Storage", "QUInt8Storage"), 1),
    **dict.fromkeys(("ShortStorage", "HalfStorage", "BFloat16Storage"), 2),
    **dict.fromkeys(("IntStorage", "FloatStorage", "QInt32Storage"), 4),
    **dict.fromkeys(("LongStorage", "DoubleStorage", "ComplexFloatStorage"), 8),
    "ComplexDoubleStorage": 16,
}
#: what plain tensors, and containers of them, are made of
PLAIN = frozenset(
    (
        "collections.OrderedDict",
        "collections.Counter",
        "collections.defaultdict",
        *(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in ("set", "complex", "bytearray")),
        "_codecs.encode",
        "torch.Size",
        "torch.device",
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_tensor_v3",
        "torch._utils._rebuild_parameter",
        "torch._tensor._rebuild_from_type_v2",
        "torch.Tensor",
        "torch.nn.parameter.Parameter",
        "torch.nn.parameter.Buffer",
        "torch.serialization._get_layout",
        *(f"torch.{name}" for name in ITEM_BYTES),
        *(f"torch.storage.{name}" for name in ("TypedStorage", "UntypedStorage")),
        *(f"torch.{name}" for name in ("float16", "bfloat16", "float32", "float64", "half", "float", "double")),
        *(f"torch.{name}" for name in ("uint8", "int8", "int16", "int32", "int64", "bool", "complex64", "complex128")),
        *(f"torch.float8_{name}" for name in ("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz", "e8m0fnu")),
    )
)
#: kinds of tensors that have no place here, by what makes them
OTHERS = {
    "torch._utils._rebuild_sparse_tensor": "sparse tensors; save them dense, by .to_dense()",
    "torch._utils._rebuild_sparse_csr_tensor": "sparse tensors; save them dense, by .to_dense()",
    "torch._utils._rebuild_meta_tensor_no_storage": "meta tensors, which have no numbers; save real ones",
    "torch._utils._rebuild_qtensor": "quantised tensors; save them as floats, by .dequantize()",
    "torch._utils._rebuild_nested_tensor": "nested tensors, which are no weights",
}
#: bytes of a pickle, in which tensors' numbers are not
MOST_BYTES = 256 << 20


class MayRunCode(DataError):
    """A file holds what its loader would run, or may run; the text begins with a verb."""


@dataclass(frozen=True)
class StoredNumbers:
    """A storage that a pickle reads: the key of its bytes, and how many it is to have."""

    key: str
    size: int


@dataclass
class Contents:
    """What a pickle asks for.

    Attributes:
        names: "module.name" of all that it imports.
        storages: in its order.
    """

    names: set[str] = field(default_factory=set)
    storages: list[StoredNumbers] = field(default_factory=list)


class _StandIn:
    """Takes the place of everything imported: may be called, filled and have a state, and does nothing."""

    storage = ""

    def __new__(cls, *_arguments: Any, **_named: Any) -> _StandIn:
        return object.__new__(cls)

    def __init__(self, *_arguments: Any, **_named: Any) -> None:
        pass

    def _ignore(self, *_arguments: Any) -> None:
        """Do nothing with what is put in."""

    __setitem__ = __setstate__ = append = extend = add = update = _ignore


class _Reader(pickle._Unpickler):  # Python's own, whose memory grows with the file only
    def __init__(self, stream: IO[bytes], contents: Contents) -> None:
        super().__init__(stream, encoding="utf-8")
        self._contents = contents

    def find_class(self, module: str, name: str) -> type:
        self._contents.names.add(f"{module}.{name}")
        return type("_StandIn", (_StandIn,), {"storage": name if module.startswith("torch") else ""})

    def persistent_load(self, pid: Any) -> Any:
        kind, storage, key, _location, count, *_view = pid
        name = getattr(storage, "storage", "")
        if kind != "storage" or name not in ITEM_BYTES or type(count) is not int or count < 0:
            raise pickle.UnpicklingError(f"a storage of {quoted(name)}")
        self._contents.storages.append(StoredNumbers(str(key), count * ITEM_BYTES[name]))
        return _StandIn()


def contents_of(stream: IO[bytes] | bytes, pickles: int = 1) -> Contents:
    """What pickles, one after the other, ask for. Nothing is imported or called.

    Raises:
        DataError: what is no pickle; names that plain tensors have no need of.
    """
    contents = Contents()
    opened = io.BytesIO(stream) if isinstance(stream, bytes) else stream
    try:
        for _ in range(pickles):
            _Reader(opened, contents).load()
    except Exception as error:  # a damaged pickle makes its reader raise whatever there is
        raise DataError(f"is cut off or damaged ({type(error).__name__}: {first_line(error, 80)})") from error
    _check_names(contents.names)
    return contents


def _check_names(names: set[str]) -> None:
    for name in sorted(names - PLAIN):
        if name in OTHERS:
            raise DataError(f"holds {OTHERS[name]}")
        raise MayRunCode(f"holds a {name[:80]}, which would be code to run; save the state dict of the network alone")


def check_storages(contents: Contents, size_of: Callable[[str], int | None]) -> None:
    """Raise DataError unless each storage has as many bytes as it is to have; `size_of` answers None for one that is
    not there."""
    for storage in contents.storages:
        if (size := size_of(storage.key)) is None or size < storage.size:
            raise DataError(f"is damaged: the numbers {quoted(storage.key)} are not all there")
