"""Measure the house: modules a folder, imports between folders, circles, names that say nothing, doubled class names.

    python tools/house.py              # the summary, a line a folder, and each circle and doubled class name
    python tools/house.py --names      # also every binding of a name that says nothing, with file and line
    python tools/house.py --json

It reads the source as text and imports nothing of the project, so that it also measures an older checkout (--root DIR).
`tests/pure/test_import_direction.py` holds what it measures.
"""

from __future__ import annotations

import argparse
import ast
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGES = ("fleetpose", "devices", "runtime", "models", "codegen", "latency")
#: bindings that say nothing about the value that they hold
EMPTY_NAMES = frozenset({"found", "made", "one", "each"})

Imports = Mapping[str, frozenset[str]]


def read_modules(root: Path, packages: tuple[str, ...] = PACKAGES) -> dict[str, ast.Module]:
    """The syntax tree of every module of the packages, by dotted name; a package's own `__init__` has its name."""
    trees = {}
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
            trees[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return trees


def imports_of(trees: Mapping[str, ast.Module]) -> dict[str, frozenset[str]]:
    """Which modules each module imports, anywhere in it: within functions and for type checkers only, too."""
    return {name: frozenset(_imported(tree, trees) - {name}) for name, tree in trees.items()}


def _imported(tree: ast.Module, known: Mapping[str, ast.Module]) -> set[str]:
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                modules.add(submodule if submodule in known else node.module)
    return modules & known.keys()


def folder_of(module: str, trees: Mapping[str, ast.Module]) -> str:
    """The folder that a module lies in: `latency.records` for `latency.records.read` and for the package itself."""
    is_package = any(name.startswith(f"{module}.") for name in trees)
    return module if is_package else module.rpartition(".")[0]


def circles(imports: Imports) -> list[list[str]]:
    """Groups of modules that import each other in a circle (strongly connected components; Tarjan 1972)."""
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    components: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = lowest[module] = len(index)
        stack.append(module)
        for target in sorted(imports[module]):
            if target not in index:
                visit(target)
                lowest[module] = min(lowest[module], lowest[target])
            elif target in stack:
                lowest[module] = min(lowest[module], index[target])
        if lowest[module] == index[module]:
            component = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(component) > 1:
                components.append(sorted(component))

    for module in sorted(imports):
        if module not in index:
            visit(module)
    return components


def doubled_classes(trees: Mapping[str, ast.Module]) -> dict[str, list[str]]:
    """Names of classes that several modules define, with those modules; private classes count, nested ones do not."""
    places: dict[str, list[str]] = defaultdict(list)
    for module, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(module)
    return {name: modules for name, modules in sorted(places.items()) if len(modules) > 1}


def empty_bindings(trees: Mapping[str, ast.Module]) -> Iterator[tuple[str, int, str]]:
    """Module, line and name of every variable, parameter or loop variable that is called one of `EMPTY_NAMES`."""
    for module, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in EMPTY_NAMES:
                yield module, node.lineno, node.id
            elif isinstance(node, ast.arg) and node.arg in EMPTY_NAMES:
                yield module, node.lineno, node.arg


def measure(root: Path) -> dict:
    """All of it as one JSON-ready value."""
    trees = read_modules(root)
    imports = imports_of(trees)
    folders = Counter(folder_of(module, trees) for module in trees)
    arrows = Counter(
        (folder_of(source, trees), folder_of(target, trees))
        for source, targets in imports.items()
        for target in targets
        if folder_of(source, trees) != folder_of(target, trees)
    )
    return {
        "modules": len(trees),
        "folders": dict(sorted(folders.items())),
        "arrows_between_folders": len(arrows),
        "imports_between_folders": sum(arrows.values()),
        "imports_inside_folders": sum(map(len, imports.values())) - sum(arrows.values()),
        "circles": circles(imports),
        "doubled_classes": doubled_classes(trees),
        "empty_bindings": dict(sorted(Counter(name for _, _, name in empty_bindings(trees)).items())),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--root", type=Path, default=Path(__file__).resolve().parents[1], help="(default: this checkout)"
    )
    parser.add_argument("--names", action="store_true", help="list the bindings of names that say nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    values = measure(arguments.root)
    if arguments.json:
        print(json.dumps(values, indent=1))
        return
    for folder, count in values["folders"].items():
        print(f"{count:4} modules in {folder}")
    print(f"{values['modules']} modules in {len(values['folders'])} folders, {values['arrows_between_folders']} arrows "
          f"between folders for {values['imports_between_folders']} imports")  # fmt: skip
    for circle in values["circles"]:
        print(f"circle: {', '.join(circle)}")
    for name, modules in values["doubled_classes"].items():
        print(f"class {name}: {', '.join(modules)}")
    bindings = values["empty_bindings"]
    print(f"{sum(bindings.values())} bindings that say nothing: {', '.join(f'{n} {c}' for n, c in bindings.items())}")
    if arguments.names:
        for module, line, name in empty_bindings(read_modules(arguments.root)):
            print(f"{module}:{line}: {name}")


if __name__ == "__main__":
    main()
