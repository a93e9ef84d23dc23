"""Exported programs, .pt2 files of torch.export.save: those that run no code when torch loads them.

torch's loader unpickles constants, sample inputs and weights, looks operators up by name in any of its modules, and
evaluates texts. Here every member of the archive is looked at, and one is made of those that are plain: numbers,
pickles of plain tensors, and a program whose texts have the forms of `program_text`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

from fleetpose.codec import check_entries, decode, parse_json
from fleetpose.errors import DataError, quoted
from models.zoo.stored.archive import make_archive, read_members
from models.zoo.stored.pickles import MayRunCode, check_storages, contents_of
from models.zoo.stored.program_text import PROGRAM, checked_program

#: numbers that a tensor may repeat beyond those that are stored of it
MOST_EXPANDED = 1 << 26


def checked_archive(path: Path, extra: str) -> tuple[io.BytesIO, bytes]:
    """What torch may load of an exported program, and the content of its extra file, b"" where it has none.

    Raises:
        MayRunCode: loading it may run code: "has a member ..."; DataError: it is damaged.
    """
    members = read_members(path)
    kept = {name: content for name, given in members.items() if (content := _checked(name, given, members)) is not None}
    old = "serialized_exported_program.json" in members
    said = members.get(f"extra_files/{extra}" if old else f"extra/{extra}", b"")
    if not (old or "models/model.json" in members):
        raise DataError("has no exported program")
    return make_archive(kept, "" if old else "archive/"), said


def _checked(name: str, content: bytes, members: dict[str, bytes]) -> bytes | None:
    """A member as torch may have it; None of one that it does without. Raises DataError for one that may be code."""
    for form, check in _MEMBERS.items():
        if re.fullmatch(form, name):
            return check(content, members)
    raise MayRunCode(f"has a member {quoted(name)}, which may be code")


def _numbers(content: bytes, _members: dict[str, bytes]) -> bytes:
    return content


def _word(content: bytes, _members: dict[str, bytes]) -> bytes:
    if not re.fullmatch(rb"[\w.]{1,64}\n?", content):
        raise DataError(f"has {quoted(content)} where a version is")
    return content


def _program(content: bytes, _members: dict[str, bytes]) -> bytes:
    return checked_program(content, "models/model.json")


def _pickle(content: bytes, _members: dict[str, bytes]) -> bytes:
    """A file of torch.save in the file: plain tensors in containers, all of them there."""
    if not content:
        return content
    inner = read_members(content)
    if "data.pkl" not in inner:
        raise MayRunCode("has a pickle of an unknown form")
    sizes = {name: len(data) for name, data in inner.items()}
    check_storages(contents_of(inner["data.pkl"]), lambda key: sizes.get(f"data/{key}"))
    return make_archive(inner).getvalue()


def _payloads(folder: str) -> Callable[[bytes, dict[str, bytes]], bytes]:
    """The check of the list of tensors in a folder of numbers."""

    def check(content: bytes, members: dict[str, bytes]) -> bytes:
        values = check_entries(parse_json(content, PROGRAM, folder), {"config": dict[str, dict[str, Any]]}, folder)
        for name, entry in values.get("config", {}).items():
            if not re.fullmatch(r"[\w.\[\]-]{1,400}", name, re.ASCII):
                raise MayRunCode(f"has a tensor called {quoted(name)}")
            _check_payload(entry, folder, members)
        return checked_program(content, folder)

    return check


def _check_payload(entry: dict[str, Any], folder: str, members: dict[str, bytes]) -> None:
    kinds = {"path_name": str, "is_param": bool, "use_pickle": bool}
    facts = check_entries(entry, kinds, folder, needed=tuple(kinds))
    stored = members.get(f"{folder}/{facts['path_name']}")
    if facts["use_pickle"] or stored is None or not re.fullmatch(r"(weight|tensor)_\d+", facts["path_name"]):
        raise MayRunCode(f"has a tensor in {quoted(facts['path_name'])}, which may be code or is not there")
    meta = decode(dict[str, Any], entry.get("tensor_meta"), f"{folder}: tensor_meta")
    sizes = decode(list[dict[str, int]], meta.get("sizes"), "sizes")
    sides = [size.get("as_int", -1) for size in sizes]
    if min(sides, default=0) < 0 or prod(sides) > max(len(stored), MOST_EXPANDED if stored else 0):
        raise DataError(f"has a tensor {quoted(sides)} of {len(stored)} bytes")


#: forms of members' names, and what is checked of each
_MEMBERS: dict[str, Callable[[bytes, dict[str, bytes]], bytes | None]] = {
    r"archive_format|archive_version|byteorder|version|\.data/version": _word,
    r"models/model\.json|serialized_exported_program\.json": _program,
    r"data/weights/model_weights_config\.json": _payloads("data/weights"),
    r"data/constants/model_constants_config\.json": _payloads("data/constants"),
    r"data/weights/weight_\d+|data/constants/tensor_\d+": _numbers,
    r"data/(sample_inputs|weights|constants)/model\.pt": _pickle,
    r"serialized_(state_dict|constants|example_inputs)\.pt": _pickle,
    r"(extra|extra_files)/.*|\.data/serialization_id|\.format_version|\.storage_alignment": lambda *_: None,
}
