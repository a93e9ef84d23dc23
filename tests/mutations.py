"""Files damaged at random, each a function of its seed: as JSON, as a table, or byte by byte."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

#: what nobody expects where a value of a JSON file stands
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**40, 0.5, -0.0, 1e300, -1e300, 5e-324, float("nan"), float("inf"),
    "", "0", "12", "abc", "1e300", "nan", "\x00", "\ud800", "a\nb", "../x", "é" * 300, "x" * 100_000, [], {}, [[]],
    [None], [1], [[1, 2], [3]], {"a": 1}, [0] * 51, [1e300] * 51, ["1"] * 51, [[1, 2, 2]] * 17, {"counts": "0" * 99},
    {"size": [24, 32], "counts": [768]}, {"size": [24, 32], "counts": [-5, 773]}, {"size": [24, 32], "counts": "oooo"},
    [[1e5, 0, 0, 1e5, -1e5, 3]], [[0, 0, 9e4, 9e4] * 50],
)  # fmt: skip
#: the same of a table's cells
ODD_CELLS = (
    "", " ", "inf", "-inf", "nan", "1e300", "1e-320", "0", "-1", "1.5", "1e9", "16777217", "9" * 5000, "1_000", "0x10",
    "é", "\x00", '"', '""', '"a', 'a"b', "\n", "\r", "a\nb", ",", ";", "conv", "MEAN", "x" * 2000, "x" * 200_000, "'",
    "linked_:_" * 90,
)  # fmt: skip
#: texts that a parser of JSON has to survive
_TEXTS = (b"[" * 100_000, b'{"a":' * 50_000, b"9" * 5000, b"1" + b"0" * 400, b"NaN", b'"\\ud800"', b"/*", b"\xff\xfe")


def damaged_json(content: Any, seed: int) -> bytes:
    """A JSON file with one to three values changed, moved, repeated or left out; one in five is damaged as bytes."""
    draw = random.Random(seed)
    root = [copy.deepcopy(content)]
    for _ in range(draw.randint(1, 3)):
        _change(root, draw)
    encoded = json.dumps(root[0]).encode()
    return encoded if draw.random() < 0.8 else damaged_bytes(encoded, seed, _TEXTS)


def _change(root: list[Any], draw: random.Random) -> None:
    holder, key = draw.choice(list(_places(root)))
    action = draw.randrange(6)
    if action <= 2:
        holder[key] = copy.deepcopy(draw.choice(ODD_VALUES))
    elif action == 3 and holder is not root:
        del holder[key]
    elif action == 4:
        other, where = draw.choice(list(_places(root)))
        holder[key] = copy.deepcopy(other[where])
    elif isinstance(holder[key], list):
        holder[key] = copy.deepcopy(holder[key] * draw.randint(2, 4)) if draw.random() < 0.5 else holder[key][:-1]
    elif isinstance(holder[key], int | float):
        holder[key] = holder[key] * draw.choice((-1, 0, 1e-9, 1e9, 0.5, 1e200))


def _places(root: Any) -> Any:
    """Every place in a value, as the list or object and the index or key; lists in whole and a few of their items."""
    waiting = [root]
    while waiting:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else range(min(len(holder), 6))
        for key in keys:
            yield holder, key
            if isinstance(holder[key], dict | list):
                waiting.append(holder[key])


def damaged_table(text: str, seed: int) -> bytes:
    """A table with one to three cells, rows or columns changed; one in five is damaged as bytes."""
    draw = random.Random(seed)
    rows = [line.split(",") for line in text.splitlines()]
    for _ in range(draw.randint(1, 3)):
        row = draw.randrange(len(rows))
        column = draw.randrange(len(rows[row]) or 1)
        action = draw.randrange(8)
        if action <= 3 and rows[row]:
            rows[row][column] = draw.choice(ODD_CELLS)
        elif action == 4:
            rows[row] = rows[row] * draw.randint(0, 3)
        elif action == 5:
            rows.insert(row, list(draw.choice(rows)))
        elif action == 6:
            rows = [cells[:column] + cells[column + 1 :] for cells in rows]
        else:
            rows = [[*cells, draw.choice(cells or [""])] for cells in rows]
    encoded = draw.choice(("\n", "\n", "\r\n", "\r")).join(map(",".join, rows)).encode()
    return encoded if draw.random() < 0.8 else damaged_bytes(encoded, seed, (b"\x00", b'"', b"\xff", b"\xef\xbb\xbf"))


def damaged_bytes(content: bytes, seed: int, texts: tuple[bytes, ...] = ()) -> bytes:
    """Bytes with a few flipped, cut out, repeated or put in between."""
    draw = random.Random(seed)
    damaged = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(damaged) + 1)
        end = min(len(damaged), at + draw.choice((1, 1, 4, 50, 1000)))
        piece = bytes(damaged[at:end])
        noise = bytes(draw.randrange(256) for _ in piece)
        damaged[at:end] = draw.choice((noise, b"", piece * 3, piece + draw.choice(texts or (b"\x00",))))
        if draw.random() < 0.05:
            del damaged[at:]
    return bytes(damaged)
