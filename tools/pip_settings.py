"""pip's settings as environment variables of uv, one NAME=VALUE a line.

uv reads neither pip.conf nor PIP_*, where a company's mirror, a folder of wheels and a certificate may be named. The
names are those of https://docs.astral.sh/uv/reference/environment and https://pip.pypa.io/en/stable/topics/configuration.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys

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


def settings() -> dict[str, str]:
    """pip's settings by name; those of the environment go before those for `pip install`, as with pip itself."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    found: dict[str, tuple[int, str]] = {}
    for line in lines:
        key, _, quoted = line.partition("=")
        section, _, name = key.rpartition(".")
        rank = {":env:": 2, "install": 1, "global": 0}.get(section)
        if rank is not None and rank >= found.get(name, (0, ""))[0]:
            found[name] = rank, str(ast.literal_eval(quoted))
    return {name: value for name, (_, value) in found.items()}


def main() -> None:
    for name, value in settings().items():
        variable = NAMES.get(name)
        if variable and variable not in os.environ:
            print(f"{variable}={(',' if variable in COMMAS else ' ').join(value.split())}")


if __name__ == "__main__":
    main()
