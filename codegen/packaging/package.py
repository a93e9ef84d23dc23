"""Tables and texts to the bytes of a package: a network at its input sizes, or single functions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from codegen.artifact.manifest import Entry, Manifest
from codegen.packaging.calls import CallList
from codegen.packaging.entries import Checks, Tables, constant_rows, kernel_rows
from codegen.packaging.host_calls import CompiledKernels, HostCodeError
from codegen.packaging.settings import Settings, settings_of
from fleetpose.codec import encode
from runtime import package_format as records
from runtime.package_format import Strings


class PackageWriter:
    """A package that grows by networks and functions, all of the same kernels and constants."""

    def __init__(
        self,
        kernels: CompiledKernels,
        parameters: Mapping[str, np.ndarray] | None = None,
        textures: Sequence[str] = (),
    ) -> None:
        """Args:
        kernels: of all that is added.
        parameters: packed constants by name. textures: those that are images on the device.

        Raises:
            HostCodeError: a kernel takes another number of arguments than it is given.
        """
        strings = Strings()
        self._sources, kernel_table, kernel_numbers = kernel_rows(kernels.source, strings)
        self._weights, constants, constant_numbers = constant_rows(parameters or {}, textures, strings)
        self._tables = Tables(strings, kernels.launches, kernel_numbers, constant_numbers)
        self._tables.rows[records.KERNELS] += _with_arguments(kernel_table, kernel_numbers, kernels)
        self._tables.rows[records.CONSTANTS] += constants

    def add_entry(self, entry: Entry, listed: CallList, checks: Checks) -> None:
        """A network at one input size: its layers, its calls, and what the device should compute."""
        self._tables.add_entry(entry, listed, checks)

    def add_function(self, name: str, parameter_bytes: Sequence[int]) -> None:
        """One of the kernels' functions, on buffers that a caller brings: so many bytes each at least."""
        self._tables.add_function(name, parameter_bytes)

    def content(self, manifest: Manifest | None = None) -> bytes:
        """The file. manifest: what it says of itself, and what its settings are of; None: nothing, none."""
        tables, strings = self._tables, self._tables.strings
        if manifest is not None:
            tables.rows[records.SETTINGS] = _setting_rows(settings_of(manifest), strings)
        sections = {
            kind: records.records(records.RECORDS[kind], rows)
            for kind, rows in tables.rows.items()
            if rows or kind != records.FUNCTIONS
        }
        facts = {} if manifest is None else encode(manifest)
        described = json.dumps(facts, separators=(",", ":"), allow_nan=False).encode() + b"\0"
        sections |= {records.STRINGS: bytes(strings.content), records.MANIFEST: described}
        return records.write_package({**sections, records.SOURCES: self._sources, records.WEIGHTS: self._weights})


def _with_arguments(
    rows: Sequence[tuple[Any, ...]], numbers: Mapping[str, int], kernels: CompiledKernels
) -> list[tuple[Any, ...]]:
    """Rows of kernels with how many arguments each takes, which is what all of its launches give."""
    counts: dict[int, int] = {}
    for function, launches in kernels.launches.items():
        for launch in launches:
            count = counts.setdefault(numbers[launch.kernel], len(launch.operands))
            if count != len(launch.operands):
                raise HostCodeError(f"{function} gives {launch.kernel} {len(launch.operands)} arguments, not {count}")
    return [(*row[:-1], counts[number]) for number, row in enumerate(rows)]


def _setting_rows(settings: Settings, strings: Strings) -> list[tuple[Any, ...]]:
    return [
        (strings.add(name), strings.add(value), 1, 0, 0.0)
        if isinstance(value, str)
        else (strings.add(name), 0, 0, 0, value)
        for name, value in settings.items()
    ]
