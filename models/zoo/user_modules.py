"""The module that a --model of a user's own is in, by its dotted name or by its file: "own.net", "own/net.py"."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from fleetpose.errors import UsageError, first_line, unknown_name

#: packages of this project that hide a user's own of the same name
OURS = ("models", "devices", "codegen", "latency", "fleetpose")


def import_user_module(module: str, name: str) -> ModuleType:
    """The module `module` of the --model `name`: a file where it ends with ".py", else what Python imports.

    Python finds it in the current folder or among what is installed. A file's own folder is searched after these, so
    that the file may import what lies beside it.

    Raises:
        UsageError: a module that is not there, or that fails when it is imported.
    """
    try:
        with as_its_own_program(module, f"importing {module} for --model {name}"):
            return _load_file(module, name) if module.endswith(".py") else _import_by_name(module, name)
    except ImportError as error:
        said = first_line(error)
        raise UsageError(f"importing {module} for --model {name} failed: {said}{_hidden_by_us(error)}") from error
    except UsageError:
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {first_line(error)}"
        raise UsageError(f"importing {module} for --model {name} failed: {said}") from error


@contextmanager
def as_its_own_program(name: str, doing: str) -> Iterator[None]:
    """Run a user's code with no flags but its own name, for flags are this project's.

    Raises UsageError where the code ends the process, as argparse does at flags that it misses.
    """
    argv, sys.argv = sys.argv, [name]
    try:
        yield
    except SystemExit as error:
        raise UsageError(
            f"{doing} ends the process (exit status {error.code}): it is a script, or wants flags, and has none here; "
            'put that behind if __name__ == "__main__"'
        ) from error
    finally:
        sys.argv = argv


def _import_by_name(module: str, name: str) -> ModuleType:
    _check_not_ours(module, name)
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    importlib.invalidate_caches()
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or module
        if not (module == missing or module.startswith(f"{missing}.")):
            raise
        parent = getattr(sys.modules.get(missing.rpartition(".")[0]), "__path__", None) or [str(Path.cwd())]
        here = [entry.name for entry in pkgutil.iter_modules(parent)]
        if not here:
            raise UsageError(f"no module {missing!r} in {Path.cwd().name}/ or installed, for --model {name}") from None
        raise unknown_name("module", missing.rpartition(".")[2], here) from None
    except ValueError as error:  # "" and ".net"
        raise UsageError(f"--model {name}: {error}; give package.module:factory or file.py:factory") from error


def _load_file(path: str, name: str) -> ModuleType:
    """The module in a file, loaded once for each path."""
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        beside = sorted(entry.name for entry in file.parent.glob("*.py")) if file.parent.is_dir() else []
        if beside:
            raise unknown_name(f"file in {file.parent.name}/,", file.name, beside)
        raise UsageError(f"there is no file {path}, for --model {name}")
    key = _key(file)
    if key in sys.modules:
        return sys.modules[key]
    spec = importlib.util.spec_from_file_location(key, file)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a file of Python, for --model {name}")
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
    importlib.invalidate_caches()
    module = sys.modules[key] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[key]
        raise
    return module


def _key(file: Path) -> str:
    """What the module of a file is called in sys.modules: its stem, with more where another module has that name."""
    stem = key = re.sub(r"\W", "_", file.stem)
    number = 1
    while getattr(sys.modules.get(key), "__file__", str(file)) != str(file) or key in OURS:
        number += 1
        key = f"{stem}_{number}"
    return key


def _check_not_ours(module: str, name: str) -> None:
    """Raise UsageError where a module lies in a package of the current folder that one of this project's hides."""
    package = module.partition(".")[0]
    if package not in OURS:
        return
    ours = Path(importlib.import_module(package).__path__[0]).resolve()
    places = [place for place in (Path.cwd() / package, Path.cwd() / f"{package}.py") if place.exists()]
    if not places or places[0].resolve() == ours:
        return
    file = f"{module.replace('.', '/')}.py:{name.rpartition(':')[2]}"
    raise UsageError(
        f"--model {name} means {places[0]}, but this project's own package {package!r} ({ours}) stands before it; name "
        f"the file, {file}, or give your package another name"
    )


def _hidden_by_us(error: ImportError) -> str:
    """The mend where a user's package has the name of one of this project's, as the tail of an error; else nothing."""
    package = (error.name or "").partition(".")[0]
    if package not in OURS:
        return ""
    place = importlib.import_module(package).__path__[0]
    return f"; this project has a package called {package}, too ({place}), so give your own another name"
