"""Mutations of the pickles in files of torch.save: operations, not bytes, so that most still are pickles.

Values give way to containers that hold themselves, to depths, to few lists that come to billions of values, to calls of
what may be imported with odd arguments, and to tensors of odd shapes; memos, numbers and operations are exchanged.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import random
from collections.abc import Callable, Sequence

from models.zoo.stored.archive import make_archive, read_members
from models.zoo.stored.names import ITEM_BYTES, OTHERS, PLAIN
from tests.fuzz.mutations import mutate_archive, mutate_bytes

#: operations that push a value of their own, and those that take numbers
VALUES = ("BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "NONE", "NEWTRUE", "NEWFALSE", "GLOBAL",
          "EMPTY_LIST", "EMPTY_DICT", "EMPTY_TUPLE", "BINGET", "LONG_BINGET")  # fmt: skip
WHOLE = ("BININT", "BININT1", "BININT2", "LONG1")
NUMBERS = (
    0,
    1,
    -1,
    2,
    3,
    4,
    7,
    255,
    2**16,
    2**31 - 1,
    -(2**31),
    2**31,
    2**33,
    2**40,
    2**63 - 1,
    -(2**63),
    2**64,
    2**80,
)
TEXTS = ("", "0", "1", "a", "a\nb", "\ud800", "storage", "cpu", "cuda", "meta", "latin1", "idna", "state_dict", "model",
         "values", "items", "keys", "__class__", "__dict__", "data", "shape", "isfinite", "x" * 5_000)  # fmt: skip
#: words that a memo of whole pickles does not have
FRESH = 1_000_000
KINDS = (*sorted(PLAIN), *sorted(OTHERS), "torch.nn.modules.conv.Conv2d", "builtins.eval", "os.system")
_ONE, _NONE = b"K\x01", b"N"


def whole(number: int) -> bytes:
    size = number.bit_length() // 8 + 1
    return b"\x8a" + bytes([size]) + number.to_bytes(size, "little", signed=True)


def text(letters: str) -> bytes:
    content = letters.encode("utf-8", "surrogatepass")
    return b"X" + len(content).to_bytes(4, "little") + content


def imported(name: str) -> bytes:
    module, _, last = name.rpartition(".")
    return f"c{module}\n{last}\n".encode()


def put(memo: int) -> bytes:
    return b"r" + memo.to_bytes(4, "little")


def get(memo: int) -> bytes:
    return b"j" + memo.to_bytes(4, "little")


def tuple_of(*values: bytes) -> bytes:
    return b"(" + b"".join(values) + b"t"


def a_scalar(rng: random.Random) -> bytes:
    return rng.choice((whole(rng.choice(NUMBERS)), text(rng.choice(TEXTS)), _NONE, b"\x88", b"\x89", b"G" + bytes(8)))


def a_loop(rng: random.Random) -> bytes:
    """A list or dict that holds itself, alone or by another."""
    memo = FRESH + rng.randrange(1_000)
    if rng.random() < 0.5:
        inner = get(memo) if rng.random() < 0.5 else b"]" + get(memo) + b"a"
        return b"]" + put(memo) + inner + b"a"
    return b"}" + put(memo) + text(rng.choice(TEXTS)) + get(memo) + b"s"


def a_depth(rng: random.Random) -> bytes:
    depth = rng.choice((3, 20, 63, 66, 900, 50_000))
    if rng.random() < 0.5:
        return _ONE + b"\x85" * depth
    return b"]" * depth + b"a" * (depth - 1)


def a_crowd(rng: random.Random) -> bytes:
    """Tuples or lists of which each holds the one before it twice."""
    value = tuple_of(text("a")) if (as_tuple := rng.random() < 0.5) else b"]"
    for number in range(rng.choice((3, 30, 60))):
        memo = FRESH + number
        value = value + put(memo) + get(memo) + b"\x86" if as_tuple else b"](" + value + put(memo) + get(memo) + b"e"
    return value


def a_storage(rng: random.Random) -> bytes:
    kind = rng.choice((*ITEM_BYTES, "FloatStorage"))
    count = rng.choice((0, 1, 4, 5, 108, rng.choice(NUMBERS)))
    key = text(str(rng.randrange(12))) if rng.random() < 0.8 else a_value(rng)
    return tuple_of(text("storage"), imported(f"torch.{kind}"), key, text("cpu"), whole(count)) + b"Q"


def a_tensor(rng: random.Random) -> bytes:
    """With a storage that is in most files, and often with a shape that is not there."""

    def sides() -> bytes:
        return tuple_of(*(whole(rng.choice((0, 1, 3, 4, 5, rng.choice(NUMBERS)))) for _ in range(rng.randrange(5))))

    hooks = imported("collections.OrderedDict") + b")R"
    offset = whole(rng.choice((0, 0, 0, rng.choice(NUMBERS))))
    parts = [a_storage(rng), offset, sides(), sides(), rng.choice((b"\x89", b"\x88", a_value(rng))), hooks]
    if rng.random() < 0.2:
        parts[rng.randrange(len(parts))] = a_value(rng)
    made = imported("torch._utils._rebuild_tensor_v2") + tuple_of(*parts) + b"R"
    if rng.random() < 0.2:
        return imported("torch._utils._rebuild_parameter") + tuple_of(made, b"\x88", a_value(rng)) + b"R"
    return made


def a_call(rng: random.Random) -> bytes:
    called = imported(rng.choice(KINDS)) + tuple_of(*(a_value(rng) for _ in range(rng.randrange(5))))
    called += rng.choice((b"R", b"R", b"\x81"))
    if rng.random() < 0.3:
        called += b"}" + text(rng.choice(TEXTS)) + a_value(rng) + b"sb"
    return called


def a_keyed(rng: random.Random) -> bytes:
    return b"}" + a_value(rng) + _ONE + b"s"


def a_listed(rng: random.Random) -> bytes:
    return b"](" + b"".join(a_value(rng) for _ in range(rng.randrange(4))) + b"e"


MAKERS: Sequence[Callable[[random.Random], bytes]] = (
    *(a_scalar, a_scalar, a_scalar, a_loop, a_depth, a_crowd, a_storage, a_tensor, a_tensor, a_call, a_call, a_keyed),
    *(a_listed, lambda rng: get(rng.randrange(40)), lambda rng: imported(rng.choice(KINDS))),
)


def a_value(rng: random.Random) -> bytes:
    """Operations that push one value."""
    return rng.choice(MAKERS)(rng)


def operations(content: bytes) -> list[tuple[str, bytes]]:
    """The operations of a pickle, by name. Raises ValueError and others for what is none."""
    found = [(opcode.name, place) for opcode, _, place in pickletools.genops(content)]
    ends = [place for _, place in found[1:]] + [found[-1][1] + 1]
    return [(name, content[place:end]) for (name, place), end in zip(found, ends, strict=True)]


def mutate_pickle(content: bytes, rng: random.Random) -> bytes:
    """One to three operations of a pickle changed, and what follows it kept."""
    parts = operations(content)
    rest = content[sum(len(part) for _, part in parts) :]
    for _ in range(rng.randint(1, 3)):
        _change(parts, rng)
    return b"".join(part for _, part in parts) + rest


def _change(parts: list[tuple[str, bytes]], rng: random.Random) -> None:
    action = rng.randrange(10)
    wanted = WHOLE if action <= 2 else VALUES
    places = [place for place, (name, _) in enumerate(parts) if name in wanted] or [0]
    place = rng.choice(places)
    if action <= 2:
        parts[place] = ("LONG1", whole(rng.choice(NUMBERS)))
    elif action <= 6:
        parts[place] = ("", a_value(rng))
    elif action == 7:
        other = rng.randrange(len(parts))
        parts[place], parts[other] = parts[other], parts[place]
    elif action == 8:
        empty = [at for at, (name, _) in enumerate(parts) if name == "EMPTY_DICT"] or [place]
        key = text(rng.choice(TEXTS)) if rng.random() < 0.7 else a_value(rng)
        parts.insert(rng.choice(empty) + 1, ("", key + a_value(rng) + b"s"))
    elif rng.random() < 0.5:
        del parts[place]
    else:
        parts.insert(place, rng.choice(parts))


def mutate_saved(content: bytes, rng: random.Random) -> bytes:
    """A pickle of a file of torch.save, or in one of those that an exported program holds; seldom other bytes of it."""
    if rng.random() < 0.05:
        return mutate_archive(content, rng)
    try:
        members = read_members(content)
    except ValueError:
        return _mutate_old(content, rng)
    pickles = [name for name, held in members.items() if name.endswith((".pkl", ".pt")) and held]
    name = rng.choice(pickles)
    members[name] = (mutate_pickle if name.endswith(".pkl") else mutate_saved)(members[name], rng)
    return make_archive(members).getvalue()


def _mutate_old(content: bytes, rng: random.Random) -> bytes:
    """One of the five pickles, mostly the fourth, of a file as torch wrote it before 1.6."""
    stream, starts = io.BytesIO(content), []
    try:
        for _ in range(5):
            starts.append(stream.tell())
            for _operation in pickletools.genops(stream):
                pass
    except (ValueError, pickle.UnpicklingError):
        return mutate_bytes(content, rng)
    start = starts[rng.choice((0, 1, 2, 3, 3, 3, 3, 3, 3, 4))]
    return content[:start] + mutate_pickle(content[start:], rng)
