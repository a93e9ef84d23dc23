"""Whether files are whole, by what reads them; and what is hidden in a folder."""

from __future__ import annotations

import csv
import io
import json
import struct
from pathlib import Path

from fleetpose.files import sha256


def torn_files(folder: Path) -> list[str]:
    """Files that cannot be read whole, each with why, below a folder; hidden ones are not looked at."""
    problems = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            try:
                _read(path)
            except Exception as error:
                problems.append(f"{path.relative_to(folder)} is torn: {type(error).__name__} {error}")
    return problems


def hidden_files(folder: Path) -> list[str]:
    """What begins with a dot, or is called unfinished, below a folder."""
    found = (path for path in folder.rglob("*") if path.name.startswith(".") or ".part" in path.name)
    return [f"{path.relative_to(folder)} is left" for path in sorted(found)]


def _read(path: Path) -> None:
    content = path.read_bytes()
    if path.suffix in (".json", ".predictor"):
        json.loads(content)
    elif path.suffix in (".jsonl", ".journal"):
        for line in content.splitlines()[: None if content.endswith(b"\n") else -1]:  # the last may be torn
            json.loads(line)
    elif path.suffix in (".safetensors", ".start"):
        (length,) = struct.unpack("<Q", content[:8])
        tensors = {name: about for name, about in json.loads(content[8 : 8 + length]).items() if name != "__metadata__"}
        ends = [about["data_offsets"][1] for about in tensors.values()]
        assert max(ends) + 8 + length == len(content)
    elif path.suffix in (".checkpoint", ".recovery"):
        import torch

        torch.load(io.BytesIO(content), weights_only=True)
    elif path.suffix in (".png", ".jpg"):
        import cv2
        import numpy as np

        assert cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) is not None
    elif path.suffix == ".avi":
        import cv2

        capture = cv2.VideoCapture(str(path))
        assert capture.read()[0]
    elif path.suffix == ".csv":
        rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
        assert all(len(row) == len(rows[0]) for row in rows)
    elif path.suffix in (".fpk", ".aar", ".so"):
        _read_network(path)
    else:
        assert content, "it is empty"


def _read_network(path: Path) -> None:
    """What `codegen.build` writes."""
    if path.suffix == ".fpk":
        from runtime.package_format import read_sections, write_package

        assert write_package(read_sections(path.read_bytes())) == path.read_bytes()
    elif path.suffix == ".aar":
        from codegen.building.android_archive import check_archive

        check_archive(path)
    else:
        assert json.loads(path.with_suffix(".json").read_bytes())["sha256"] == sha256(path)
