"""fleetpose.api: every public name is there, is written on its page, and costs nothing before it is asked for."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from fleetpose import api

ROOT = Path(__file__).parents[2]


def test_public_names_are_listed_once():
    assert sorted(api.HOMES) == sorted(api.__all__) == dir(api)


@pytest.mark.parametrize("name", api.__all__)
def test_public_name_is_importable_and_documented(name):
    value = getattr(api, name)
    assert value.__name__ == name
    assert value.__doc__
    assert f"`{name}" in (ROOT / "docs" / "api.md").read_text()


def test_types_are_those_of_the_homes():
    tree = ast.parse(Path(api.__file__).read_text())
    typed = {
        alias.name: node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert {name: typed[name] for name in api.HOMES} == api.HOMES


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="optimise"):
        _ = api.optimise  # type: ignore[attr-defined]


def test_importing_the_api_imports_nothing_heavy():
    code = "import sys, fleetpose.api; print([m for m in ('tvm', 'torch', 'latency', 'codegen') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
