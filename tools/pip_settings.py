"""What `pip config list` prints, as environment variables of uv: from standard input, one NAME=VALUE a line.

uv reads neither pip.conf nor PIP_*, where a company's mirror, a folder of wheels and a certificate may be named. The
names are those of https://docs.astral.sh/uv/reference/environment and https://pip.pypa.io/en/stable/topics/configuration.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterable

#: pip's setting -> uv's variable; pip separates several values by line ends or blanks, uv wants blanks or commas
NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "constraint": "UV_CONSTRAINT",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
}
#: where uv separates by commas, not by blanks
COMMAS = {"UV_FIND_LINKS"}


def settings(lines: Iterable[str]) -> dict[str, str]:
    """pip's settings by name, of what `pip config list` prints; those of the environment go before those for
    `pip install`, and these before the others, as with pip itself."""
    found: dict[str, tuple[int, str]] = {}
    for line in lines:
        key, _, quoted = line.strip().partition("=")
        section, _, name = key.rpartition(".")
        rank = {":env:": 2, "install": 1, "global": 0}.get(section)
        if rank is not None and rank >= found.get(name, (0, ""))[0]:
            found[name] = rank, str(ast.literal_eval(quoted))
    return {name: value for name, (_, value) in found.items()}


def main() -> None:
    for name, value in settings(sys.stdin).items():
        variable = NAMES.get(name)
        if variable and variable not in os.environ:
            print(f"{variable}={(',' if variable in COMMAS else ' ').join(value.split())}")


if __name__ == "__main__":
    main()
