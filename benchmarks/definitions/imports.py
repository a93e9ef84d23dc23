"""Parts of a package imported where the whole cannot be: without its __init__, without what else it wants."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn


def import_part(module: str, without_init: Sequence[str] = (), empty: Sequence[str] = ()) -> ModuleType:
    """Import one module of an installed package.

    Args:
        module: its dotted name.
        without_init: packages whose __init__ is not run, because it imports what is of no use here.
        empty: packages that are not installed and of which nothing is needed; see `EmptyModule`.
    """
    for name in without_init:
        _bare_package(name)
    missing = {name for name in empty if importlib.util.find_spec(name) is None}
    if missing:
        sys.meta_path.append(_EmptyFinder(missing))
    return importlib.import_module(module)


def import_file(package: str, path: str) -> ModuleType:
    """Import a file of an installed package by its path in it, as a module of its own."""
    file = folder_of(package) / path
    name = f"{package}_{file.stem}_alone"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"no module {file}")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def folder_of(package: str) -> Path:
    """The folder of an installed package, which is not imported for it. Raises ImportError if it is not installed."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"{package} is not installed")
    return Path(next(iter(spec.submodule_search_locations)))


def _bare_package(name: str) -> None:
    if name in sys.modules:
        return
    parent, _, child = name.rpartition(".")
    folder = Path(next(iter(sys.modules[parent].__path__))) / child if parent else folder_of(name)
    module = sys.modules[name] = ModuleType(name)
    module.__file__ = str(folder / "__init__.py")
    module.__path__ = [str(folder)]
    module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
    module.__spec__.submodule_search_locations = module.__path__
    if parent:
        setattr(sys.modules[parent], child, module)


class EmptyModule(ModuleType):
    """A module that has whatever is asked of it: classes, and what they make, that do nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (_Nothing,), {})


class _Nothing(nn.Module):
    """May be a base class, be made of anything, and be a decorator that leaves a function as it is."""

    def __init__(self, *_arguments: Any, **_named: Any) -> None:
        super().__init__()

    def __call__(self, value: Any = None, *_arguments: Any, **_named: Any) -> Any:
        return value


class _EmptyFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Makes packages of these names, and all that is below them, empty ones."""

    def __init__(self, names: set[str]) -> None:
        self.names = names

    def find_spec(self, fullname: str, *_where: Any) -> importlib.machinery.ModuleSpec | None:
        parts = fullname.split(".")
        if not self.names & {".".join(parts[:count]) for count in range(1, len(parts) + 1)}:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = EmptyModule(spec.name)
        module.__path__ = []
        return module

    def exec_module(self, module: ModuleType) -> None:
        pass
