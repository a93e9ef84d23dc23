"""Mutations of annotations and tables: beside damage of any kind, what people's tools write unexpectedly."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

from tests.fuzz.mutations import mutate_bytes, mutate_json

#: in place of a value of an annotation
ODD_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1e300, 1e9, "", "0", "12", "abc", "maybe", "é" * 300, [], {}, [[]], [0] * 51, [1e300] * 51,
    [1e5] * 51, ["1"] * 51, [None] * 51, [[1, 2, 2]] * 17, [1] * 54, [0, 0, 0, 0], [0, 0, -4, 4], [0, 0, 1e300, 1e300],
    {"counts": "0" * 99}, {"size": [24, 32], "counts": [768]}, {"size": [24, 32], "counts": [-5, 773]},
    {"size": [24, 32], "counts": "oooo"}, {"size": [24, 32], "counts": "000P"}, {"size": [24, 32], "counts": [0] * 9},
    [[1e5, 0, 0, 1e5, -1e5, 3]], [[0, 0, 9e4, 9e4] * 50], [[1, 2, 3, 4]], [[1, 2, 3, 4, 5, 6, 7]],
)  # fmt: skip
#: in place of a table's cell
ODD_CELLS = (
    "", " ", "inf", "-inf", "nan", "1e300", "1e-320", "0", "-1", "1.5", "1e9", "16777217", "9" * 5000, "1_000", "0x10",
    "é", "\x00", '"', '""', '"a', 'a"b', "\n", "\r", "a\nb", ",", ";", "conv", "MEAN", "x" * 2000, "x" * 200_000, "'",
    "linked_:_" * 90,
)  # fmt: skip


def mutate_annotations(content: bytes, rng: random.Random) -> bytes:
    """Half of the time as any JSON, half of the time with odd values of one to three fields."""
    if rng.random() < 0.5:
        return mutate_json(content, rng)
    dataset = json.loads(content)
    for _ in range(rng.randint(1, 3)):
        holder = rng.choice(dataset[rng.choice(("images", "annotations", "annotations", "categories"))])
        key = rng.choice(list(holder))
        if rng.random() < 0.2:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(rng.choice(ODD_VALUES))
    if rng.random() < 0.1:
        dataset["annotations"] *= rng.choice((2, 300))
    return json.dumps(dataset).encode()


def mutate_table(content: bytes, rng: random.Random) -> bytes:
    """One to three cells, rows or columns changed, and another line's end; a fifth of the time its bytes."""
    if rng.random() < 0.2:
        return mutate_bytes(content, rng)
    rows = [line.split(",") for line in content.decode().splitlines()]
    for _ in range(rng.randint(1, 3)):
        row = rng.randrange(len(rows))
        column = rng.randrange(len(rows[row]) or 1)
        action = rng.randrange(8)
        if action <= 3 and rows[row]:
            rows[row][column] = rng.choice(ODD_CELLS)
        elif action == 4:
            rows[row] = rows[row] * rng.randint(0, 3)
        elif action == 5:
            rows.insert(row, list(rng.choice(rows)))
        elif action == 6:
            rows = [cells[:column] + cells[column + 1 :] for cells in rows]
        else:
            rows = [[*cells, rng.choice(cells or [""])] for cells in rows]
    return rng.choice(("\n", "\n", "\r\n", "\r")).join(map(",".join, rows)).encode()
