"""A lowered network to the bytes of a package."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import tvm

from codegen.artifact.manifest import Manifest
from codegen.lowering.network import NetworkModule
from codegen.lowering.target import make_target
from codegen.packaging import records
from codegen.packaging.calls import CallList, read_calls
from codegen.packaging.entries import Checks, Tables, constant_rows, kernel_rows
from codegen.packaging.host_calls import CompiledKernels, HostCodeError, compile_kernels
from codegen.packaging.records import Strings
from codegen.packaging.settings import Settings, settings_of
from devices.profile import Profile
from fleetpose.codec import encode


def compile_package(lowered: NetworkModule, profile: Profile) -> CompiledKernels:
    """The kernels of a network, as an artifact for the same device has them."""
    functions = {
        variable.name_hint: function
        for variable, function in lowered.module.functions.items()
        if isinstance(function, tvm.tirx.PrimFunc)
    }
    return compile_kernels(functions, make_target(profile))


def call_lists(lowered: NetworkModule) -> list[CallList]:
    """The calls of a network whose weights are beside it, for each of its entries."""
    names = [*lowered.parameters]
    return [
        read_calls(lowered.module[entry.name], names, lowered.spares.get(entry.name, ())) for entry in lowered.entries
    ]


def package_bytes(
    lowered: NetworkModule,
    kernels: CompiledKernels,
    manifest: Manifest,
    lists: Sequence[CallList],
    checks: Sequence[Checks] = (),
) -> bytes:
    """The package of a network.

    Args:
        lowered: with weights beside it. kernels: of its functions. lists: its calls, for each entry.
        manifest: what the package says of itself.
        checks: for each entry, by the number of a call, what the device should compute.

    Raises:
        HostCodeError: a kernel takes another number of arguments than it is given.
    """
    strings = Strings()
    sources, kernel_table, kernel_numbers = kernel_rows(kernels.source, strings)
    weights, constants, constant_numbers = constant_rows(lowered.parameters, lowered.textures, strings)
    tables = Tables(strings, kernels.launches, kernel_numbers, constant_numbers)
    tables.rows[records.KERNELS] += _with_arguments(kernel_table, kernel_numbers, kernels)
    tables.rows[records.CONSTANTS] += constants
    tables.rows[records.SETTINGS] += _setting_rows(settings_of(manifest), strings)
    for entry, listed, wanted in zip(lowered.entries, lists, checks or [{}] * len(lists), strict=True):
        tables.add_entry(entry, listed, wanted)
    sections = {kind: records.records(records.RECORDS[kind], rows) for kind, rows in tables.rows.items()}
    described = json.dumps(encode(manifest), separators=(",", ":"), allow_nan=False).encode() + b"\0"
    sections |= {records.STRINGS: bytes(strings.content), records.MANIFEST: described}
    return records.write_package({**sections, records.SOURCES: sources, records.WEIGHTS: weights})


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
