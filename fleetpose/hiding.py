"""Our packages have common names: a folder of the user called `models` may stand before ours on sys.path."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from fleetpose.errors import UsageError

_INSTALLED = Path(__file__).resolve().parents[1]


class HiddenPackage(UsageError, ImportError):
    """Another package stands where one of ours is expected."""


def check_not_hidden(*packages: str) -> None:
    """Raise HiddenPackage where Python would import another package of that name than the one beside this file."""
    for package in packages:
        spec = importlib.util.find_spec(package)
        if spec is None:
            raise HiddenPackage(f"package {package!r} is not installed; install fleetpose again")
        places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
        if not any(Path(place).resolve().is_relative_to(_INSTALLED / package) for place in places):
            raise HiddenPackage(
                f"{', '.join(map(str, places))} hides fleetpose's own package {package!r}; "
                "rename it, or run from another folder and take it off PYTHONPATH"
            )
