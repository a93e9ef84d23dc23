"""Imports go only downwards: latency -> codegen -> {models, devices} -> fleetpose -> standard library."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAY_IMPORT = {
    "fleetpose": set(),
    "models": {"fleetpose"},
    "devices": {"fleetpose"},
    "codegen": {"models", "devices", "fleetpose"},
    "latency": {"codegen", "models", "devices", "fleetpose"},
}
OURS = {*MAY_IMPORT, "tests", "benchmarks", "examples"}


def imported_packages(source: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_package_imports_only_downwards(package):
    files = list((ROOT / package).rglob("*.py"))
    assert files, f"no modules in {package}"
    wrong = {
        str(file.relative_to(ROOT)): bad
        for file in files
        if (bad := (imported_packages(file.read_text()) & OURS) - MAY_IMPORT[package] - {package})
    }
    assert not wrong


def test_the_floor_imports_only_the_standard_library():
    imported = set().union(*(imported_packages(f.read_text()) for f in (ROOT / "fleetpose").rglob("*.py")))
    assert imported - {"fleetpose"} <= set(sys.stdlib_module_names)


def test_a_wrong_import_would_be_seen():
    assert "latency" in imported_packages("def f():\n    from latency.fit import fit\n")
