"""Make every given text file end with exactly one newline; exit with 1 where a file had to be changed.

python tools/end_of_file.py FILE...
"""

import sys
from pathlib import Path


def mend(path: Path) -> bool:
    """Whether the file had another end, which is then mended. Empty files stay empty."""
    content = path.read_bytes()
    wanted = content.rstrip(b"\r\n") + b"\n" if content.strip() else b""
    if content != wanted:
        path.write_bytes(wanted)
    return content != wanted


if __name__ == "__main__":
    changed = [name for name in sys.argv[1:] if mend(Path(name))]
    print(*(f"mended the end of {name}" for name in changed), sep="\n", end="\n" if changed else "")
    sys.exit(bool(changed))
