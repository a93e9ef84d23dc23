"""Mutations: a file's bytes, or the JSON, archive or header in it, changed in one to four places by a seed."""

from __future__ import annotations

import contextlib
import copy
import json
import random
import struct
from collections.abc import Callable
from typing import Any

from latency.records.identity import checksum
from models.zoo.stored.archive import make_archive, read_members

Mutation = Callable[[bytes, random.Random], bytes]

#: what takes the place of a value
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 255, 65536, 2**31 - 1, 2**31, -(2**31), 2**53, 2**63 - 1, 2**64, 10**30),
    *(0.5, -0.5, 1e-300, 1e300, -1e300, float("nan"), float("inf"), -float("inf")),
    *(
        "",
        "a",
        "0",
        "-1",
        "1e400",
        "dense",
        "columns:0.5:4x1",
        "../../etc/passwd",
        "x" * 5_000,
        "\u0000",
        "\ud800",
        "9" * 40,
    ),
    *([], {}, [[]], {"": None}, [None] * 40, {"a": {"b": [1]}}),
)
#: what is put between bytes
PIECES = (
    *(b"\0", b"\xff", b"\xff" * 8, b"\0" * 64, b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\n", b"\r\n", b"#"),
    *(b"9" * 30, b"9" * 5_000, b"1e999", b"-", b"NaN", b"Infinity", b"null", b"true", b"\\ud800", b"\\u0000"),
    *(b"[" * 2_000, b'{"a":' * 2_000, b"\xf0\x9f\xa6\x8b", b"\xef\xbb\xbf"),
)


def mutate_bytes(content: bytes, rng: random.Random) -> bytes:
    """Flipped, cut, doubled, moved, overwritten bytes, and pieces between them."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(data) + 1)
        length = rng.choice((1, 1, 2, 4, 8, 64, 512))
        kind = rng.randrange(7)
        if kind == 0 and place < len(data):
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[place : place + length]
        elif kind == 2:
            data[place:place] = rng.choice(PIECES)
        elif kind == 3:
            data[place:place] = data[place : place + length]
        elif kind == 4:
            source = rng.randrange(len(data) + 1)
            data[place : place + length] = data[source : source + length]
        elif kind == 5:
            data[place : place + length] = rng.randbytes(length)
        elif rng.random() < 0.3:
            del data[place:]
    return bytes(data)


def mutate_value(value: Any, rng: random.Random) -> Any:
    """A JSON value changed in one to four places."""
    value = json.loads(json.dumps(value))
    for _ in range(rng.randint(1, 4)):
        places = list(_places(value))
        if not places:
            return copy.deepcopy(rng.choice(VALUES))
        holder, key = rng.choice(places)
        with contextlib.suppress(RecursionError):  # a place that is as deep as Python goes stays
            _change(holder, key, places, rng)
    return value


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON value."""
    found, waiting = [], [value]
    while waiting:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        for key in keys:
            found.append((holder, key))
            waiting.append(holder[key])
    return found


def _change(holder: Any, key: Any, places: list[tuple[Any, Any]], rng: random.Random) -> None:
    old, kind = holder[key], rng.randrange(10)
    if kind <= 3:
        holder[key] = copy.deepcopy(rng.choice(VALUES))
    elif kind == 4:
        del holder[key]
    elif kind == 5:
        other, its_key = rng.choice(places)
        if isinstance(other, dict) == (its_key in other if isinstance(other, dict) else False) or its_key != key:
            holder[key] = json.loads(json.dumps(_at(other, its_key)))
    elif kind == 6 and isinstance(holder, dict):
        holder[rng.choice((f"{key}x", "", "0.5", "nan", "-1", str(key).upper()))] = holder.pop(key)
    elif kind == 7 and isinstance(old, int | float) and not isinstance(old, bool):
        holder[key] = rng.choice((-old, old + 1, old - 1, old * 1000, str(old), [old], 0))
    elif kind == 8 and isinstance(old, list):
        holder[key] = rng.choice((old[::-1], old[:-1], old * 2, [*old, None], dict(enumerate(map(str, old)))))
    else:
        deep: Any = old
        for _ in range(rng.choice((1, 2, 70, 3_000))):
            deep = [deep]
        holder[key] = deep


def _at(holder: Any, key: Any) -> Any:
    try:
        return holder[key]
    except (LookupError, TypeError):
        return None


def text_of(value: Any) -> bytes:
    """JSON of a mutated value, however deep."""
    try:
        return json.dumps(value).encode()
    except RecursionError:
        return b"[" * 3_000 + b"]" * 3_000


def mutate_json(content: bytes, rng: random.Random) -> bytes:
    """Half of the time the value, half of the time the text."""
    if rng.random() < 0.5:
        return mutate_bytes(content, rng)
    return text_of(mutate_value(json.loads(content), rng))


def mutate_lines(content: bytes, rng: random.Random) -> bytes:
    """The same of a line, or of several, of a file of JSON lines."""
    if rng.random() < 0.4:
        return mutate_bytes(content, rng)
    lines = content.splitlines()
    number = rng.randrange(len(lines))
    lines[number] = text_of(mutate_value(json.loads(lines[number]), rng))
    return b"\n".join(lines) + b"\n"


def mutate_records(content: bytes, rng: random.Random) -> bytes:
    """Records whose checksums are right again."""
    if rng.random() < 0.3:
        return mutate_bytes(content, rng)
    lines = content.splitlines()
    number = rng.randrange(len(lines))
    values = json.loads(lines[number])
    del values["checksum"]
    changed = mutate_value(values, rng)
    if isinstance(changed, dict):
        try:
            changed["checksum"] = checksum(changed)
        except (RecursionError, TypeError, UnicodeError):
            changed["checksum"] = "00000000"
    lines[number] = text_of(changed)
    return b"\n".join(lines) + b"\n"


def mutate_archive(content: bytes, rng: random.Random) -> bytes:
    """A member of a zip archive, the archive being whole again; or its bytes."""
    if rng.random() < 0.2:
        return mutate_bytes(content, rng)
    members = _members(content)
    name = rng.choice(
        [name for name in members if rng.random() < 0.9 or name.endswith((".json", ".pkl"))] or list(members)
    )
    if name.endswith((".json", ".pkl")) or rng.random() < 0.5:
        mutate = mutate_json if name.endswith(".json") else mutate_archive if name.endswith(".pt") else mutate_bytes
        members[name] = mutate(members[name], rng) if members[name] else rng.randbytes(8)
    elif rng.random() < 0.5:
        members[f"{name}x"] = members.pop(name)
    else:
        members[name] = members[rng.choice(list(members))]
    return make_archive(members).getvalue()


def _members(content: bytes) -> dict[str, bytes]:
    try:
        return read_members(content)
    except ValueError:
        return {"a": content}


def mutate_safetensors(content: bytes, rng: random.Random) -> bytes:
    """The header of a safetensors file, its length being right again; or its bytes."""
    if rng.random() < 0.4:
        return mutate_bytes(content, rng)
    (length,) = struct.unpack("<Q", content[:8])
    header = text_of(mutate_value(json.loads(content[8 : 8 + length]), rng))
    return struct.pack("<Q", len(header)) + header + content[8 + length :]
