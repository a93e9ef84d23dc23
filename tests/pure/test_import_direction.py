"""Imports go only downwards: from package to package, from room to room inside each package, and never in a circle.

A room is what lies directly inside a package: a folder, or a module on top of it. `ROOMS` is the map of the house; a
new folder takes its place in it.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("house", ROOT / "tools" / "house.py")
assert _spec is not None
assert _spec.loader is not None
house = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(house)

MAY_IMPORT = {
    "fleetpose": set(),
    "models": {"fleetpose"},
    "runtime": {"fleetpose"},
    "devices": {"runtime", "fleetpose"},
    "codegen": {"models", "devices", "runtime", "fleetpose"},
    "latency": {"codegen", "models", "devices", "fleetpose"},
}
#: the rooms of each package from the lowest floor up; a room imports from its own and from lower floors only
ROOMS = {
    "fleetpose": [
        "commands errors interrupt json_fields native outlook terminal",
        "options",
        "codec disk progress trust",
        "cli files hiding",
        "api outputs",
    ],
    "devices": [
        "adb conditions profile runtime timers",
        "info rpc",
        "null rpc_session serve session",
        "opening timing",
        "diagnosis",
        "doctor",
        "android",
    ],
    "runtime": ["compiling interface package_format pip_opencl", "agent options", "package"],
    "models": [
        "graph networks preprocess",
        "frontend pose",
        "annotations zoo",
        "accuracy plans replace",
        "resolve",
        "check depth_search evaluate layers list train",
        "depth prune",
        "allocate sensitivity",
    ],
    "codegen": [
        "layout linking",
        "artifact",
        "kernels packaging run verifying",
        "schedules verify",
        "lowering",
        "inspection judging precision",
        "tuning",
        "building graph_latency layer tune",
        "build depth inspect replace widen",
    ],
    "latency": [
        "records report",
        "profiling",
        "dataset",
        "cost_model",
        "collect evaluation flags network_model",
        "fit planning predict",
        "audit box decide evaluate optimize",
    ],
}
#: the facade: its names lie in the packages above it, and it imports them when they are asked for
FACADE = {"fleetpose.api"}
#: the most modules of a folder; `codegen.schedules` has one for each rule of its visible list
MOST_MODULES = 16
#: bindings that say nothing: 506 when they were first counted; what is left is a public field
MOST_EMPTY_BINDINGS = 1


@functools.cache
def trees():
    return house.read_modules(ROOT)


@functools.cache
def imports_of_house():
    return house.imports_of(trees())


def imported_packages(source: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names


def upward_imports(floors: list[str], imports: dict[str, frozenset[str]], package: str) -> list[str]:
    """Imports inside a package that lead to another room which is not on a lower floor.

    The `__main__` of a folder is a command, which lies above all rooms.
    """
    floor_of = {room: number for number, rooms in enumerate(floors) for room in rooms.split()}
    return [
        f"{source} -> {target}"
        for source, targets in imports.items()
        for target in targets
        if source.startswith(f"{package}.") and target.startswith(f"{package}.") and not source.endswith(".__main__")
        for here, there in [(source.split(".")[1], target.split(".")[1])]
        if here != there and floor_of[here] <= floor_of[there]
    ]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_package_imports_only_lower_packages(package):
    ours = {*MAY_IMPORT, "tests", "benchmarks", "examples", "tools"}
    files = [
        f for f in (ROOT / package).rglob("*.py") if ".".join(f.relative_to(ROOT).with_suffix("").parts) not in FACADE
    ]
    assert files, f"no modules in {package}"
    wrong = {
        str(file.relative_to(ROOT)): upward
        for file in files
        if (upward := (imported_packages(file.read_text()) & ours) - MAY_IMPORT[package] - {package})
    }
    assert not wrong


@pytest.mark.parametrize("package", ROOMS)
def test_room_imports_only_lower_rooms(package):
    rooms = {module.split(".")[1] for module in trees() if module.startswith(f"{package}.")} - {"__main__"}
    listed = {room for floor in ROOMS[package] for room in floor.split()}
    assert rooms <= listed, f"rooms without a floor: {rooms - listed}"
    assert listed <= rooms, f"floors name rooms that are gone: {listed - rooms}"
    assert not upward_imports(ROOMS[package], imports_of_house(), package)


def test_upward_import_is_seen():
    imports = {"latency.records.read": frozenset({"latency.optimize.flow"})}
    assert upward_imports(ROOMS["latency"], imports, "latency") == ["latency.records.read -> latency.optimize.flow"]


def test_modules_import_each_other_in_no_circle():
    assert house.circles(imports_of_house()) == []


def test_circle_is_seen():
    imports = {"a": frozenset({"b"}), "b": frozenset({"c"}), "c": frozenset({"a"}), "d": frozenset({"a"})}
    assert house.circles(imports) == [["a", "b", "c"]]


def test_class_name_stands_once_in_the_house():
    assert house.doubled_classes(trees()) == {}


def test_folder_has_few_modules():
    sizes = house.measure(ROOT)["folders"]
    assert {folder for folder, size in sizes.items() if size > MOST_MODULES} <= {"codegen.schedules"}


def test_bindings_name_what_they_hold():
    empty = [f"{module}:{line}: {name}" for module, line, name in house.empty_bindings(trees())]
    assert len(empty) <= MOST_EMPTY_BINDINGS, "\n".join(empty)


def test_fleetpose_imports_only_the_standard_library():
    """But for argcomplete, which is only for a shell, and rich, which is only for a terminal."""
    files = [file for file in (ROOT / "fleetpose").rglob("*.py") if f"fleetpose.{file.stem}" not in FACADE]
    imported = {file.stem: imported_packages(file.read_text()) - {"fleetpose"} for file in files}
    assert imported.pop("progress") <= {"rich", *sys.stdlib_module_names}
    assert set().union(*imported.values()) - {"argcomplete"} <= set(sys.stdlib_module_names)


def test_wrong_package_is_seen():
    assert "latency" in imported_packages("def f():\n    from latency.fit import fit\n")
