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
from models.zoo.stored.calls import CheckedDict, StoredNumbers, check_key, stand_in_for
from models.zoo.stored.names import ITEM_BYTES, OTHERS, PLAIN
from models.zoo.stored.nesting import check_nesting

#: bytes of a pickle, in which tensors' numbers are not
MOST_BYTES = 64 << 20
#: the operations that torch's loader knows
OPERATIONS = (
    *(pickle.PROTO, pickle.STOP, pickle.MARK, pickle.GLOBAL, pickle.REDUCE, pickle.NEWOBJ, pickle.BUILD),
    *(pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.EMPTY_TUPLE, pickle.EMPTY_LIST),
    *(pickle.EMPTY_DICT, pickle.EMPTY_SET, pickle.APPEND, pickle.APPENDS, pickle.SETITEM, pickle.SETITEMS),
    *(pickle.NONE, pickle.NEWFALSE, pickle.NEWTRUE, pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.BINFLOAT),
    *(pickle.LONG1, pickle.BINUNICODE, pickle.SHORT_BINSTRING, pickle.BINPERSID),
    *(pickle.BINGET, pickle.LONG_BINGET, pickle.BINPUT, pickle.LONG_BINPUT),
)


class MayRunCode(DataError):
    """A file holds what its loader would run, or may run; the text begins with a verb."""


@dataclass
class Contents:
    """What a pickle asks for.

    Attributes:
        names: "module.name" of all that it imports.
        storages: in its order.
    """

    names: set[str] = field(default_factory=set)
    storages: list[StoredNumbers] = field(default_factory=list)


class _Operations(dict[int, Callable[[Any], None]]):
    """Python's functions for the operations that torch's loader knows."""

    def __missing__(self, code: int) -> Callable[[Any], None]:
        raise DataError(f"has the operation {code} in a pickle, as torch.save by its own protocol, 2, writes none")


class _Reader(pickle._Unpickler):  # Python's own, whose memory grows with the file only
    dispatch = _Operations((code, pickle._Unpickler.dispatch[code]) for (code, *_) in OPERATIONS)

    def __init__(self, stream: IO[bytes], contents: Contents) -> None:
        super().__init__(stream, encoding="utf-8")
        self._contents = contents

    def find_class(self, module: str, name: str) -> type:
        self._contents.names.add(f"{module}.{name}")
        return stand_in_for(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        kind, storage, *facts = pid
        for fact in facts:
            check_key(fact)
        key, _location, count, *_view = facts
        name = getattr(storage, "name", "").rpartition(".")[2]
        if kind != "storage" or name not in ITEM_BYTES or type(count) is not int or count < 0:
            raise pickle.UnpicklingError(f"a storage of {quoted(name)}")
        self._contents.storages.append(StoredNumbers(str(key), count * ITEM_BYTES[name]))
        return self._contents.storages[-1]

    def load_empty_dict(self) -> None:
        self.append(CheckedDict())  # type: ignore[attr-defined]

    dispatch[pickle.EMPTY_DICT[0]] = load_empty_dict


def contents_of(stream: IO[bytes] | bytes, pickles: int = 1) -> Contents:
    """What pickles, one after the other, ask for. Nothing is imported or called.

    Raises:
        DataError: what is no pickle; names, calls and containers that plain tensors have no need of.
    """
    contents = Contents()
    opened = io.BytesIO(stream) if isinstance(stream, bytes) else stream
    try:
        for _ in range(pickles):
            check_nesting(_Reader(opened, contents).load())
    except DataError:
        raise
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
