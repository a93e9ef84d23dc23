"""What takes the place of all that a pickle imports, and which calls of it torch may make later.

torch's loader restricts the names that a pickle imports, but neither what they are called with nor what they are given:
a `torch.Tensor(10 ** 9)` is memory as it was found, and an OrderedDict whose attribute "values" is 3 has no values.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any

import torch

from fleetpose.errors import DataError
from models.zoo.stored.names import PLAIN

#: entries of a tuple that is a key, and encodings of bytes in texts
MOST_KEY_ENTRIES, ENCODINGS = 16, ("latin1", "latin-1")
_SCALARS = (str, bytes, int, float, bool, type(None))
_TENSORS = ("torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer")


class StandIn:
    """Takes the place of what is imported, and of what calling it makes: holds what it is given, and does nothing.

    Attributes:
        name: "module.name" of what is imported, by `stand_in_for`.
        held: arguments, entries and states.
    """

    name = ""

    def __new__(cls, *arguments: Any) -> StandIn:
        if cls.name in PLAIN and not _may_call(cls.name, arguments):
            raise DataError(f"calls {cls.name} in a way that torch.save never writes")
        stand_in = object.__new__(cls)
        stand_in.held = list(arguments)
        return stand_in

    def __init__(self, *_arguments: Any) -> None:
        self.held: list[Any]

    def __setitem__(self, key: Any, value: Any) -> None:
        check_key(key)
        self.held += [key, value]

    def __setstate__(self, state: Any) -> None:
        of_dict = self.name in ("collections.OrderedDict", "collections.Counter")
        if self.name in PLAIN and not (of_dict and not _hides(state, collections.Counter)):
            raise DataError(f"changes a {self.name} in a way that torch.save never writes")
        self.held.append(state)


class StoredNumbers(StandIn):
    """A storage that a pickle reads: the key of its bytes, and how many it is to have."""

    def __new__(cls, key: str, size: int) -> StoredNumbers:
        stand_in = object.__new__(cls)
        stand_in.held, stand_in.key, stand_in.size = [], key, size
        return stand_in

    def __init__(self, *_arguments: Any) -> None:
        self.key: str
        self.size: int


class CheckedDict(dict[Any, Any]):
    """A dict of a pickle."""

    def __setitem__(self, key: Any, value: Any) -> None:
        check_key(key)
        super().__setitem__(key, value)


def stand_in_for(name: str) -> type[StandIn]:
    """The type that takes the place of "module.name"."""
    return type("_StandIn", (StandIn,), {"name": name})


def check_key(key: Any) -> None:
    """Raise DataError for a key whose hash may take for ever, as that of tuples of tuples of the same tuples does."""
    entries = key if type(key) is tuple else (key,)
    if len(entries) > MOST_KEY_ENTRIES or not all(isinstance(entry, (*_SCALARS, StandIn)) for entry in entries):
        raise DataError(f"has a {type(key).__name__} for a key")


def _may_call(name: str, arguments: tuple[Any, ...]) -> bool:
    """Whether torch may call what has this name with these arguments."""
    return name in _CALLS and _CALLS[name](*arguments)


def _hides(state: Any, kind: type) -> bool:
    """Whether attributes that an object is given are not a dict, or take the place of those that its class has."""
    return not isinstance(state, CheckedDict) or any(hasattr(kind, str(name)) for name in state)


def _is_dict(entries: Any = (), *others: Any) -> bool:
    """Nothing, a dict, or pairs, as Python 2 wrote them."""
    if isinstance(entries, CheckedDict):
        return not others
    pairs = isinstance(entries, list | tuple) and all(isinstance(pair, list | tuple) and pair for pair in entries)
    return pairs and not others and _are_keys([pair[0] for pair in entries])


def _are_keys(entries: Any = (), *others: Any) -> bool:
    if not isinstance(entries, list | tuple) or others:
        return False
    for entry in entries:
        check_key(entry)
    return True


def _are_scalars(*arguments: Any) -> bool:
    return all(isinstance(argument, _SCALARS) for argument in arguments)


def _is_tensor(*arguments: Any) -> bool:
    """Of a storage of the file, its offset, shape and strides, whether it has gradients, its hooks and the rest."""
    storage, offset, shape, strides, *rest = (*arguments, *(None,) * 4)
    hooks = rest[1] if len(rest) > 1 else None
    no_hooks = hooks is None or (isinstance(hooks, StandIn) and not hooks.held)
    whole = all(isinstance(sides, tuple | StandIn) for sides in (shape, strides)) and type(offset) is int
    return isinstance(storage, StoredNumbers) and whole and no_hooks


def _is_parameter(tensor: Any = None, gradients: Any = None, hooks: Any = None, *others: Any) -> bool:
    plain = hooks is None or (isinstance(hooks, StandIn) and not hooks.held)
    return isinstance(tensor, StandIn) and _are_scalars(gradients) and plain and not others


def _is_tensor_with_attributes(*arguments: Any) -> bool:
    """Of what makes it, its class, the arguments of what makes it, and its attributes."""
    if len(arguments) != 4 or not all(isinstance(kind, type) and issubclass(kind, StandIn) for kind in arguments[:2]):
        return False
    maker, kind, given, state = arguments
    dicts = [part for part in (state if isinstance(state, tuple) else (state,)) if part is not None]
    plain = maker.name.startswith("torch._utils.") and isinstance(given, tuple) and _may_call(maker.name, given)
    return plain and kind.name in _TENSORS and not any(_hides(part, torch.Tensor) for part in dicts)


def _is_encoded(text: Any = None, encoding: Any = "", *others: Any) -> bool:
    return isinstance(text, str) and encoding in ENCODINGS and not others


def _are_bytes(content: Any = b"", encoding: Any = "latin-1", *others: Any) -> bool:
    return isinstance(content, str | bytes | StandIn) and encoding in ENCODINGS and not others


#: by name, what of its arguments torch may be given
_CALLS: dict[str, Callable[..., bool]] = {
    **dict.fromkeys(("collections.OrderedDict", "collections.Counter"), _is_dict),
    **dict.fromkeys(("builtins.set", "__builtin__.set"), _are_keys),
    **dict.fromkeys(("builtins.complex", "__builtin__.complex", "torch.device"), _are_scalars),
    **dict.fromkeys(("builtins.bytearray", "__builtin__.bytearray"), _are_bytes),
    "_codecs.encode": _is_encoded,
    "torch.Size": lambda sides=(), *others: not others and isinstance(sides, list | tuple) and _are_scalars(*sides),
    "torch.serialization._get_layout": _are_scalars,
    **dict.fromkeys((f"torch._utils._rebuild_tensor{version}" for version in ("", "_v2", "_v3")), _is_tensor),
    "torch._utils._rebuild_parameter": _is_parameter,
    "torch._tensor._rebuild_from_type_v2": _is_tensor_with_attributes,
}
